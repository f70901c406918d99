// Mbuf+Offload: a frame's pending offload request (complete a checksum, cut a large TCP segment or a train of UDP datagrams), kept in the
// buffer's own offload fields, where drivers look for it.

import CDPDK
import Encap

extension Mbuf {
  /// The frame has a pending offload request, for us or the receiving guest to carry out.
  @inline(always)
  var hasRequest: Bool { cdpdk_mbuf_has_request(raw) != 0 }

  /// The memory is not shared, no offload request is pending, and no tag is noted.
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
        segmentByteCount: wantsSegments ? Int(cdpdk_mbuf_segment_size(raw)) : 0,
        isTunnelled: cdpdk_mbuf_is_tunnelled_request(raw) != 0)
    }
    nonmutating set {
      cdpdk_mbuf_set_request(
        raw, newValue.isUDP ? 1 : 0, newValue.isIPv6 ? 1 : 0, newValue.isTunnelled ? 1 : 0,
        UInt16(truncatingIfNeeded: newValue.linkByteCount), UInt16(truncatingIfNeeded: newValue.networkByteCount),
        UInt16(truncatingIfNeeded: newValue.transportByteCount),
        UInt16(truncatingIfNeeded: newValue.segmentByteCount))
    }
  }

  /// Where the frame's sender says that it has left a checksum; nil when it does not say.
  var notedChecksum: UnfinishedChecksum.Place? {
    let noted = cdpdk_mbuf_noted_checksum(raw)
    return noted == 0 ? nil : UnfinishedChecksum.Place(start: Int(noted &>> 16), offset: Int(noted & 0xffff))
  }

  func clearRequest() {
    cdpdk_mbuf_clear_request(raw)
  }

  /// Size in bytes of the largest packet that the frame becomes on the wire, with the Ethernet header: that of one segment if it
  /// will be segmented.
  /// - Precondition: `hasRequest`.
  var wireByteCount: Int {
    let request = request
    return request.segmentByteCount == 0 ? byteCount : request.headerByteCount + request.segmentByteCount
  }

  /// Cuts off what follows the first `count` segments of a large TCP segment.
  /// - Precondition: the first buffer is not shared.
  func keepSegments(_ count: Int, of request: OffloadRequest) {
    cdpdk_mbuf_cut(raw, UInt32(request.headerByteCount + count * request.segmentByteCount))
    withMutableBytes { request.clearFinalFlags(in: &$0) }
  }

  /// Moves the request behind an outer header that was put in front of the frame, and has a driver look whether it takes that.
  ///
  /// - Parameters:
  ///   - request: of the frame.
  ///   - header: the outer one.
  ///   - namesTunnels: how the NIC is told (`NICOffloads.namesTunnels`).
  ///   - device: DPDK's number.
  /// - Returns: false: the driver refuses. The outer header is gone, and the request is as before.
  func leave(_ request: OffloadRequest, behind header: OuterHeader, namesTunnels: Bool, to device: UInt16) -> Bool {
    var moved = request
    moved.linkByteCount += header.byteCount
    self.request = moved
    if namesTunnels {
      let behindUDP = OuterHeader.udpAndVXLANByteCount + request.linkByteCount
      cdpdk_mbuf_name_vxlan(
        raw, header.isIPv6 ? 1 : 0, 14, UInt16(header.byteCount - 14 - OuterHeader.udpAndVXLANByteCount), UInt16(behindUDP))
    }
    if cdpdk_mbuf_prepare(raw, device) != 0 { return true }
    _ = removeFront(header.byteCount)
    self.request = request
    return false
  }

  /// Completes the checksum of a frame that needs nothing else. The field must hold the pseudo-header sum.
  ///
  /// - Returns: the frame, or a copy if its bytes are shared; nil when there is no buffer for a copy: the frame is unchanged.
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

  /// Completes the checksum at a place that fits the first buffer, whatever the protocol.
  func finishChecksum(at place: UnfinishedChecksum.Place) {
    guard place.isCRC32c else {
      let sum = partialSum(from: place.start)
      withMutableBytes { place.finish(&$0, sum: sum) }
      return
    }
    withMutableBytes { place.clearCRC32c(&$0) }
    let remainder = crc32cRemainder(from: place.start)
    withMutableBytes { place.finish(&$0, remainder: remainder) }
  }
}
