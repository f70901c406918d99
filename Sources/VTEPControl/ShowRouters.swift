// ShowRouters: `vtepctl show routers` and `vtepctl show routes`: logical routers, their interfaces and their routes.

/// Asks for all interfaces of routers.
public struct ShowRouters: ControlRequest {
  public typealias Answer = [RouterRow]
  public static let method = "show.routers"
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  public init() {}

  enum CodingKeys: CodingKey, CaseIterable {}
}

/// One interface of a router: its presence in a VNI.
public struct RouterRow: Codable, Equatable, Sendable {
  public var router: String
  /// Of all its interfaces, on every VTEP.
  public var mac: String
  public var source: RowSource
  public var vni: UInt32
  /// Addresses with prefix lengths.
  public var addresses: [String]
  /// Name of its access control list.
  @Nullable public var acl: String?
  /// `up`, or `no-vni`: the VNI is not there.
  public var state: String
  /// Frames from the VNI to the router, and from it.
  public var rxPackets: UInt64
  public var rxBytes: UInt64
  public var txPackets: UInt64
  public var txBytes: UInt64

  public enum RowSource: String, Codable, Sendable { case config, ovsdb }

  public init(
    router: String, mac: String, source: RowSource, vni: UInt32, addresses: [String], acl: String?, state: String,
    rxPackets: UInt64, rxBytes: UInt64, txPackets: UInt64, txBytes: UInt64
  ) {
    self.router = router
    self.mac = mac
    self.source = source
    self.vni = vni
    self.addresses = addresses
    self.acl = acl
    self.state = state
    self.rxPackets = rxPackets
    self.rxBytes = rxBytes
    self.txPackets = txPackets
    self.txBytes = txBytes
  }

  enum CodingKeys: String, CodingKey {
    case router, mac, source, vni, addresses, acl, state
    case rxPackets = "rx_packets"
    case rxBytes = "rx_bytes"
    case txPackets = "tx_packets"
    case txBytes = "tx_bytes"
  }
}

/// Asks for the routes of all routers, or of one.
public struct ShowRoutes: ControlRequest {
  public typealias Answer = [RouteRow]
  public static let method = "show.routes"
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  /// Nil: all.
  public var router: String?

  public init(router: String? = nil) {
    self.router = router
  }

  enum CodingKeys: CodingKey, CaseIterable { case router }
}

/// One route.
public struct RouteRow: Codable, Equatable, Sendable {
  public var router: String
  public var prefix: String
  /// `connected`: the network of an interface; `static`.
  public var type: String
  @Nullable public var nextHop: String?
  /// Of the interface that leads there.
  @Nullable public var vni: UInt32?
  /// False: the VNI is not there.
  public var active: Bool

  public init(router: String, prefix: String, type: String, nextHop: String?, vni: UInt32?, active: Bool) {
    self.router = router
    self.prefix = prefix
    self.type = type
    self.nextHop = nextHop
    self.vni = vni
    self.active = active
  }

  enum CodingKeys: String, CodingKey {
    case router, prefix, type
    case nextHop = "next_hop"
    case vni, active
  }
}
