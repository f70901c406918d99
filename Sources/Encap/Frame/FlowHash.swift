// The mixing function behind the flow hash: two 64 x 64 -> 128-bit multiplications, whose halves are combined. A bit of
// input reaches every bit of output, which the top 14 bits (source port) and low 20 bits (flow label) both need.

@usableFromInline
enum FlowHash {
  /// Both halves of a full product, combined.
  @inlinable @inline(__always)
  static func multiply(_ left: UInt64, _ right: UInt64) -> UInt64 {
    let product = left.multipliedFullWidth(by: right)
    return product.high ^ product.low
  }

  /// Hash of two words. The constants are odd, random and have about as many ones as zeros.
  @inlinable @inline(__always)
  static func mix(_ first: UInt64, _ second: UInt64) -> UInt64 {
    multiply(
      multiply(first ^ 0x9bf6_93c5_5e6b_a347, second ^ 0xc5a1_6be3_92d4_3719) ^ first, 0xa3b1_9535_4a39_b70d)
  }

  /// The 32 bits that a flow keeps of a 64-bit hash.
  @inlinable @inline(__always)
  static func truncated(_ hash: UInt64) -> UInt32 {
    UInt32(truncatingIfNeeded: hash ^ hash &>> 32)
  }

  /// Hash of an IPv4 flow; `ports` is 0 for what has none.
  @inlinable @inline(__always)
  static func ipv4(addresses: UInt64, ports: UInt32, protocolNumber: UInt8) -> UInt32 {
    truncated(mix(addresses, UInt64(ports) | UInt64(protocolNumber) &<< 32))
  }

  /// Hash of an IPv6 flow, whose 32 octets of addresses lie at `offset`; the caller has checked the bounds.
  @inlinable @inline(__always)
  static func ipv6(_ frame: RawSpan, addresses offset: Int, ports: UInt32, protocolNumber: UInt8) -> UInt32 {
    let source = multiply(frame.big64(offset) ^ 0x8ebc_6af0_9c88_c6e3, frame.big64(offset &+ 8) ^ 0x5899_65cc_7537_4cc3)
    let destination = multiply(
      frame.big64(offset &+ 16) ^ 0x1d8e_4e27_c47d_124f, frame.big64(offset &+ 24) ^ 0xeb44_acca_b455_d165)
    // Four different constants keep equal halves, and source and destination, from cancelling.
    return truncated(mix(source ^ destination, UInt64(ports) | UInt64(protocolNumber) &<< 32))
  }
}
