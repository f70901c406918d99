// The short cut of decapsulation, inlined into the worker: an outer IPv4 header of the everyday shape that is sound in every
// respect. Of any other packet it only says that it is not one of those; then `OuterPacket` has the word. The conditions are
// stricter than the rules (OuterPacket+Verify.swift), never weaker, but for the source address.

/// A VXLAN packet over IPv4 without options or fragmentation, 50 octets in front of its inner frame. RFC 7348 section 5.
@frozen
public struct PlainOuterIPv4: Sendable {
  /// Octets in front of the inner frame.
  @inlinable public static var byteCount: Int { 50 }

  /// Outer source, host byte order. Not multicast, nor in 240.0.0.0/4; whether it is otherwise fit for a host is not checked:
  /// it counts only if it is a known VTEP's.
  public var source: UInt32
  /// Outer destination, host byte order: one of our addresses, a group, or somebody else's.
  public var destination: UInt32
  /// Outer TOS octet, for `ECN.decapsulate`.
  public var trafficClass: UInt8
  /// The segment.
  public var vni: VNI
  /// Octets of the inner frame, at least 14; Ethernet padding of the outer frame is not among them.
  public var innerByteCount: Int

  /// Nil for every packet that is not of this shape, sound or not.
  ///
  /// - Parameters:
  ///   - packet: the packet from its outer Ethernet header on; any length. Nothing is read beyond its end.
  ///   - udpPort: the destination port of VXLAN.
  ///   - isTrusted: the UDP checksum need not be verified (`OuterPacket.init(trusting:byteCount:policy:)`).
  @inlinable @inline(__always)
  public init?(_ packet: RawSpan, udpPort: UInt16, isTrusted: Bool = false) {
    // EtherType, version and header length; flags and fragment offset, protocol (DF alone may be set).
    guard packet.byteCount >= 64, packet.big32(12) &>> 8 == 0x0008_0045,
      packet.big32(20) & 0x3fff_00ff == UInt32(IPProtocol.udp), packet.big16(36) == udpPort
    else { return nil }
    let ipByteCount = Int(packet.big16(16))
    let udpByteCount = Int(packet.big16(38))
    guard ipByteCount == udpByteCount &+ 20, ipByteCount &+ 14 <= packet.byteCount, udpByteCount >= 30 else { return nil }
    let vxlan = packet.big64(42)
    source = packet.big32(26)
    guard vxlan & 0x0800_0000_0000_0000 != 0, source < 0xe000_0000, PlainOuterIPv4.isSoundHeader(packet) else { return nil }
    if !isTrusted && packet.big16(40) != 0 {
      let addressSum = UInt32(InternetChecksum.fold(packet.big64(26)))
      guard OuterPacket.isSoundUDP(packet, at: 34, byteCount: udpByteCount, addressSum: addressSum) else { return nil }
    }
    destination = packet.big32(30)
    trafficClass = packet.byte(15)
    vni = VNI(truncating: UInt32(truncatingIfNeeded: vxlan &>> 8))
    innerByteCount = udpByteCount &- 16
  }

  /// Whether the checksum of an IPv4 header without options is right: whether its sum is a multiple of 0xffff.
  @inlinable @inline(__always)
  static func isSoundHeader(_ packet: RawSpan) -> Bool {
    // The sum need not be folded. 2^64 - 1 is a multiple of 0xffff, so end-around carries keep the remainder, whatever the
    // byte order. And a word is a multiple of an odd number just when its product with that number's inverse modulo 2^64 is
    // no more than the largest quotient.
    let first = packet.unsafeLoadUnaligned(fromUncheckedByteOffset: 14, as: UInt64.self)
    let second = packet.unsafeLoadUnaligned(fromUncheckedByteOffset: 22, as: UInt64.self)
    let third = UInt64(packet.unsafeLoadUnaligned(fromUncheckedByteOffset: 30, as: UInt32.self))
    let pair = first.addingReportingOverflow(second)
    let all = pair.partialValue.addingReportingOverflow(third &+ (pair.overflow ? 1 : 0))
    let sum = all.partialValue &+ (all.overflow ? 1 : 0)
    return sum &* 0xfffe_fffe_fffe_ffff <= 0x0001_0001_0001_0001
  }
}
