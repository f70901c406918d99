// An IP address with a prefix length: routes and interface addresses of the underlay.

/// An IPv4 or IPv6 prefix (RFC 4632, RFC 4291 section 2.3).
@frozen
public struct IPPrefix: Hashable, Sendable, LosslessStringConvertible {
  /// The network address; bits beyond `length` are zero.
  public let address: IPAddress
  /// The prefix length in bits of the address's own family: 0...32 or 0...128.
  public let length: UInt8

  /// A prefix; bits of `address` beyond `length` are cleared. Nil when `length` is too large for the address family.
  public init?(address: IPAddress, length: Int) {
    let widest = address.isIPv4 ? 32 : 128
    guard (0...widest).contains(length) else { return nil }
    let mask = IPPrefix.mask(bitCount: length + (128 - widest))
    self.address = IPAddress(high: address.high & mask.high, low: address.low & mask.low)
    self.length = UInt8(length)
  }

  /// Parses `192.0.2.0/24` or `2001:db8::/32`; set host bits are cleared, not refused.
  public init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, let address = IPAddress(String(parts[0])),
      (1...3).contains(parts[1].utf8.count), parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }),
      parts[1].utf8.count == 1 || parts[1].utf8.first != 0x30, let length = Int(parts[1])
    else { return nil }
    self.init(address: address, length: length)
  }

  /// Whether the address lies in this prefix; always false for the other address family.
  public func contains(_ other: IPAddress) -> Bool {
    guard other.isIPv4 == address.isIPv4 else { return false }
    let mask = IPPrefix.mask(bitCount: Int(length) + (address.isIPv4 ? 96 : 0))
    return other.high & mask.high == address.high && other.low & mask.low == address.low
  }

  /// `192.0.2.0/24`.
  public var description: String { "\(address)/\(length)" }

  /// A 128-bit mask with the first `bitCount` bits set.
  private static func mask(bitCount: Int) -> (high: UInt64, low: UInt64) {
    // Swift's smart shift yields 0 when 64 or more bits are shifted out.
    (~(UInt64.max >> UInt64(min(bitCount, 64))), ~(UInt64.max >> UInt64(max(bitCount - 64, 0))))
  }
}
