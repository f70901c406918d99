// The Internet checksum of RFC 1071 and its incremental update of RFC 1624, for IPv4, UDP and TCP.
// Partial sums are ordinary numbers in host order, so they add up with header fields; folding comes last.

import CEncap

/// Internet checksum arithmetic.
public enum InternetChecksum {
  /// The one's-complement sum of the bytes as big-endian 16-bit words; an odd last octet counts as the high half of a word.
  /// - Returns: the sum folded to 16 bits, not complemented.
  /// - Note: sums of adjacent pieces may be added if every piece except the last has an even byte count.
  public static func partialSum(_ bytes: RawSpan) -> UInt32 {
    // The sum does not depend on byte order (RFC 1071 section 2 B): add native words, swap the result once. Two sums side by side: each
    // word waits for the carry of the one before.
    let count = bytes.byteCount
    var offset = 0
    var sum: UInt64 = 0
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
    while count &- offset >= 8 {
      sum = carried(sum, bytes.raw64(offset))
      offset = offset &+ 8
    }
    if offset == count { return UInt32(UInt16(bigEndian: fold(sum))) }
    if count &- offset >= 4 {
      sum = carried(sum, UInt64(bytes.raw32(offset)))
      offset = offset &+ 4
    }
    if count &- offset >= 2 {
      sum = carried(sum, UInt64(bytes.raw16(offset)))
      offset = offset &+ 2
    }
    if offset < count { sum = carried(sum, UInt64(UInt16(bytes.byte(offset)).littleEndian)) }
    return UInt32(UInt16(bigEndian: fold(sum)))
  }

  /// The sum of two words with end-around carry.
  @inline(__always)
  private static func carried(_ left: UInt64, _ right: UInt64) -> UInt64 {
    let sum = left.addingReportingOverflow(right)
    return sum.partialValue &+ (sum.overflow ? 1 : 0)
  }

  /// Folds carries back until the sum fits 16 bits. A sum that is not zero never becomes zero.
  @inlinable @inline(__always)
  public static func fold(_ sum: UInt32) -> UInt16 {
    // Added to itself with swapped halves: the upper half becomes low + high + the carry of that same sum.
    UInt16(truncatingIfNeeded: (sum &+ (sum &<< 16 | sum &>> 16)) &>> 16)
  }

  /// As `fold` of 32 bits.
  @inlinable @inline(__always)
  public static func fold(_ sum: UInt64) -> UInt16 {
    fold(UInt32(truncatingIfNeeded: (sum &+ (sum &<< 32 | sum &>> 32)) &>> 32))
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
