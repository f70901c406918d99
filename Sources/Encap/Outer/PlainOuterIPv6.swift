// The same as PlainOuterIPv4 for packets over IPv6: no extension headers, and a UDP checksum, which is verified. `OuterPacket` is the whole
// truth about all others.

/// A VXLAN packet over IPv6 without extension headers or padding and with a right UDP checksum, 70 octets in front of its inner frame.
/// RFC 7348 section 5, RFC 8200.
@frozen
public struct PlainOuterIPv6: Sendable {
  /// Octets in front of the inner frame.
  @inlinable public static var byteCount: Int { 70 }

  /// Outer source. Whether it is fit for a host is not checked: it counts only if it is a known VTEP's, and not a group's.
  public var source: IPAddress
  /// Outer destination: our address, a group, or somebody else's.
  public var destination: IPAddress
  /// Outer traffic class octet, for `ECN.decapsulate`.
  public var trafficClass: UInt8
  /// The segment, in wire order in the first three octets.
  public var wireVNI: UInt32
  /// Octets of the inner frame, at least 14. The packet ends with it.
  public var innerByteCount: Int

  /// Nil for every packet that is not of this shape, sound or not.
  ///
  /// - Parameters:
  ///   - packet: the packet from its outer Ethernet header on; any length. Nothing is read beyond its end.
  ///   - udpPort: the destination port of VXLAN.
  ///   - isTrusted: the UDP checksum need not be verified.
  @inlinable @inline(__always)
  public init?(_ packet: RawSpan, udpPort: UInt16, isTrusted: Bool) {
    let udpByteCount = packet.byteCount &- 54
    // EtherType and version; next header; ports; both lengths, made from the packet's own; the I flag.
    guard packet.byteCount >= 86, packet.raw32(12) & UInt32(bigEndian: 0xffff_f000) == UInt32(bigEndian: 0x86dd_6000),
      packet.byte(20) == IPProtocol.udp, packet.raw16(56) == udpPort.bigEndian,
      packet.raw16(18) == UInt16(truncatingIfNeeded: udpByteCount).bigEndian,
      packet.raw16(58) == UInt16(truncatingIfNeeded: udpByteCount).bigEndian, packet.byteCount <= 65_535, packet.byte(62) & 0x08 != 0,
      packet.raw16(60) != 0
    else { return nil }
    if !isTrusted {
      // The addresses and all that follows them; the rest of the pseudo-header (RFC 8200 section 8.1).
      let sum = InternetChecksum.partialSum(packet.extracting(unchecked: 22..<packet.byteCount))
      guard InternetChecksum.fold(sum &+ UInt32(truncatingIfNeeded: udpByteCount) &+ UInt32(IPProtocol.udp)) == 0xffff else { return nil }
    }
    source = IPAddress(high: packet.big64(22), low: packet.big64(30))
    destination = IPAddress(high: packet.big64(38), low: packet.big64(46))
    trafficClass = UInt8(truncatingIfNeeded: packet.big16(14) &>> 4)
    wireVNI = UInt32(littleEndian: packet.raw32(66)) &<< 8
    innerByteCount = udpByteCount &- 16
  }
}
