// ShowOVSDB: `vtepctl show ovsdb`, the connection to each remote of the controller's database.

/// Asks for all remotes.
public struct ShowOVSDB: ControlRequest {
  public typealias Answer = [OVSDBRemoteRow]
  public static let method = "show.ovsdb"
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  public init() {}

  enum CodingKeys: CodingKey, CaseIterable {}
}

/// Ends the hold of networks that are no longer in the database, and applies the database at once.
public struct ReleaseHold: ControlRequest {
  public typealias Answer = ChangeAnswer
  public static let method = "ovsdb.release-hold"
  public static let access = ControlAccess.change
  public static let parameterNames = names(of: CodingKeys.self)

  public init() {}

  enum CodingKeys: CodingKey, CaseIterable {}
}

/// A network that is forwarded although it is no longer in the database.
public struct HeldNetworkRow: Codable, Equatable, Sendable {
  public var logicalSwitch: String
  public var vni: UInt32
  /// `withdrawn`: the controller has withdrawn its tunnel key. `database-empty`: the database was empty after connecting.
  public var reason: String
  /// Whole seconds until it is removed, or until only the database counts.
  public var secondsLeft: Int

  public init(logicalSwitch: String, vni: UInt32, reason: String, secondsLeft: Int) {
    self.logicalSwitch = logicalSwitch
    self.vni = vni
    self.reason = reason
    self.secondsLeft = secondsLeft
  }

  enum CodingKeys: String, CodingKey {
    case logicalSwitch = "logical_switch"
    case vni, reason
    case secondsLeft = "hold_s"
  }
}

/// One remote. Holds and faults belong to the database, and are the same for each of its remotes.
public struct OVSDBRemoteRow: Codable, Equatable, Sendable {
  /// In Open vSwitch's notation, e.g. `ssl:192.0.2.1:6640`.
  public var remote: String
  /// VOID, BACKOFF, CONNECTING, ACTIVE or IDLE, as in the Manager table.
  public var state: String
  /// Since when, in whole seconds.
  public var sinceSeconds: Int
  /// Why the last connection ended or failed; nil: there was none, or it is healthy.
  @Nullable public var lastError: String?
  /// Rows of Logical_Switch, Ucast_Macs_Remote and Ucast_Macs_Local in the replica; nil: it is not known.
  @Nullable public var logicalSwitches: Int?
  @Nullable public var ucastRemote: Int?
  @Nullable public var ucastLocal: Int?
  /// The address in `Physical_Switch.tunnel_ips` that others send to.
  @Nullable public var tunnelAddress: String?
  /// Seconds until the last held network is removed; nil: none is held.
  @Nullable public var holdSeconds: Int?
  public var held: [HeldNetworkRow]
  /// Requests of the controller that cannot be met, one sentence each.
  public var faults: [String]

  public init(
    remote: String, state: String, sinceSeconds: Int, lastError: String? = nil, logicalSwitches: Int? = nil, ucastRemote: Int? = nil,
    ucastLocal: Int? = nil, tunnelAddress: String? = nil, holdSeconds: Int? = nil, held: [HeldNetworkRow] = [], faults: [String] = []
  ) {
    self.remote = remote
    self.state = state
    self.sinceSeconds = sinceSeconds
    self.lastError = lastError
    self.logicalSwitches = logicalSwitches
    self.ucastRemote = ucastRemote
    self.ucastLocal = ucastLocal
    self.tunnelAddress = tunnelAddress
    self.holdSeconds = holdSeconds
    self.held = held
    self.faults = faults
  }

  enum CodingKeys: String, CodingKey {
    case remote, state
    case sinceSeconds = "since_s"
    case lastError = "last_error"
    case logicalSwitches = "logical_switches"
    case ucastRemote = "ucast_remote"
    case ucastLocal = "ucast_local"
    case tunnelAddress = "tunnel_address"
    case holdSeconds = "hold_s"
    case held, faults
  }
}
