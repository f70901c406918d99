// The outer Ethernet, IP, UDP and VXLAN headers of one next hop, built once on the control side and kept in the forwarding
// snapshot. A worker copies the words and patches what differs per packet (OuterHeader+Write.swift). RFC 7348 section 5.

/// A prebuilt outer header: plain data of 72 bytes.
@frozen
public struct OuterHeader: Sendable {
  // Octets 0...55 of the header in wire order, with zeros where a packet's own values go. IPv4 uses 0...39 of them. What IPv4 needs
  // comes first, in one cache line.
  @usableFromInline let word0, word1, word2, word3, word4: UInt64
  /// Over IPv4: sum of the header words that never change. Over IPv6: `udpSum`. Folded, in wire order.
  @usableFromInline let wireSum: UInt16
  /// Sum of pseudo-header, UDP destination port and VXLAN flags, without lengths, source port and VNI.
  @usableFromInline let udpSum: UInt32
  @usableFromInline let udpPort: UInt16
  /// Bits of the inner traffic class that go out: 3 (ECN, RFC 6040) or all. The others are in the words.
  @usableFromInline let inheritedMask: UInt8
  /// What `write` must do beyond the everyday case, which is 0: plain IPv4.
  @usableFromInline let features: UInt8
  @usableFromInline let word5, word6: UInt64

  @inlinable static var ipv6Feature: UInt8 { 1 }
  @inlinable static var checksumFeature: UInt8 { 2 }
  @inlinable static var inheritedTTLFeature: UInt8 { 4 }
  @inlinable static var ownKeyFeature: UInt8 { 8 }

  /// Over IPv6.
  @inlinable @inline(__always)
  public var isIPv6: Bool { features & OuterHeader.ipv6Feature != 0 }

  @inlinable @inline(__always)
  var inheritsTTL: Bool { features & OuterHeader.inheritedTTLFeature != 0 }

  /// Whether `write` computes the UDP checksum, and so needs the sum of the inner frame.
  @inlinable @inline(__always)
  public var computesUDPChecksum: Bool { features & OuterHeader.checksumFeature != 0 }

  /// Whether the inner packet's DSCP goes out.
  @inlinable @inline(__always)
  public var inheritsDSCP: Bool { inheritedMask == 0xff }

  /// Octets of Ethernet, IPv4, UDP and VXLAN header.
  @inlinable public static var ipv4ByteCount: Int { 50 }
  /// Octets of Ethernet, IPv6, UDP and VXLAN header.
  @inlinable public static var ipv6ByteCount: Int { 70 }
  /// Octets of the VXLAN header.
  @inlinable public static var vxlanByteCount: Int { 8 }
  /// Octets of UDP and VXLAN header.
  @inlinable public static var udpAndVXLANByteCount: Int { 16 }
  /// `dscp` value that inherits the inner packet's DSCP.
  @inlinable public static var inheritedDSCP: UInt8 { 0xff }
  /// Outer TTL or hop limit of an inherited TTL when the inner frame is not IP.
  @inlinable public static var ttlOfNonIP: UInt8 { 64 }

  /// Octets this header occupies: 50 or 70.
  @inlinable @inline(__always)
  public var byteCount: Int { isIPv6 ? OuterHeader.ipv6ByteCount : OuterHeader.ipv4ByteCount }

  /// Builds the header for one source, destination and next hop.
  /// - Parameters:
  ///   - source: our VTEP address; of the destination's family.
  ///   - destination: the remote VTEP or a multicast group.
  ///   - sourceMAC: address of the underlay interface.
  ///   - destinationMAC: address of the next hop, or `destination.multicastMAC`.
  ///   - udpPort: UDP destination port, 4789 by IANA.
  ///   - ttl: outer TTL or hop limit; 0 inherits the inner packet's, and is 64 where there is none.
  ///   - dscp: 0...63, or `inheritedDSCP`.
  ///   - computesUDPChecksum: false sends zero (RFC 7348 section 4.1; over IPv6 RFC 6935).
  ///   - hasOwnKey: the tunnel has a VNI of its own, which the caller of `write` gives: not the everyday case.
  public init(
    source: IPAddress, destination: IPAddress, sourceMAC: MACAddress, destinationMAC: MACAddress, udpPort: UInt16,
    ttl: UInt8, dscp: UInt8, computesUDPChecksum: Bool, hasOwnKey: Bool = false
  ) {
    precondition(source.isIPv4 == destination.isIPv4, "outer source and destination of different address families")
    precondition(dscp < 64 || dscp == OuterHeader.inheritedDSCP, "DSCP has six bits")
    self.udpPort = udpPort
    let isInherited = dscp == OuterHeader.inheritedDSCP
    let trafficClass = UInt64(isInherited ? 0 : dscp << 2)
    inheritedMask = isInherited ? 0xff : 3
    features =
      (source.isIPv4 ? 0 : OuterHeader.ipv6Feature) | (computesUDPChecksum ? OuterHeader.checksumFeature : 0)
      | (ttl == 0 ? OuterHeader.inheritedTTLFeature : 0) | (hasOwnKey ? OuterHeader.ownKeyFeature : 0)

    let addressSum = InternetChecksum.partialSum(source) + InternetChecksum.partialSum(destination)
    udpSum = addressSum + UInt32(IPProtocol.udp) + UInt32(udpPort) + 0x0800
    word0 = (destinationMAC.bits << 16 | sourceMAC.bits >> 32).bigEndian
    let sourceMACTail = (sourceMAC.bits & 0xffff_ffff) << 32
    if !source.isIPv4 {
      word1 = (sourceMACTail | UInt64(EtherType.ipv6) << 16 | 0x6000 | trafficClass << 4).bigEndian
      word2 = (UInt64(IPProtocol.udp) << 24 | UInt64(ttl) << 16 | source.high >> 48).bigEndian
      word3 = (source.high << 16 | source.low >> 48).bigEndian
      word4 = (source.low << 16 | destination.high >> 48).bigEndian
      word5 = (destination.high << 16 | destination.low >> 48).bigEndian
      word6 = (destination.low << 16).bigEndian
      wireSum = InternetChecksum.fold(udpSum).bigEndian
    } else {
      // Identification 0 with DF: an atomic datagram (RFC 6864), never fragmented on the way (RFC 7348 section 4.3).
      word1 = (sourceMACTail | UInt64(EtherType.ipv4) << 16 | 0x4500 | trafficClass).bigEndian
      word2 = (0x4000 << 16 | UInt64(ttl) << 8 | UInt64(IPProtocol.udp)).bigEndian
      word3 = (UInt64(source.ipv4) << 16 | UInt64(destination.ipv4) >> 16).bigEndian
      // The source port's two upper bits are the same in all packets.
      word4 = (UInt64(destination.ipv4) << 48 | 0xc000 << 32 | UInt64(udpPort) << 16).bigEndian
      word5 = 0
      word6 = 0
      wireSum =
        InternetChecksum.fold(addressSum + 0x4500 + UInt32(trafficClass) + 0x4000 + UInt32(ttl) << 8 + UInt32(IPProtocol.udp)).bigEndian
    }
  }
}
