// The Internet checksum of RFC 1071 and its incremental update of RFC 1624, for IPv4, UDP and TCP.
// Partial sums are ordinary numbers in host order, so they add up with header fields; folding comes last.

import CEncap

/// Internet checksum arithmetic.
public enum InternetChecksum {
  /// The one's-complement sum of the bytes as big-endian 16-bit words; an odd last octet counts as the high half of a word.
  /// - Returns: the sum folded to 16 bits, not complemented.
  /// - Note: sums of adjacent pieces may be added if every piece except the last has an even byte count.
  public static func partialSum(_ bytes: RawSpan) -> UInt32 {
    UInt32(UInt16(bigEndian: fold(wireSum(bytes))))
  }

  /// The same in memory order and not folded: the sum does not depend on byte order (RFC 1071 section 2 B).
  ///
  /// - Parameter first: a sum to add to, also in memory order.
  @inlinable @inline(__always)
  static func wireSum(_ bytes: RawSpan, addedTo first: UInt64 = 0) -> UInt64 {
    // Two sums side by side: each word waits for the carry of the one before.
    let count = bytes.byteCount
    var offset = 0
    var sum = first
    bytes.withUnsafeBytes { octets in
      guard count >= 32, let start = octets.baseAddress else { return }
      var other: UInt64 = 0
      while count &- offset >= 64 {
        sum = cencap_add32(sum, start + offset)
        other = cencap_add32(other, start + (offset &+ 32))
        offset = offset &+ 64
      }
      if count &- offset >= 32 {
        sum = cencap_add32(sum, start + offset)
        offset = offset &+ 32
      }
      sum = carried(sum, other)
    }
    if count &- offset >= 16 {
      sum = carried(carried(sum, bytes.raw64(offset)), bytes.raw64(offset &+ 8))
      offset = offset &+ 16
    }
    if count &- offset >= 8 {
      sum = carried(sum, bytes.raw64(offset))
      offset = offset &+ 8
    }
    let rest = count &- offset
    guard rest != 0 else { return sum }
    // What is left comes in the upper octets of the last word of all, if there is a whole one.
    guard _fastPath(count >= 8) else { return carried(sum, lastOctets(bytes)) }
    let last = UInt64(littleEndian: bytes.raw64(count &- 8)) &>> UInt64(truncatingIfNeeded: 64 &- rest &* 8)
    return carried(sum, last.littleEndian)
  }

  /// Less than 8 octets, as a word in memory order.
  @usableFromInline
  static func lastOctets(_ bytes: RawSpan) -> UInt64 {
    var word: UInt64 = 0
    for offset in 0..<bytes.byteCount { word |= UInt64(bytes.byte(offset)) &<< UInt64(offset &* 8) }
    return word.littleEndian
  }

  /// The sum of two words with end-around carry.
  @inlinable @inline(__always)
  static func carried(_ left: UInt64, _ right: UInt64) -> UInt64 {
    let sum = left.addingReportingOverflow(right)
    return sum.partialValue &+ (sum.overflow ? 1 : 0)
  }

  /// Folds carries back until the sum fits 16 bits. A sum that is not zero never becomes zero.
  @inlinable @inline(__always)
  public static func fold(_ sum: UInt32) -> UInt16 {
    // The carry of 16 bits would become a branch, which nothing predicts.
    let once = (sum & 0xffff) &+ (sum &>> 16)
    return UInt16(truncatingIfNeeded: once &+ once &>> 16)
  }

  /// As `fold` of 32 bits.
  @inlinable @inline(__always)
  public static func fold(_ sum: UInt64) -> UInt16 {
    let half = UInt32(truncatingIfNeeded: sum).addingReportingOverflow(UInt32(truncatingIfNeeded: sum &>> 32))
    return fold(half.partialValue &+ (half.overflow ? 1 : 0))
  }

  /// The one's-complement sum of two words, in any byte order if it is the same. Not zero unless both are.
  @inlinable @inline(__always)
  public static func sum(_ left: UInt16, _ right: UInt16) -> UInt16 {
    let sum = left.addingReportingOverflow(right)
    return sum.partialValue &+ (sum.overflow ? 1 : 0)
  }

  /// The checksum field for a sum: folded and complemented. Stored big-endian.
  @inlinable @inline(__always)
  public static func complement(_ sum: UInt32) -> UInt16 {
    ~fold(sum)
  }

  /// The checksum field of TCP, UDP or any other protocol for a sum.
  @inlinable @inline(__always)
  public static func complement(_ sum: UInt32, isUDP: Bool) -> UInt16 {
    isUDP ? complementUDP(sum) : complement(sum)
  }

  /// The UDP checksum field for a sum: as `complement`, but never 0, which would mean "no checksum" (RFC 768).
  @inlinable @inline(__always)
  public static func complementUDP(_ sum: UInt32) -> UInt16 {
    let checksum = ~fold(sum)
    return checksum == 0 ? 0xffff : checksum
  }

  /// The checksum after one 16-bit word of the data changed (RFC 1624 section 3, equation 3).
  @inlinable @inline(__always)
  public static func updated(_ checksum: UInt16, replacing old: UInt16, with new: UInt16) -> UInt16 {
    complement(UInt32(~checksum) &+ UInt32(~old) &+ UInt32(new))
  }

  /// The sum of an address's octets: four for IPv4, sixteen for IPv6; not folded.
  @inlinable
  public static func partialSum(_ address: IPAddress) -> UInt32 {
    if address.isIPv4 { return (address.ipv4 &>> 16) &+ (address.ipv4 & 0xffff) }
    return UInt32(fold(address.high)) &+ UInt32(fold(address.low))
  }
}
