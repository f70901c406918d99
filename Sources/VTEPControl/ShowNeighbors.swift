// ShowNeighbors: `vtepctl show neighbors`, the IP addresses that are known in the overlay, page by page.

/// Asks for neighbours; every filter that is given must match.
public struct ShowNeighbors: PagedRequest {
  public typealias Row = NeighborRow
  public typealias Answer = Page<NeighborRow>
  public static let method = "show.neighbors"
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  public var vni: UInt32?
  /// IPv4 or IPv6.
  public var address: String?
  public var mac: String?
  public var cursor: UInt64?
  public var limit: Int?

  public init(vni: UInt32? = nil, address: String? = nil, mac: String? = nil, cursor: UInt64? = nil, limit: Int? = nil) {
    self.vni = vni
    self.address = address
    self.mac = mac
    self.cursor = cursor
    self.limit = limit
  }

  enum CodingKeys: CodingKey, CaseIterable { case vni, address, mac, cursor, limit }
}

/// An IP address and the MAC address that it has.
public struct NeighborRow: Codable, Equatable, Sendable {
  /// Whether requests for it can be answered by others than its owner.
  public enum State: String, Codable, Sendable, CaseIterable { case known, contested }

  public var vni: UInt32
  /// IPv6 as RFC 5952 wants it.
  public var address: String
  /// Lower-case, colon-separated.
  public var mac: String
  /// `contested`: its sources differ, or it was seen with two MAC addresses in the last three minutes.
  public var state: State
  /// `file`, `controller`, `local` (ARP or ND at a port), `overlay` (the same, from another VTEP).
  public var sources: [String]
  /// Seconds since a station claimed it in ARP or ND; nil: none has.
  @Nullable public var ageSeconds: UInt32?
  /// Whether its station is a router, as that has told in ND; nil: it has not.
  @Nullable public var router: Bool?

  public init(
    vni: UInt32, address: String, mac: String, state: State, sources: [String], ageSeconds: UInt32? = nil, router: Bool? = nil
  ) {
    self.vni = vni
    self.address = address
    self.mac = mac
    self.state = state
    self.sources = sources
    self.ageSeconds = ageSeconds
    self.router = router
  }

  enum CodingKeys: String, CodingKey {
    case vni, address, mac, state, sources, router
    case ageSeconds = "age_s"
  }
}
