// Worker+Coalesce: consecutive TCP segments from a tunnel become one large segment on their way to a guest that takes
// those: it then handles one frame for the work of dozens. Only what lies next to each other in the guest's batch is
// joined, so nothing is reordered, and nothing waits longer than the round it came in.
//
// rte_gro knows only IPv4, leaves checksums unverified (joined, an octet damaged on the way would reach the guest as
// good) and may put segments behind later ones (docs/decisions/0006).

import CDPDK
import Encap

/// The segment that the last frame of a port's batch is, and what has been joined to it so far.
struct JoinedSegments {
  /// The batch's last frame; nil: nothing may be joined to it.
  var head: OpaquePointer?
  /// Its last buffer.
  var last: OpaquePointer?
  var segment: TCPSegment?
  var payloadByteCount = 0
  /// The first segment's checksum has been verified, when the second one came.
  var isVerified = false
}

extension Worker {
  /// Joins a frame to the last one of the port's batch, or gets ready for what follows it.
  ///
  /// - Returns: whether the frame was taken over: it is part of another then.
  @inline(never)
  mutating func coalesce(_ mbuf: Mbuf, port: UInt16, features: PortFeatures) -> Bool {
    let joined = joinedSegments + Int(port)
    guard mbuf.isContiguous, mbuf.isExclusive, let next = TCPSegment(frame: mbuf.bytes),
      features.contains([.takesUnfinished, next.isIPv6 ? .takesSegmentsIPv6 : .takesSegmentsIPv4])
    else {
      joined.pointee.head = nil
      return false
    }
    if join(mbuf, next, to: joined, port: port) { return true }
    // What is pushed is waited for: nothing is joined to it.
    joined.pointee.head = next.isPushed ? nil : mbuf.raw
    joined.pointee.last = mbuf.raw
    joined.pointee.segment = next
    joined.pointee.payloadByteCount = next.payloadByteCount
    joined.pointee.isVerified = false
    return false
  }

  private mutating func join(
    _ mbuf: Mbuf, _ next: TCPSegment, to joined: UnsafeMutablePointer<JoinedSegments>, port: UInt16
  ) -> Bool {
    let count = batchSizes[Int(port)].frames
    guard let raw = joined.pointee.head, let last = joined.pointee.last, let first = joined.pointee.segment, count > 0,
      batches[Int(port) * Limits.transmitBatch + count - 1] == raw
    else { return false }
    let head = Mbuf(raw)
    let payloadByteCount = joined.pointee.payloadByteCount &+ next.payloadByteCount
    guard next.headerByteCount == first.headerByteCount, next.isIPv6 == first.isIPv6,
      next.sequence == first.sequence &+ UInt32(truncatingIfNeeded: joined.pointee.payloadByteCount),
      next.payloadByteCount <= first.payloadByteCount, payloadByteCount &+ first.headerByteCount &- 14 <= 65_535,
      first.isContinued(head: head.bytes, next: mbuf.bytes), next.hasRightChecksum(mbuf.bytes),
      joined.pointee.isVerified || first.hasRightChecksum(head.bytes)
    else { return false }

    _ = mbuf.removeFront(next.headerByteCount)
    cdpdk_mbuf_join(raw, last, mbuf.raw)
    batchSizes[Int(port)].bytes &+= UInt64(truncatingIfNeeded: next.payloadByteCount)
    head.withMutableBytes {
      first.writeJoined(into: &$0, payloadByteCount: payloadByteCount, isPushed: next.isPushed)
    }
    head.request = first.joinedRequest(segmentByteCount: first.payloadByteCount)
    joined.pointee.last = mbuf.raw
    joined.pointee.payloadByteCount = payloadByteCount
    joined.pointee.isVerified = true
    // A short segment is the last one, as a sender that cuts up a large one makes them.
    if next.isPushed || next.payloadByteCount < first.payloadByteCount { joined.pointee.head = nil }
    return true
  }
}
