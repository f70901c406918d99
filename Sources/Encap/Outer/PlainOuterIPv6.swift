// The same as PlainOuterIPv4 for packets over IPv6: no extension headers, and a UDP checksum, which is verified. `OuterPacket` is the whole
// truth about all others.

import CEncap

/// A VXLAN packet over IPv6 without extension headers or padding and with a right UDP checksum, 70 octets in front of its inner frame.
/// RFC 7348 section 5, RFC 8200.
@frozen
public struct PlainOuterIPv6: Sendable {
  /// Octets in front of the inner frame.
  @inlinable public static var byteCount: Int { 70 }

  /// Outer source. Whether it is fit for a host is not checked: it counts only if it is a known VTEP's, and not a group's.
  public var source: IPAddress
  /// Outer traffic class octet, for `ECN.decapsulate`.
  public var trafficClass: UInt8
  /// As in `PlainOuterIPv4`.
  public var wireSegment: UInt32
  /// Octets of the inner frame, at least 14. The packet ends with it.
  public var innerByteCount: Int

  /// What the packets to one address have in common, as in `PlainOuterIPv4`.
  @frozen
  public struct Pattern: Sendable {
    @usableFromInline let words: cencap_pattern

    /// - Parameters:
    ///   - mac: the outer destination address; nil: any.
    ///   - destination: the outer IP destination.
    ///   - udpPort: the destination port of VXLAN.
    @inlinable @inline(__always)
    public init(mac: MACAddress?, destination: IPAddress, udpPort: UInt16) {
      // In each pair of words: MAC addresses, EtherType, version; the destination; the UDP port, the I flag.
      words = cencap_pattern(
        mask: (mac == nil ? 0 : 0x0000_ffff_ffff_ffff, 0x00f0_ffff_0000_0000, .max, .max, 0xffff_0000, 0x08),
        value: (
          (mac?.bits ?? 0).byteSwapped &>> 16, 0x0060_dd86_0000_0000, destination.high.bigEndian, destination.low.bigEndian,
          UInt64(udpPort.bigEndian) &<< 16, 0x08
        ))
    }

    /// Whether a packet matches, and is long enough.
    /// - Parameter isTrusted: of no account here.
    @inlinable @inline(__always)
    public func matches(_ packet: RawSpan, isTrusted: Bool) -> Bool {
      packet.byteCount >= 86 && packet.withUnsafeBytes { cencap_compare($0.baseAddress.unsafelyUnwrapped, words, 0, 38, 54, 0) } == 0
        && packet.byte(20) == IPProtocol.udp
    }
  }

  /// Nil for every packet that is not of this shape, sound or not.
  ///
  /// - Parameters:
  ///   - packet: the packet from its outer Ethernet header on; any length. Nothing is read beyond its end.
  ///   - pattern: of the packets to our address.
  ///   - isTrusted: as below.
  @inlinable @inline(__always)
  public init?(_ packet: RawSpan, _ pattern: Pattern, isTrusted: Bool) {
    guard pattern.matches(packet, isTrusted: isTrusted) else { return nil }
    self.init(matching: packet, isTrusted: isTrusted)
  }

  /// The VXLAN header's last word, as it is in memory, of a packet that matches a pattern.
  @inlinable @inline(__always)
  public static func wireSegment(_ packet: RawSpan) -> UInt32 { packet.raw32(66) }

  /// Nil for a packet that is not sound in every respect.
  ///
  /// - Parameters:
  ///   - packet: matches a pattern.
  ///   - isTrusted: the UDP checksum need not be verified (`OuterPacket.init(trusting:byteCount:policy:)`).
  @inlinable @inline(__always)
  public init?(matching packet: RawSpan, isTrusted: Bool) {
    let udpByteCount = packet.byteCount &- 54
    guard packet.raw16(18) == UInt16(truncatingIfNeeded: udpByteCount).bigEndian,
      packet.raw16(58) == UInt16(truncatingIfNeeded: udpByteCount).bigEndian, packet.byteCount <= 65_535, packet.raw16(60) != 0
    else { return nil }
    if !isTrusted {
      // The addresses and all that follows them; the rest of the pseudo-header (RFC 8200 section 8.1).
      let sum = InternetChecksum.partialSum(packet.extracting(unchecked: 22..<packet.byteCount))
      guard InternetChecksum.fold(sum &+ UInt32(truncatingIfNeeded: udpByteCount) &+ UInt32(IPProtocol.udp)) == 0xffff else { return nil }
    }
    source = IPAddress(high: packet.big64(22), low: packet.big64(30))
    trafficClass = UInt8(truncatingIfNeeded: packet.big16(14) &>> 4)
    wireSegment = PlainOuterIPv6.wireSegment(packet)
    innerByteCount = udpByteCount &- 16
  }
}
