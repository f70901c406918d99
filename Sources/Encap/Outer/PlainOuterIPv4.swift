// The short cut of decapsulation, inlined into the worker: an outer IPv4 header of the everyday shape that is sound in every
// respect. Of any other packet it only says that it is not one of those; then `OuterPacket` has the word. The conditions are
// stricter than the rules (OuterPacket+Verify.swift), never weaker, but for the source address.

/// A VXLAN packet over IPv4 without options, fragmentation or padding, 50 octets in front of its inner frame. RFC 7348 section 5.
@frozen
public struct PlainOuterIPv4: Sendable {
  /// Octets in front of the inner frame.
  @inlinable public static var byteCount: Int { 50 }

  /// Outer source, host byte order. Whether it is fit for a host is not checked: it counts only if it is a known VTEP's, and not a
  /// group's.
  public var source: UInt32
  /// Outer destination, wire order: one of our addresses, a group, or somebody else's.
  public var wireDestination: UInt32
  /// Outer TOS octet, for `ECN.decapsulate`.
  public var trafficClass: UInt8
  /// The segment: its number with the octets swapped.
  public var wireVNI: UInt32
  /// Octets of the inner frame, at least 16 (`WireEthernetHeader`). The packet ends with it.
  public var innerByteCount: Int

  /// Outer destination, host byte order.
  @inlinable @inline(__always)
  public var destination: UInt32 { UInt32(bigEndian: wireDestination) }
  /// The segment.
  @inlinable @inline(__always)
  public var vni: VNI { PlainOuterIPv4.vni(wire: wireVNI) }

  /// A VNI from its wire order.
  @inlinable @inline(__always)
  public static func vni(wire: UInt32) -> VNI { VNI(truncating: wire.byteSwapped) }

  /// Nil for every packet that is not of this shape, sound or not.
  ///
  /// - Parameters:
  ///   - packet: the packet from its outer Ethernet header on; any length. Nothing is read beyond its end.
  ///   - udpPort: the destination port of VXLAN.
  ///   - isTrusted: the UDP checksum need not be verified (`OuterPacket.init(trusting:byteCount:policy:)`).
  @inlinable @inline(__always)
  public init?(_ packet: RawSpan, udpPort: UInt16, isTrusted: Bool = false) {
    // EtherType, version and header length; flags and fragment offset, protocol (DF alone may be set). Constants in wire order, and
    // lengths made from the packet's own and then compared, are cheaper than fields in host order, and a comparison with memory is
    // cheaper than one of a part of a word.
    let udpByteCount = packet.byteCount &- 34
    guard packet.byteCount >= 66, packet.raw16(12) == UInt16(bigEndian: EtherType.ipv4), _fastPath(packet.byte(14) == 0x45),
      packet.raw16(20) & UInt16(bigEndian: 0x3fff) == 0, _fastPath(packet.byte(23) == IPProtocol.udp),
      packet.raw16(36) == udpPort.bigEndian, packet.raw16(38) == UInt16(truncatingIfNeeded: udpByteCount).bigEndian,
      packet.raw16(16) == UInt16(truncatingIfNeeded: udpByteCount &+ 20).bigEndian, packet.byteCount <= 65_535,
      packet.byte(42) & 0x08 != 0, PlainOuterIPv4.isSoundHeader(packet)
    else { return nil }
    if !isTrusted && packet.raw16(40) != 0 {
      let addressSum = UInt32(InternetChecksum.fold(packet.big64(26)))
      guard OuterPacket.isSoundUDP(packet, at: 34, byteCount: udpByteCount, addressSum: addressSum) else { return nil }
    }
    source = packet.big32(26)
    wireDestination = packet.raw32(30)
    trafficClass = packet.byte(15)
    wireVNI = UInt32(littleEndian: packet.raw32(46)) &<< 8
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
