// Worker+Coalesce: joins consecutive TCP segments, or UDP datagrams of one size, into one large segment for a guest that accepts those, which
// then processes one frame instead of dozens. Only neighbours in the guest's batch are joined, so nothing is reordered, and
// nothing waits beyond the current round.
//
// rte_gro supports only IPv4, does not verify checksums (corrupted data would reach the guest as valid), and may reorder
// segments (docs/decisions/0006).

import CDPDK
import Encap
import MACTable

/// The last segment in a port's batch, with everything joined to it so far.
struct JoinedSegments {
  /// The last frame in the batch; nil: nothing may be joined to it.
  var head: OpaquePointer?
  /// Its last buffer.
  var last: OpaquePointer?
  var segment: JoinableSegment?
  var payloadByteCount = 0
  /// The first segment's checksum has been verified, which happens when the second one arrives.
  var isVerified = false
}

extension Worker {
  /// Joins a frame to the last one in the port's batch, or prepares for its successors.
  ///
  /// - Returns: whether the frame was consumed: it is part of another one then.
  @inline(never)
  mutating func coalesce(_ mbuf: Mbuf, port: PortIndex, features: PortFeatures) -> Bool {
    let batch = batch(of: port)
    let joined = joinedSegments + batch
    guard mbuf.isContiguous, mbuf.ownsBytes, let next = JoinableSegment(frame: mbuf.bytes), features.contains(next.taker) else {
      joined.pointee.head = nil
      return false
    }
    if join(mbuf, next, to: joined, batch: batch) { return true }
    // The receiver waits for a segment with PSH: nothing is joined to it.
    joined.pointee.head = next.isPushed ? nil : mbuf.raw
    joined.pointee.last = mbuf.raw
    joined.pointee.segment = next
    joined.pointee.payloadByteCount = next.payloadByteCount
    joined.pointee.isVerified = false
    return false
  }

  private mutating func join(
    _ mbuf: Mbuf, _ next: JoinableSegment, to joined: UnsafeMutablePointer<JoinedSegments>, batch: Int
  ) -> Bool {
    let count = batchSizes[batch].frames
    guard let raw = joined.pointee.head, let last = joined.pointee.last, let first = joined.pointee.segment, count > 0,
      batches[batch * Limits.transmitBatch + count - 1] == raw
    else { return false }
    let head = Mbuf(raw)
    guard first.isContinued(by: next, head: head.bytes, frame: mbuf.bytes, after: joined.pointee.payloadByteCount),
      next.hasRightChecksum(mbuf.bytes), joined.pointee.isVerified || first.hasRightChecksum(head.bytes)
    else { return false }

    let payloadByteCount = joined.pointee.payloadByteCount &+ next.payloadByteCount
    _ = mbuf.removeFront(next.headerByteCount)
    cdpdk_mbuf_join(raw, last, mbuf.raw)
    batchSizes[batch].bytes &+= UInt64(truncatingIfNeeded: next.payloadByteCount)
    head.withMutableBytes {
      first.writeJoined(into: &$0, payloadByteCount: payloadByteCount, isPushed: next.isPushed)
    }
    head.request = first.joinedRequest(segmentByteCount: first.payloadByteCount)
    joined.pointee.last = mbuf.raw
    joined.pointee.payloadByteCount = payloadByteCount
    joined.pointee.isVerified = true
    // A short segment is the last one of a segmented large one.
    if next.isPushed || next.payloadByteCount < first.payloadByteCount { joined.pointee.head = nil }
    return true
  }
}

extension JoinableSegment {
  /// What a port has to take for this to be joined.
  fileprivate var taker: PortFeatures {
    if isUDP { return [.takesUnfinished, .takesSegmentsUDP] }
    return [.takesUnfinished, isIPv6 ? .takesSegmentsIPv6 : .takesSegmentsIPv4]
  }
}
