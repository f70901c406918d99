// What passes between the NIC of an owned uplink and its tap, by what is lost with it: control protocols, without which neighbours, groups,
// routes or the link are given up, and everything else of the host's. Step D1, for frames that are not VXLAN for us.

/// The class of a frame of the host. Raw values are dense from 0 and index counter arrays.
@frozen
public enum HostFrameClass: UInt8, CaseIterable, Sendable {
  /// LACP, LLDP, 802.1X, spanning tree and whatever else goes to the group addresses of a link (IEEE 802.1Q-2018 table 8-1).
  case link
  /// ARP, and ND (RFC 4861).
  case neighbor
  /// IGMP, and MLD (RFC 2710, RFC 3810).
  case membership
  /// BGP (RFC 4271), BFD (RFC 5881, 5883, 7130, 7881), OSPF, IS-IS, PIM and VRRP.
  case routing
  /// All others.
  case host

  /// How many classes there are: the size of a counter array.
  @inlinable public static var count: Int { Int(HostFrameClass.host.rawValue) + 1 }

  /// The stable name, that of the case.
  public var name: String {
    switch self {
    case .link: "link"
    case .neighbor: "neighbor"
    case .membership: "membership"
    case .routing: "routing"
    case .host: "host"
    }
  }

  /// - Parameter frame: the first octets of a frame, with its tags; any length. Headers that are not in there make it `host`.
  public init(_ frame: RawSpan) {
    self = .host
    guard let offset = ControlFrame.typeOffset(frame) else { return }
    switch frame.big16(offset) {
    case EtherType.arp: self = .neighbor
    case EtherType.ipv4: self = .ofIPv4(frame, at: offset &+ 2)
    case EtherType.ipv6: self = .ofIPv6(frame, at: offset &+ 2)
    case EtherType.slowProtocols, EtherType.lldp, EtherType.eapol: self = .link
    case let length:
      if MACAddress(loading: frame, at: 0).isLinkLocalControl {
        self = .link
      } else if length <= 1500, frame.byteCount >= offset &+ 4, frame.big16(offset &+ 2) == Self.osiAccessPoints {
        self = .routing
      }
    }
  }

  /// Of IS-IS (ISO 10589), in the LLC header.
  private static var osiAccessPoints: UInt16 { 0xfefe }

  private static func ofIPv4(_ frame: RawSpan, at header: Int) -> HostFrameClass {
    guard frame.byteCount >= header &+ 20 else { return .host }
    let isLaterFragment = frame.big16(header &+ 6) & 0x1fff != 0
    if frame.byte(header &+ 9) == IPProtocol.igmp { return .membership }
    return ofTransport(
      frame.byte(header &+ 9), frame, at: header &+ 4 &* Int(frame.byte(header) & 0xf), isLaterFragment: isLaterFragment)
  }

  private static func ofIPv6(_ frame: RawSpan, at header: Int) -> HostFrameClass {
    guard frame.byteCount >= header &+ 40 else { return .host }
    let chain = IPv6HeaderChain(packet: frame, header: header, end: frame.byteCount)
    guard !chain.isMalformed else { return .host }
    let isLaterFragment = chain.fragment & 0xfff8 != 0
    guard chain.transport == IPProtocol.icmpv6 else {
      return ofTransport(chain.transport, frame, at: chain.offset, isLaterFragment: isLaterFragment)
    }
    guard !isLaterFragment, chain.offset < frame.byteCount else { return .host }
    switch frame.byte(chain.offset) {
    case 130...132, 143: return .membership
    case 133...137: return .neighbor
    default: return .host
    }
  }

  private static func ofTransport(_ number: UInt8, _ frame: RawSpan, at offset: Int, isLaterFragment: Bool) -> HostFrameClass {
    switch number {
    case IPProtocol.ospf, IPProtocol.pim, IPProtocol.vrrp:
      return .routing
    case IPProtocol.tcp, IPProtocol.udp:
      guard !isLaterFragment, frame.byteCount >= offset &+ 4 else { return .host }
      let (source, destination) = (frame.big16(offset), frame.big16(offset &+ 2))
      if number == IPProtocol.tcp { return source == bgp || destination == bgp ? .routing : .host }
      switch destination {
      // BFD: single hop, echo, multihop, on members of a LAG, seamless.
      case 3784, 3785, 4784, 6784, 7784: return .routing
      default: return .host
      }
    default:
      return .host
    }
  }

  private static var bgp: UInt16 { 179 }
}
