// Mbuf: a DPDK packet buffer. The one place where packet bytes are raw pointers; everything above sees spans.

import CDPDK
import Encap

/// A packet in a DPDK buffer. A plain reference: its last holder sends or frees it.
struct Mbuf {
  let raw: OpaquePointer

  @inline(always)
  init(_ raw: OpaquePointer) {
    self.raw = raw
  }

  /// Bytes of the packet over all segments.
  @inline(always)
  var byteCount: Int { Int(cdpdk_mbuf_length(raw)) }

  @inline(always)
  var isContiguous: Bool { cdpdk_mbuf_segment_count(raw) == 1 }
  /// Buffers that it is in.
  var bufferCount: Int { Int(cdpdk_mbuf_segment_count(raw)) }

  /// The buffer's memory is not shared: its headroom may be written.
  @inline(always)
  var isExclusive: Bool { cdpdk_mbuf_is_exclusive(raw) != 0 }

  /// No other packet has these bytes, which may be changed. The memory in front of them may be another's: that of a slice.
  @inline(always)
  var ownsBytes: Bool { cdpdk_mbuf_owns_bytes(raw) != 0 }

  @inline(always)
  var start: UnsafeMutableRawPointer { cdpdk_mbuf_data(raw) }

  /// The bytes of the first segment, for reading.
  @inline(always)
  var bytes: RawSpan {
    @_lifetime(borrow self)
    get {
      let span = RawSpan(_unsafeStart: start, byteCount: Int(cdpdk_mbuf_segment_length(raw)))
      return _overrideLifetime(span, borrowing: self)
    }
  }

  /// Runs `body` on the bytes of the first segment, for writing.
  @inline(always)
  func withMutableBytes<Result>(_ body: (inout MutableRawSpan) -> Result) -> Result {
    var span = MutableRawSpan(_unsafeStart: start, byteCount: Int(cdpdk_mbuf_segment_length(raw)))
    return body(&span)
  }

  /// The same for a part of the first buffer.
  func withMutableBytes<Result>(from offset: Int, count: Int, _ body: (inout MutableRawSpan) -> Result) -> Result {
    precondition(offset >= 0 && count >= 0 && offset &+ count <= Int(cdpdk_mbuf_segment_length(raw)), "beyond the buffer")
    var span = MutableRawSpan(_unsafeStart: start + offset, byteCount: count)
    return body(&span)
  }

  /// False when the buffer is shorter.
  @inline(always)
  func removeFront(_ count: Int) -> Bool {
    cdpdk_mbuf_remove_front(raw, UInt16(truncatingIfNeeded: count)) != nil
  }

  /// Keeps `count` bytes from `offset` on, which a packet of one segment must have.
  @inline(always)
  func keep(_ count: Int, from offset: Int) {
    cdpdk_mbuf_keep(raw, UInt16(truncatingIfNeeded: offset), UInt32(truncatingIfNeeded: count))
  }

  /// Takes back that `keep` has removed octets in front.
  @inline(always)
  func restore(_ count: Int) {
    cdpdk_mbuf_place(
      raw, cdpdk_mbuf_headroom(raw) &- UInt16(truncatingIfNeeded: count),
      UInt32(truncatingIfNeeded: byteCount &+ count))
  }

  @inline(always)
  func free() {
    cdpdk_mbuf_free(raw)
  }

  /// Tag control information kept beside the packet: of a removed tag, for its priority (IEEE 802.1Q clause 6.9), or of the added
  /// one. 0 when there is none.
  @inline(always)
  var notedTag: UInt16 {
    get { cdpdk_mbuf_noted_tag(raw) }
    nonmutating set { cdpdk_mbuf_note_tag(raw, newValue) }
  }

  @inline(always)
  var hasNotedTag: Bool { cdpdk_mbuf_has_noted_tag(raw) != 0 }

  /// A second reference to the same bytes: nothing is copied. Nil when the pool is empty.
  func clone(from pool: OpaquePointer) -> Mbuf? {
    cdpdk_mbuf_clone(raw, pool).map(Mbuf.init)
  }

  /// Makes room for `count` bytes before the packet: in its own headroom, or, when others share the bytes, in a buffer
  /// chained before them (copied where the device cannot send chains).
  ///
  /// - Returns: the packet, now `count` bytes longer. Nil when there is no room or no buffer: the packet is unchanged.
  @inline(always)
  func prepending(_ count: Int, pool: OpaquePointer, chains: Bool) -> Mbuf? {
    if isExclusive {
      return cdpdk_mbuf_prepend(raw, UInt16(truncatingIfNeeded: count)) == nil ? nil : self
    }
    return prependingShared(count, pool: pool, chains: chains)
  }

  @inline(never)
  private func prependingShared(_ count: Int, pool: OpaquePointer, chains: Bool) -> Mbuf? {
    if chains {
      guard let head = cdpdk_mbuf_alloc(pool) else { return nil }
      guard cdpdk_mbuf_append(head, UInt16(truncatingIfNeeded: count)) != nil, cdpdk_mbuf_chain(head, raw) == 0 else {
        cdpdk_mbuf_free(head)
        return nil
      }
      return Mbuf(head)
    }
    guard let copy = cdpdk_mbuf_copy(raw, pool) else { return nil }
    guard cdpdk_mbuf_linearize(copy) == 0, cdpdk_mbuf_prepend(copy, UInt16(truncatingIfNeeded: count)) != nil else {
      cdpdk_mbuf_free(copy)
      return nil
    }
    free()
    return Mbuf(copy)
  }

  /// Puts a tag in front of the EtherType: the addresses move four bytes down, into the headroom, or into a separate buffer when others
  /// share the frame.
  ///
  /// - Parameter tag: TPID in the high half, tag control information in the low one.
  /// - Returns: as `prepending`, but what is left without room or buffer has lost its addresses.
  @inline(always)
  func insertingTag(_ tag: UInt32, pool: OpaquePointer, chains: Bool) -> Mbuf? {
    let addresses = start.loadUnaligned(as: UInt64.self)
    let sourceTail = start.loadUnaligned(fromByteOffset: 8, as: UInt32.self)
    guard removeFront(12), let tagged = prepending(12 + EthernetView.tagByteCount, pool: pool, chains: chains) else { return nil }
    let start = tagged.start
    start.storeBytes(of: addresses, as: UInt64.self)
    start.storeBytes(of: sourceTail, toByteOffset: 8, as: UInt32.self)
    start.storeBytes(of: tag.bigEndian, toByteOffset: 12, as: UInt32.self)
    return tagged
  }

  /// The same for a frame that is alone in one buffer with room in front.
  @inline(always)
  func insertTagInPlace(_ tag: UInt32) {
    let start = self.start
    let addresses = start.loadUnaligned(as: UInt64.self)
    let sourceTail = start.loadUnaligned(fromByteOffset: 8, as: UInt32.self)
    cdpdk_mbuf_grow_front(raw, UInt16(truncatingIfNeeded: EthernetView.tagByteCount))
    let front = start - EthernetView.tagByteCount
    front.storeBytes(of: addresses, as: UInt64.self)
    front.storeBytes(of: sourceTail, toByteOffset: 8, as: UInt32.self)
    front.storeBytes(of: tag.bigEndian, toByteOffset: 12, as: UInt32.self)
  }

  /// Takes the tag off a frame that has one and is in one buffer: the addresses move four bytes up.
  @inline(always)
  func removeTagInPlace() {
    let start = self.start
    let addresses = start.loadUnaligned(as: UInt64.self)
    let sourceTail = start.loadUnaligned(fromByteOffset: 8, as: UInt32.self)
    start.storeBytes(of: addresses, toByteOffset: 4, as: UInt64.self)
    start.storeBytes(of: sourceTail, toByteOffset: 12, as: UInt32.self)
    keep(byteCount &- EthernetView.tagByteCount, from: EthernetView.tagByteCount)
  }
}
