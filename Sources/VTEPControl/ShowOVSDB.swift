// ShowOVSDB: `vtepctl show ovsdb`, the connection to each remote of the controller's database.

/// Asks for all remotes.
public struct ShowOVSDB: ControlRequest {
  public typealias Answer = [OVSDBRemoteRow]
  public static let method = "show.ovsdb"
  public static let parameterNames = names(of: CodingKeys.self)

  public init() {}

  enum CodingKeys: CodingKey, CaseIterable {}
}

/// Ends the hold of networks that the database no longer asks for: what it says is applied at once.
public struct ReleaseHold: ControlRequest {
  public typealias Answer = ChangeAnswer
  public static let method = "ovsdb.release-hold"
  public static let parameterNames = names(of: CodingKeys.self)

  public init() {}

  enum CodingKeys: CodingKey, CaseIterable {}
}

/// A network that is forwarded although the database no longer asks for it.
public struct HeldNetworkRow: Codable, Equatable, Sendable {
  public var logicalSwitch: String
  public var vni: UInt32
  /// `withdrawn`: the controller has taken its tunnel key away. `database-empty`: the database was found empty after a connection.
  public var reason: String
  /// Whole seconds until it is given up, or until the database alone counts.
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

/// One remote. What is held and what is wrong is the database's, and the same at each of its remotes.
public struct OVSDBRemoteRow: Codable, Equatable, Sendable {
  /// In Open vSwitch's notation, e.g. `ssl:192.0.2.1:6640`.
  public var remote: String
  /// VOID, BACKOFF, CONNECTING, ACTIVE or IDLE, as in the Manager table.
  public var state: String
  /// Since when, in whole seconds.
  public var sinceSeconds: Int
  /// Why the last connection ended or did not come about; nil: there was none, or it goes on well.
  @Nullable public var lastError: String?
  /// Rows of Logical_Switch, Ucast_Macs_Remote and Ucast_Macs_Local in the replica; nil: it is not known.
  @Nullable public var logicalSwitches: Int?
  @Nullable public var ucastRemote: Int?
  @Nullable public var ucastLocal: Int?
  /// In `Physical_Switch.tunnel_ips`: where others are to send to.
  @Nullable public var tunnelAddress: String?
  /// Seconds until the last network that is held goes; nil: none is.
  @Nullable public var holdSeconds: Int?
  public var held: [HeldNetworkRow]
  /// What cannot be as the controller wants, one sentence each.
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
