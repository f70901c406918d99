// The mixing function behind the flow hash: a 64 x 64 -> 128-bit multiplication, whose halves are combined, and another one that
// spreads the result. A bit of input reaches every bit of output, which the source port (14 of the upper 16 bits) and the flow label (the
// low 20 bits) both need. Addresses and ports are taken as they are in memory: hosts of another byte order hash otherwise.

@usableFromInline
enum FlowHash {
  /// Both halves of a full product, combined.
  @inlinable @inline(__always)
  static func multiply(_ left: UInt64, _ right: UInt64) -> UInt64 {
    let product = left.multipliedFullWidth(by: right)
    return product.high ^ product.low
  }

  /// Hash of two words, of which the first is not 0. The constants are odd, random and have about as many ones as zeros: the second
  /// word has many zeros.
  @inlinable @inline(__always)
  static func mix(_ first: UInt64, _ second: UInt64) -> UInt32 {
    spread(multiply(first, second ^ secondFactor))
  }

  @inlinable @inline(__always)
  static var secondFactor: UInt64 { 0xc5a1_6be3_92d4_3719 }

  @inlinable @inline(__always)
  static func spread(_ mixed: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: (mixed &* 0xa3b1_9535_4a39_b70d) &>> 32) }

  /// Hash of an IPv4 flow; `ports` is 0 for what has none.
  @inlinable @inline(__always)
  static func ipv4(addresses: UInt64, ports: UInt32, protocolNumber: UInt8) -> UInt32 {
    mix(addresses, UInt64(ports) | UInt64(protocolNumber) &<< 32)
  }

  /// The same for UDP or TCP: with the protocol in a constant, of which there are two.
  @inlinable @inline(__always)
  static func ipv4(addresses: UInt64, ports: UInt32, isUDP: Bool) -> UInt32 {
    let factor = isUDP ? secondFactor ^ UInt64(IPProtocol.udp) &<< 32 : secondFactor ^ UInt64(IPProtocol.tcp) &<< 32
    return spread(multiply(addresses, UInt64(ports) ^ factor))
  }

  /// Hash of an IPv6 flow, whose 32 octets of addresses lie at `offset`; the caller has checked the bounds.
  @inlinable @inline(__always)
  static func ipv6(_ frame: RawSpan, addresses offset: Int, ports: UInt32, protocolNumber: UInt8) -> UInt32 {
    let source = multiply(frame.raw64(offset) ^ 0x8ebc_6af0_9c88_c6e3, frame.raw64(offset &+ 8) ^ 0x5899_65cc_7537_4cc3)
    let destination = multiply(
      frame.raw64(offset &+ 16) ^ 0x1d8e_4e27_c47d_124f, frame.raw64(offset &+ 24) ^ 0xeb44_acca_b455_d165)
    // Four different constants keep equal halves, and source and destination, from cancelling.
    return mix(source ^ destination, UInt64(ports) | UInt64(protocolNumber) &<< 32)
  }
}
