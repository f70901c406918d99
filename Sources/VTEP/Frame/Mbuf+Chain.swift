// Mbuf+Chain: access to packets that span several buffers: large TCP segments and frames longer than a buffer, which occur on
// guests' ports.

import CDPDK
import Encap

extension Mbuf {
  /// The one's-complement sum of the packet's bytes from `offset` on, over all its buffers, folded to 16 bits.
  func partialSum(from offset: Int) -> UInt32 {
    var sum: UInt32 = 0
    var skip = offset
    var isOdd = false
    var next: OpaquePointer? = raw
    while let segment = next {
      let count = Int(cdpdk_mbuf_segment_length(segment))
      if skip < count {
        let bytes = RawSpan(_unsafeStart: cdpdk_mbuf_data(segment) + skip, byteCount: count &- skip)
        let part = InternetChecksum.partialSum(bytes)
        // A buffer that begins at an odd offset adds its sum with the octets swapped (RFC 1071 section 2 B).
        sum = UInt32(InternetChecksum.fold(sum &+ (isOdd ? (part & 0xff) &<< 8 | part &>> 8 : part)))
        if (count &- skip) & 1 == 1 { isOdd.toggle() }
        skip = 0
      } else {
        skip &-= count
      }
      next = cdpdk_mbuf_next(segment)
    }
    return sum
  }

  /// The remainder of the CRC32c division over the packet's bytes from `offset` on, over all its buffers (RFC 9260 appendix A).
  func crc32cRemainder(from offset: Int) -> UInt32 {
    var remainder = UInt32.max
    var skip = offset
    var next: OpaquePointer? = raw
    while let segment = next {
      let count = Int(cdpdk_mbuf_segment_length(segment))
      if skip < count { remainder = cdpdk_crc32c(remainder, cdpdk_mbuf_data(segment) + skip, count &- skip) }
      skip = max(skip &- count, 0)
      next = cdpdk_mbuf_next(segment)
    }
    return remainder
  }
}

/// Reads a packet sequentially across its buffers.
struct MbufReader {
  private var segment: OpaquePointer?
  private var offset: Int

  /// - Parameter offset: where to begin.
  init(_ mbuf: Mbuf, from offset: Int) {
    segment = mbuf.raw
    self.offset = offset
    while let segment, self.offset > Int(cdpdk_mbuf_segment_length(segment)) {
      self.offset &-= Int(cdpdk_mbuf_segment_length(segment))
      self.segment = cdpdk_mbuf_next(segment)
    }
  }

  /// Appends the next `count` bytes to a packet, in as many buffers as needed.
  ///
  /// - Returns: false when the pool or the packet being read is exhausted.
  mutating func append(_ count: Int, to packet: Mbuf, pool: OpaquePointer) -> Bool {
    var left = count
    var last = packet.raw
    var room = Int(cdpdk_mbuf_tailroom(last))
    while left > 0 {
      guard let source = segment else { return false }
      let available = Int(cdpdk_mbuf_segment_length(source)) &- offset
      if available == 0 {
        segment = cdpdk_mbuf_next(source)
        offset = 0
        continue
      }
      if room == 0 {
        guard let buffer = cdpdk_mbuf_alloc(pool) else { return false }
        guard cdpdk_mbuf_chain(packet.raw, buffer) == 0 else {
          cdpdk_mbuf_free(buffer)
          return false
        }
        last = buffer
        room = Int(cdpdk_mbuf_tailroom(last))
      }
      let part = min(left, available, room)
      guard let target = cdpdk_mbuf_append(packet.raw, UInt16(truncatingIfNeeded: part)) else { return false }
      target.copyMemory(from: cdpdk_mbuf_data(source) + offset, byteCount: part)
      offset &+= part
      room &-= part
      left &-= part
    }
    return true
  }

  /// The next `count` bytes as a packet of one buffer: a view of them where they lie in one buffer, or else a copy.
  ///
  /// - Parameters:
  ///   - slicePool: of buffers without room, for views. While it is empty, `pool` stands in.
  ///   - largePool: of buffers of 64 KiB, for what does not fit in an ordinary one.
  /// - Returns: nil when no buffer is available. The bytes are skipped in either case.
  mutating func take(_ count: Int, slicePool: OpaquePointer, pool: OpaquePointer, largePool: OpaquePointer) -> Mbuf? {
    while let source = segment, offset == Int(cdpdk_mbuf_segment_length(source)), let next = cdpdk_mbuf_next(source) {
      segment = next
      offset = 0
    }
    guard let source = segment else { return nil }
    if Int(cdpdk_mbuf_segment_length(source)) &- offset >= count {
      defer { offset &+= count }
      let start = UInt16(truncatingIfNeeded: offset)
      let size = UInt16(truncatingIfNeeded: count)
      return (cdpdk_mbuf_slice(source, start, size, slicePool) ?? cdpdk_mbuf_slice(source, start, size, pool)).map(Mbuf.init)
    }
    guard let target = Self.buffer(for: count, pool: pool, largePool: largePool) else {
      skip(count)
      return nil
    }
    if append(count, to: target, pool: pool) { return target }
    target.free()
    return nil
  }

  private static func buffer(for count: Int, pool: OpaquePointer, largePool: OpaquePointer) -> Mbuf? {
    if let raw = cdpdk_mbuf_alloc(pool) {
      if Int(cdpdk_mbuf_tailroom(raw)) >= count { return Mbuf(raw) }
      cdpdk_mbuf_free(raw)
    }
    return cdpdk_mbuf_alloc(largePool).map(Mbuf.init)
  }

  private mutating func skip(_ count: Int) {
    var left = count
    while let source = segment {
      let available = Int(cdpdk_mbuf_segment_length(source)) &- offset
      if left <= available {
        offset &+= left
        return
      }
      left &-= available
      segment = cdpdk_mbuf_next(source)
      offset = 0
    }
  }
}
