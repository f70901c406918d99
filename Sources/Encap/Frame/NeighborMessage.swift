// NeighborMessage: what an ARP frame (RFC 826) or a message of neighbour discovery (RFC 4861 section 4) says: who asks for whom, and which
// addresses somebody claims. Neighbour suppression, the controller's IP addresses and routers read it; +Write has the frames that we send.
// Off the fast path: steps E3, D4 and E6.

/// What a station is, as far as neighbour discovery tells.
public enum NeighborRole: UInt8, Sendable {
  case unknown, host, router
}

/// A MAC address for an IP address, as a frame claims it.
public struct NeighborClaim: Equatable, Sendable {
  public var address: IPAddress
  public var mac: MACAddress
  public var role: NeighborRole

  public init(address: IPAddress, mac: MACAddress, role: NeighborRole = .unknown) {
    self.address = address
    self.mac = mac
    self.role = role
  }
}

/// An ARP request or reply, or one of the four messages by which IPv6 neighbours find each other.
public struct NeighborMessage: Equatable, Sendable {
  public enum Kind: Sendable {
    case request, reply
    case solicitation, advertisement
    case routerSolicitation, routerAdvertisement
  }

  public let kind: Kind
  /// The frame's source.
  public let source: MACAddress
  /// ARP: the sender's hardware address. ND: the link-layer address among the options, the target's in an advertisement; nil: none.
  public let hardware: MACAddress?
  /// ARP: the sender's protocol address. ND: the packet's source.
  public let sender: IPAddress
  /// The address asked for or advertised; of router messages unspecified.
  public let target: IPAddress
  /// The R flag of an advertisement.
  public let hasRouterFlag: Bool

  /// Nil when the frame is anything else, or one that a receiver has to discard (RFC 4861 section 6.1 and 7.1).
  ///
  /// - Parameter frame: the contiguous beginning of an untagged frame.
  public init?(_ frame: RawSpan) {
    guard frame.byteCount >= 42 else { return nil }
    source = MACAddress(loading: frame, at: 6)
    switch frame.big16(12) {
    case EtherType.arp:
      // Hardware type, protocol type, their lengths, operation 1 or 2.
      guard frame.big32(14) == 0x0001_0800, frame.big16(18) == 0x0604, let kind = Self.kind(operation: frame.big16(20)) else { return nil }
      self.kind = kind
      hardware = MACAddress(loading: frame, at: 22)
      sender = IPAddress(ipv4: frame.big32(28))
      target = IPAddress(ipv4: frame.big32(38))
      hasRouterFlag = false
    case EtherType.ipv6:
      // Next header ICMPv6; hop limit 255, or it came from beyond a router.
      guard frame.byteCount >= 62, frame.byte(14) &>> 4 == 6, frame.big16(20) == 0x3aff, let kind = Self.kind(icmp: frame.big16(54)) else {
        return nil
      }
      let end = 54 &+ Int(frame.big16(18))
      let options: Int
      switch kind {
      case .routerSolicitation: options = 62
      case .routerAdvertisement: options = 70
      default: options = 78
      }
      sender = IPAddress(loading16: frame, at: 22)
      guard end >= options, InternetChecksum.isSoundICMPv6(frame, byteCount: end), !sender.isIPv4 else { return nil }
      self.kind = kind
      target = options == 78 ? IPAddress(loading16: frame, at: 62) : IPAddress(high: 0, low: 0)
      guard !target.isIPv4 else { return nil }
      hasRouterFlag = kind == .advertisement && frame.byte(58) & 0x80 != 0
      // A message with an option of no length is discarded whole.
      guard Self.hasSoundOptions(frame, from: options, to: end) else { return nil }
      hardware = Self.linkLayerAddress(frame, type: kind == .advertisement ? 2 : 1, from: options, to: end)
    default: return nil
    }
  }

  private static func kind(operation: UInt16) -> Kind? { operation == 1 ? .request : operation == 2 ? .reply : nil }

  /// By type and code.
  private static func kind(icmp: UInt16) -> Kind? {
    switch icmp {
    case 0x8500: .routerSolicitation
    case 0x8600: .routerAdvertisement
    case 0x8700: .solicitation
    case 0x8800: .advertisement
    default: nil
    }
  }

  private static func hasSoundOptions(_ frame: RawSpan, from start: Int, to end: Int) -> Bool {
    var offset = start
    while end &- offset >= 8, frame.byte(offset &+ 1) > 0 { offset = offset &+ Int(frame.byte(offset &+ 1)) &* 8 }
    return offset == end
  }

  /// The address in the first option of a type (RFC 4861 section 4.6.1). The options are sound.
  private static func linkLayerAddress(_ frame: RawSpan, type: UInt8, from start: Int, to end: Int) -> MACAddress? {
    var offset = start
    while offset < end {
      if frame.byte(offset) == type, frame.byte(offset &+ 1) == 1 { return MACAddress(loading: frame, at: offset &+ 2) }
      offset = offset &+ Int(frame.byte(offset &+ 1)) &* 8
    }
    return nil
  }
}

// MARK: - What it claims

extension NeighborMessage {
  /// What it says about a neighbour: in ARP the sender, in ND the sender or the target of an advertisement. A proxy may speak for another.
  public var told: NeighborClaim? {
    let mac: MACAddress
    switch kind {
    case .request, .reply, .solicitation, .routerSolicitation:
      guard let hardware else { return nil }
      mac = hardware
    case .advertisement, .routerAdvertisement: mac = hardware ?? source
    }
    return claim(of: mac)
  }

  /// What its source says about itself; nil when it claims no address (a probe), or speaks for another station.
  public var claim: NeighborClaim? { hardware == nil || hardware == source ? claim(of: source) : nil }

  /// The address that its source claims, and that is known beyond its link.
  public var stationAddress: IPAddress? { claim.flatMap { $0.address.isLinkLocal ? nil : $0.address } }

  private func claim(of mac: MACAddress) -> NeighborClaim? {
    let address = kind == .advertisement ? target : sender
    guard !mac.isMulticast, !mac.isZero, !address.isMulticast, !address.isUnspecified, !address.isLoopback, !address.isLimitedBroadcast
    else { return nil }
    return NeighborClaim(address: address, mac: mac, role: role)
  }

  /// What it says its sender is (RFC 4861 section 6.2.6, 6.3.4 and 7.2.5).
  private var role: NeighborRole {
    switch kind {
    case .advertisement: hasRouterFlag ? .router : .host
    case .routerAdvertisement: .router
    case .routerSolicitation: .host
    case .request, .reply, .solicitation: .unknown
    }
  }
}

// MARK: - What it asks

extension NeighborMessage {
  /// Whom the answer is for; nil: it asks nothing that the owner of `target` would answer.
  public var asker: MACAddress? {
    let mac = kind == .request ? hardware ?? source : source
    // An answer to a group would reach everybody.
    guard kind == .request || kind == .solicitation, !mac.isMulticast, !mac.isZero, !target.isMulticast, !sender.isMulticast else {
      return nil
    }
    return mac
  }

  /// Whether it asks a question that another may answer in the owner's place. Not so:
  ///
  /// * probes and announcements of a station that is about to use an address, or that has just begun to (RFC 5227, RFC 4862 section 5.4);
  /// * questions whose frame is not the asker's.
  public var isForAnybody: Bool {
    asker == source && hardware == source && sender != target && !sender.isUnspecified && !sender.isMulticast && !target.isUnspecified
  }
}
