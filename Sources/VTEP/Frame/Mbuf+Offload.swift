// Mbuf+Offload: what is left to do about a frame (a checksum to finish, a large TCP segment to cut up), kept with the
// buffer on its way through the worker, in the fields that a driver takes it from.

import CDPDK
import Encap

extension Mbuf {
  /// Something is left to do about the frame, by us or by the receiving guest.
  @inline(always)
  var hasRequest: Bool { cdpdk_mbuf_has_request(raw) != 0 }

  /// Nobody else refers to the memory, nothing is left to do, and no tag is noted.
  @inline(always)
  var isPlain: Bool { cdpdk_mbuf_is_plain(raw) != 0 }

  @inline(always)
  var wantsSegments: Bool { cdpdk_mbuf_wants_segments(raw) != 0 }

  /// The request that the buffer carries.
  /// - Precondition: `hasRequest`.
  var request: OffloadRequest {
    get {
      OffloadRequest(
        linkByteCount: Int(cdpdk_mbuf_l2(raw)), networkByteCount: Int(cdpdk_mbuf_l3(raw)),
        transportByteCount: Int(cdpdk_mbuf_l4(raw)), isIPv6: cdpdk_mbuf_is_ipv6_request(raw) != 0,
        isUDP: cdpdk_mbuf_is_udp_request(raw) != 0,
        segmentByteCount: wantsSegments ? Int(cdpdk_mbuf_segment_size(raw)) : 0)
    }
    nonmutating set {
      cdpdk_mbuf_set_request(
        raw, newValue.isUDP ? 1 : 0, newValue.isIPv6 ? 1 : 0, UInt16(truncatingIfNeeded: newValue.linkByteCount),
        UInt16(truncatingIfNeeded: newValue.networkByteCount), UInt16(truncatingIfNeeded: newValue.transportByteCount),
        UInt16(truncatingIfNeeded: newValue.segmentByteCount))
    }
  }

  func clearRequest() {
    cdpdk_mbuf_clear_request(raw)
  }

  /// Size of the largest packet that the frame will be on a wire, in bytes with the Ethernet header: that of a segment
  /// where it will be cut up.
  /// - Precondition: `hasRequest`.
  var wireByteCount: Int {
    let request = request
    return request.segmentByteCount == 0 ? byteCount : request.headerByteCount + request.segmentByteCount
  }

  /// Finishes the checksum of a frame that wants nothing else. The field must hold the pseudo-header sum.
  ///
  /// - Returns: the frame, or a copy of it when others refer to its bytes; nil when there is no buffer for one: the frame
  ///   is as before.
  func finishingChecksum(pool: OpaquePointer) -> Mbuf? {
    var target = self
    if !isExclusive {
      guard let copy = cdpdk_mbuf_copy(raw, pool) else { return nil }
      target = Mbuf(copy)
    }
    let request = request
    let sum = target.partialSum(from: request.transportOffset)
    target.withMutableBytes { request.finishChecksum(of: &$0, sum: sum) }
    target.clearRequest()
    if target.raw != raw { free() }
    return target
  }
}
