// An IPv4 or IPv6 address in one plain 16-byte value, so that tables, templates and packets need only one code path.
// IPv4 is kept IPv4-mapped (RFC 4291 section 2.5.5.2); such an address is IPv4 everywhere, and text prints it so.

/// An IPv4 or IPv6 address.
@frozen
public struct IPAddress: Hashable, Sendable, Comparable {
  /// Numeric value of the first eight octets (network order).
  public var high: UInt64
  /// Numeric value of the last eight octets; of an IPv4 address `0x0000_ffff_aabb_ccdd`.
  public var low: UInt64

  /// An address from its 128-bit value. Values in `::ffff:0:0/96` are IPv4 addresses.
  @inlinable @inline(__always)
  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// An IPv4 address from its numeric value: 192.0.2.1 is `0xc000_0201`.
  @inlinable @inline(__always)
  public init(ipv4: UInt32) {
    high = 0
    low = 0xffff_0000_0000 | UInt64(ipv4)
  }

  /// An address from 4 or 16 octets in network order; nil for every other count.
  public init?(bytes: [UInt8]) {
    switch bytes.count {
    case 4:
      self.init(ipv4: bytes.reduce(0) { $0 << 8 | UInt32($1) })
    case 16:
      self.init(
        high: bytes[..<8].reduce(0) { $0 << 8 | UInt64($1) },
        low: bytes[8...].reduce(0) { $0 << 8 | UInt64($1) })
    default:
      return nil
    }
  }

  /// Loads 16 octets at `offset`; the caller has checked the bounds.
  @inlinable @inline(__always)
  init(loading16 span: RawSpan, at offset: Int) {
    self.init(high: span.big64(offset), low: span.big64(offset &+ 8))
  }

  /// The octets in network order: 4 for IPv4, 16 for IPv6.
  public var bytes: [UInt8] {
    if isIPv4 {
      return stride(from: 24, through: 0, by: -8).map { UInt8(truncatingIfNeeded: ipv4 >> UInt32($0)) }
    }
    return [high, low].flatMap { half in
      stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: half >> UInt64($0)) }
    }
  }

  /// Whether this is an IPv4 address.
  @inlinable public var isIPv4: Bool { high == 0 && low &>> 32 == 0xffff }

  /// The numeric IPv4 value; without meaning when `isIPv4` is false.
  @inlinable public var ipv4: UInt32 { UInt32(truncatingIfNeeded: low) }

  /// 224.0.0.0/4 (RFC 5771) or ff00::/8 (RFC 4291 section 2.7).
  @inlinable public var isMulticast: Bool {
    isIPv4 ? ipv4 &>> 28 == 0xe : high &>> 56 == 0xff
  }

  /// 0.0.0.0 or `::`.
  @inlinable public var isUnspecified: Bool {
    isIPv4 ? ipv4 == 0 : high | low == 0
  }

  /// 127.0.0.0/8 or `::1`.
  @inlinable public var isLoopback: Bool {
    isIPv4 ? ipv4 &>> 24 == 127 : high == 0 && low == 1
  }

  /// 169.254.0.0/16 (RFC 3927) or fe80::/10 (RFC 4291 section 2.5.6).
  @inlinable public var isLinkLocal: Bool {
    isIPv4 ? ipv4 &>> 16 == 0xa9fe : high &>> 54 == 0x3fa
  }

  /// 255.255.255.255; IPv6 has no broadcast.
  @inlinable public var isLimitedBroadcast: Bool { isIPv4 && ipv4 == 0xffff_ffff }

  /// The Ethernet address a multicast packet is sent to: 01:00:5e and the low 23 bits (RFC 1112 section 6.4), or 33:33
  /// and the low 32 bits (RFC 2464 section 7). Without meaning when `isMulticast` is false.
  @inlinable public var multicastMAC: MACAddress {
    isIPv4
      ? MACAddress(bits: 0x0100_5e00_0000 | UInt64(ipv4 & 0x7f_ffff))
      : MACAddress(bits: 0x3333_0000_0000 | UInt64(UInt32(truncatingIfNeeded: low)))
  }

  /// Numeric order of the 128-bit values; IPv4 addresses stand together, below nearly all of IPv6.
  @inlinable
  public static func < (left: IPAddress, right: IPAddress) -> Bool {
    left.high != right.high ? left.high < right.high : left.low < right.low
  }
}
