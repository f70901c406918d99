// Worker+Offload: frames with a pending offload request (OffloadRequest), from guests or from a kernel at the other end of a veth or tap.
// They pass unchanged to a port that supports it; the request is carried out here only when the frame leaves through a tunnel or a port
// that does not. Between steps E4 and E5 or E6; frames without a request never come here.

import CDPDK
import Encap
import MACTable

extension Worker {
  // -- on reception -----------------------------------------------------------------------------------------------------

  /// Makes a received packet of several buffers readable for the walk: in one buffer, or, from a guest that may send more than a
  /// buffer holds, with its headers in the first, which the driver fills before the next.
  ///
  /// - Returns: false when the packet must fit in one buffer and does not.
  @inline(never)
  mutating func gather(_ mbuf: Mbuf, port: UnsafePointer<PortEntry>) -> Bool {
    guard port.pointee.features.contains(.offersOffloads) else { return cdpdk_mbuf_linearize(mbuf.raw) == 0 }
    // A packet to be segmented is copied then, if at all: once is enough.
    if cdpdk_mbuf_is_large_segment(mbuf.raw) == 0 { _ = cdpdk_mbuf_linearize(mbuf.raw) }
    return true
  }

  /// Notes a frame's offload request.
  ///
  /// - Returns: the drop reason, or nil.
  @inline(never)
  mutating func acceptRequest(_ mbuf: Mbuf) -> DropReason? {
    let isLarge = cdpdk_mbuf_is_large_segment(mbuf.raw) != 0
    guard isLarge || cdpdk_mbuf_checksum_is_unfinished(mbuf.raw) != 0 else { return ignoredRequest(mbuf) }
    let segmentByteCount = isLarge ? Int(cdpdk_mbuf_segment_size(mbuf.raw)) : nil
    switch OffloadRequest.check(
      frame: mbuf.bytes, byteCount: mbuf.byteCount, segmentByteCount: segmentByteCount, checksum: mbuf.notedChecksum)
    {
    case .refused(let reason):
      return reason
    case .elsewhere(let place):
      // No output could take it in this form: of a tunnel's inner packet, or of a protocol like SCTP.
      mbuf.finishChecksum(at: place)
      // Around it there may be a datagram with a checksum, which covers the inner one.
      if mbuf.isContiguous { _ = mbuf.withMutableBytes { UnfinishedChecksum.finish(frame: &$0) } }
      return nil
    case .sound(let request, let byteCount):
      let padding = mbuf.byteCount &- byteCount
      guard padding == 0 || padding <= Int(UInt16.max) && cdpdk_mbuf_trim(mbuf.raw, UInt16(truncatingIfNeeded: padding)) == 0 else {
        return .offloadHeaders
      }
      mbuf.request = request
      return nil
    }
  }

  /// The driver parsed the headers because of a guest's request but passed none on: either it has carried the request out, or the
  /// request pointed beyond the frame, and the checksum is still partial.
  private mutating func ignoredRequest(_ mbuf: Mbuf) -> DropReason? {
    guard cdpdk_mbuf_packet_type(mbuf.raw) != 0, mbuf.isContiguous else { return nil }
    let outcome = mbuf.withMutableBytes { UnfinishedChecksum.finish(frame: &$0) }
    return outcome == .finished ? .offloadHeaders : nil
  }

  // -- on the way out ---------------------------------------------------------------------------------------------------

  /// Where a frame goes once it is complete.
  enum Exit {
    case tunnel(Tunnel)
    case local(LocalTarget)
    /// The NIC of an uplink.
    case uplink(PortIndex, HostFrameClass)
  }

  /// Segments a frame or completes its checksum, and sends the result on. Consumes the frame.
  @inline(never)
  mutating func finish(_ mbuf: Mbuf, for exit: Exit, ingress: PortIndex) {
    if mbuf.wantsSegments {
      var segmenter = Segmenter(mbuf, pool: pool)
      while !segmenter.isAtEnd {
        guard let segment = segmenter.next() else {
          countDrop(mbuf, port: ingress, .noBuffers)
          break
        }
        sendFinished(segment, by: exit, ingress: ingress)
      }
      mbuf.free()
    } else if let finished = mbuf.finishingChecksum(pool: pool) {
      sendFinished(finished, by: exit, ingress: ingress)
    } else {
      drop(mbuf, port: ingress, .noBuffers)
    }
  }

  private mutating func sendFinished(_ mbuf: Mbuf, by exit: Exit, ingress: PortIndex) {
    switch exit {
    case .tunnel(let tunnel):
      encapsulate(mbuf, tunnel, ingress: ingress)
    case .local(let target):
      let port = snapshot.pointee.ports + Int(target.port)
      put(mbuf, wireByteCount: mbuf.byteCount, to: target, port, ingress: ingress, mayJoin: true)
    case .uplink(let nic, let kind):
      transmitWhole(mbuf, kind, nic: nic, ingress: ingress)
    }
  }
}
