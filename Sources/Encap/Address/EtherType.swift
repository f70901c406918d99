// The EtherType and IP protocol numbers this module looks at (IANA, IEEE RA).

/// EtherTypes, host byte order.
public enum EtherType {
  /// IPv4.
  @inlinable public static var ipv4: UInt16 { 0x0800 }
  /// ARP.
  @inlinable public static var arp: UInt16 { 0x0806 }
  /// IPv6.
  @inlinable public static var ipv6: UInt16 { 0x86dd }
  /// LACP and other slow protocols (IEEE 802.3-2018 annex 57A).
  static var slowProtocols: UInt16 { 0x8809 }
  /// LLDP (IEEE 802.1AB).
  static var lldp: UInt16 { 0x88cc }
  /// EAP over LANs (IEEE 802.1X).
  static var eapol: UInt16 { 0x888e }
  /// The 802.1Q customer tag (C-TAG).
  @inlinable public static var customerTag: UInt16 { 0x8100 }
  /// The 802.1ad service tag (S-TAG).
  @inlinable public static var serviceTag: UInt16 { 0x88a8 }

  /// An Ethernet frame inside GRE or Geneve (Transparent Ethernet Bridging).
  static var bridged: UInt16 { 0x6558 }
  /// MPLS (RFC 3032 section 5).
  static var mpls: UInt16 { 0x8847 }

  /// Whether this value is the TPID of a VLAN tag.
  @inlinable @inline(__always)
  public static func isTag(_ value: UInt16) -> Bool {
    value == customerTag || value == serviceTag
  }
}

/// IP protocol and IPv6 next-header numbers.
@usableFromInline
enum IPProtocol {
  @inlinable static var hopByHop: UInt8 { 0 }
  @inlinable static var icmp: UInt8 { 1 }
  @inlinable static var igmp: UInt8 { 2 }
  /// IPv4 in IP (RFC 2003).
  @inlinable static var ipv4: UInt8 { 4 }
  @inlinable static var tcp: UInt8 { 6 }
  @inlinable static var udp: UInt8 { 17 }
  /// IPv6 in IP (RFC 4213, RFC 2473).
  @inlinable static var ipv6: UInt8 { 41 }
  @inlinable static var routing: UInt8 { 43 }
  @inlinable static var fragment: UInt8 { 44 }
  @inlinable static var gre: UInt8 { 47 }
  /// Authentication Header (RFC 4302).
  @inlinable static var authentication: UInt8 { 51 }
  @inlinable static var icmpv6: UInt8 { 58 }
  @inlinable static var destinationOptions: UInt8 { 60 }
  @inlinable static var ospf: UInt8 { 89 }
  @inlinable static var pim: UInt8 { 103 }
  @inlinable static var vrrp: UInt8 { 112 }
  @inlinable static var sctp: UInt8 { 132 }
  /// MPLS in IP (RFC 4023).
  @inlinable static var mpls: UInt8 { 137 }

  /// Whether the first four octets of the transport header are source and destination port.
  @inlinable @inline(__always)
  static func hasPorts(_ number: UInt8) -> Bool {
    number == tcp || number == udp || number == sctp
  }
  /// The same of DCCP and UDP-Lite, too: what access control lists can match.
  static func hasACLPorts(_ number: UInt8) -> Bool {
    // DCCP (RFC 4340) and UDP-Lite (RFC 3828).
    hasPorts(number) || number == 33 || number == 136
  }

  /// IPv6 extension headers that access control lists look behind (RFC 7045; mobility, HIP and Shim6 headers end a chain in practice).
  static func isExtension(_ number: UInt8) -> Bool {
    number == hopByHop || number == routing || number == fragment || number == destinationOptions || number == authentication
  }
}
