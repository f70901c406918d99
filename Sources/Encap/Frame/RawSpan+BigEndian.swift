// Big-endian loads and stores on raw spans, the vocabulary of every wire format in this module, and a few in wire order.
// They are unchecked: whoever calls them has compared the offset with the byte count once, up front. Unaligned, because
// behind a 14-byte Ethernet header nothing is aligned.

extension RawSpan {
  @inlinable @inline(__always)
  func byte(_ offset: Int) -> UInt8 {
    unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt8.self)
  }

  @inlinable @inline(__always)
  func big16(_ offset: Int) -> UInt16 {
    UInt16(bigEndian: unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt16.self))
  }

  @inlinable @inline(__always)
  func big32(_ offset: Int) -> UInt32 {
    UInt32(bigEndian: unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt32.self))
  }

  @inlinable @inline(__always)
  func big64(_ offset: Int) -> UInt64 {
    UInt64(bigEndian: unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self))
  }

  /// Words as they are in memory: for a comparison with a constant in wire order, or a hash.
  @inlinable @inline(__always)
  func raw16(_ offset: Int) -> UInt16 {
    unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt16.self)
  }

  @inlinable @inline(__always)
  func raw32(_ offset: Int) -> UInt32 {
    unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt32.self)
  }

  @inlinable @inline(__always)
  func raw64(_ offset: Int) -> UInt64 {
    unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self)
  }
}

extension MutableRawSpan {
  @inlinable @inline(__always)
  mutating func storeByte(_ value: UInt8, at offset: Int) {
    storeBytes(of: value, toUncheckedByteOffset: offset, as: UInt8.self)
  }

  @inlinable @inline(__always)
  mutating func storeBig16(_ value: UInt16, at offset: Int) {
    storeBytes(of: value.bigEndian, toUncheckedByteOffset: offset, as: UInt16.self)
  }

  @inlinable @inline(__always)
  mutating func storeBig32(_ value: UInt32, at offset: Int) {
    storeBytes(of: value.bigEndian, toUncheckedByteOffset: offset, as: UInt32.self)
  }

  @inlinable @inline(__always)
  mutating func storeBig64(_ value: UInt64, at offset: Int) {
    storeBytes(of: value.bigEndian, toUncheckedByteOffset: offset, as: UInt64.self)
  }

  /// Stores two words that are in wire order already, at once.
  @inlinable @inline(__always)
  mutating func storeRaw128(_ first: UInt64, _ second: UInt64, at offset: Int) {
    storeBytes(of: SIMD2(first, second), toUncheckedByteOffset: offset, as: SIMD2<UInt64>.self)
  }

  /// Stores a word that is in wire order already.
  @inlinable @inline(__always)
  mutating func storeRaw64(_ value: UInt64, at offset: Int) {
    storeBytes(of: value, toUncheckedByteOffset: offset, as: UInt64.self)
  }
}

extension MutableRawSpan {
  /// Stores 16 octets of an IPv6 address.
  @inline(__always)
  mutating func store(_ address: IPAddress, at offset: Int) {
    storeBig64(address.high, at: offset)
    storeBig64(address.low, at: offset &+ 8)
  }
}
