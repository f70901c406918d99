// ShowVTEPs: `vtepctl show vteps`, the remote VTEPs and how they are reached.

/// Asks for all remote VTEPs.
public struct ShowVTEPs: PagedRequest {
  public typealias Row = VTEPRow
  public typealias Answer = Page<VTEPRow>
  public static let method = "show.vteps"
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  public var cursor: UInt64?
  public var limit: Int?

  public init(cursor: UInt64? = nil, limit: Int? = nil) {
    self.cursor = cursor
    self.limit = limit
  }

  enum CodingKeys: CodingKey, CaseIterable { case cursor, limit }
}

/// Whether packets to an underlay destination can leave.
public enum ReachabilityState: String, Codable, Sendable, CaseIterable {
  /// A route and at least one neighbour with a MAC address.
  case resolved
  /// A route; the neighbour is asked for.
  case resolving
  /// No route, or no neighbour answers.
  case unreachable
}

/// One way to an underlay destination.
public struct NextHopRow: Codable, Equatable, Sendable {
  /// The gateway, or the destination itself when it is on the link.
  public var address: String
  public var device: String
  /// MAC address; nil while unresolved.
  @Nullable public var mac: String?
  /// The kernel's name of the neighbour's state: `reachable`, `stale`, `incomplete`, …
  @Nullable public var state: String?

  public init(address: String, device: String, mac: String? = nil, state: String? = nil) {
    self.address = address
    self.device = device
    self.mac = mac
    self.state = state
  }

  enum CodingKeys: CodingKey { case address, device, mac, state }
}

/// What makes the MTU towards a VTEP less than that of the interface.
public struct PathMTURow: Codable, Equatable, Sendable {
  public enum Origin: String, Codable, Sendable {
    /// The route has an MTU of its own (`ip route … mtu`).
    case route
    /// A router on the way has reported it.
    case icmp
  }

  /// Bytes.
  public var mtu: Int
  public var origin: Origin
  /// The router; nil unless `origin` is `icmp`.
  @Nullable public var reporter: String?
  /// Until it is forgotten, in seconds; nil unless `origin` is `icmp`.
  @Nullable public var expiresSeconds: Int?

  public init(mtu: Int, origin: Origin, reporter: String? = nil, expiresSeconds: Int? = nil) {
    self.mtu = mtu
    self.origin = origin
    self.reporter = reporter
    self.expiresSeconds = expiresSeconds
  }

  enum CodingKeys: String, CodingKey {
    case mtu, origin, reporter
    case expiresSeconds = "expires_s"
  }
}

/// One remote VTEP. Counters count outer packets and their bytes from the outer IP header on.
public struct VTEPRow: Codable, Equatable, Sendable {
  public var address: String
  public var state: ReachabilityState
  /// Why nothing can be sent to it; nil: it can.
  @Nullable public var reason: String?
  /// VNIs that reach it, by flood list or MAC entry.
  public var vnis: [UInt32]
  /// MAC table entries behind it.
  public var macs: Int
  public var nextHops: [NextHopRow]
  /// Underlay MTU towards it, in bytes; nil while there is no route.
  @Nullable public var mtu: Int?
  /// Nil: `mtu` is that of the interface.
  @Nullable public var pathMTU: PathMTURow?
  public var rxPackets: UInt64
  public var rxBytes: UInt64
  public var txPackets: UInt64
  public var txBytes: UInt64
  /// State of the BFD session: `admin_down`, `down`, `init` or `up`; nil: there is none.
  @Nullable public var bfd: String?
  /// BFD frames from it while BFD does not run with it.
  public var bfdIgnored: UInt64

  public init(
    address: String, state: ReachabilityState, reason: String? = nil, vnis: [UInt32] = [], macs: Int = 0, nextHops: [NextHopRow] = [],
    mtu: Int? = nil, pathMTU: PathMTURow? = nil, rxPackets: UInt64 = 0, rxBytes: UInt64 = 0, txPackets: UInt64 = 0, txBytes: UInt64 = 0,
    bfd: String? = nil, bfdIgnored: UInt64 = 0
  ) {
    self.address = address
    self.state = state
    self.reason = reason
    self.vnis = vnis
    self.macs = macs
    self.nextHops = nextHops
    self.mtu = mtu
    self.pathMTU = pathMTU
    self.rxPackets = rxPackets
    self.rxBytes = rxBytes
    self.txPackets = txPackets
    self.txBytes = txBytes
    self.bfd = bfd
    self.bfdIgnored = bfdIgnored
  }

  enum CodingKeys: String, CodingKey {
    case address, state, reason, vnis, macs, bfd
    case bfdIgnored = "bfd_ignored"
    case nextHops = "next_hops"
    case mtu
    case pathMTU = "path_mtu"
    case rxPackets = "rx_packets"
    case rxBytes = "rx_bytes"
    case txPackets = "tx_packets"
    case txBytes = "tx_bytes"
  }
}
