// Segmenter: splits a large TCP segment, or a train of UDP datagrams, into segments of the size that its sender requested (as a network
// card does for TSO and USO), also inside tunnels of the sender's own. Each is a new packet with complete headers and checksums, and
// continues like any other frame.
//
// The payload is copied. rte_gso would avoid that, but it supports only IPv4, leaves checksums alone, and produces chains, for
// which the outer header needs a third buffer (docs/decisions/0006).

import CDPDK
import Encap

struct Segmenter {
  private let source: Mbuf
  private let pool: OpaquePointer
  private let request: OffloadRequest
  private var reader: MbufReader
  private var index: Int
  /// Payload bytes not yet in a segment.
  private var left: Int

  /// - Parameter index: number of the first segment that is wanted.
  /// - Precondition: `mbuf.wantsSegments`. The caller keeps the packet, which must live as long as this.
  init(_ mbuf: Mbuf, from index: Int = 0, pool: OpaquePointer) {
    source = mbuf
    self.pool = pool
    self.index = index
    request = mbuf.request
    let start = request.headerByteCount &+ index &* request.segmentByteCount
    reader = MbufReader(mbuf, from: start)
    left = mbuf.byteCount &- start
  }

  var isAtEnd: Bool { left <= 0 }

  /// The next segment, which the caller sends or frees. Nil when no buffer is available.
  mutating func next() -> Mbuf? {
    guard let raw = cdpdk_mbuf_alloc(pool) else { return nil }
    let segment = Mbuf(raw)
    let count = min(left, request.segmentByteCount)
    guard let room = cdpdk_mbuf_append(raw, UInt16(truncatingIfNeeded: request.headerByteCount)) else {
      segment.free()
      return nil
    }
    room.copyMemory(from: source.start, byteCount: request.headerByteCount)
    guard reader.append(count, to: segment, pool: pool) else {
      segment.free()
      return nil
    }
    segment.withMutableBytes {
      request.writeHeaders(into: &$0, index: index, payloadByteCount: count, isLast: count == left)
    }
    let sum = segment.partialSum(from: request.transportOffset)
    segment.withMutableBytes { request.finishChecksum(of: &$0, sum: sum) }
    if source.hasNotedTag { segment.notedTag = source.notedTag }
    index &+= 1
    left &-= count
    return segment
  }
}
