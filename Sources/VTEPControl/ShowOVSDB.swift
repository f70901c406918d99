// ShowOVSDB: `vtepctl show ovsdb`, the connection to each remote of the controller's database.

/// Asks for all remotes.
public struct ShowOVSDB: ControlRequest {
  public typealias Answer = [OVSDBRemoteRow]
  public static let method = "show.ovsdb"
  public static let parameterNames = names(of: CodingKeys.self)

  public init() {}

  enum CodingKeys: CodingKey, CaseIterable {}
}

/// One remote.
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

  public init(
    remote: String, state: String, sinceSeconds: Int, lastError: String? = nil, logicalSwitches: Int? = nil, ucastRemote: Int? = nil,
    ucastLocal: Int? = nil
  ) {
    self.remote = remote
    self.state = state
    self.sinceSeconds = sinceSeconds
    self.lastError = lastError
    self.logicalSwitches = logicalSwitches
    self.ucastRemote = ucastRemote
    self.ucastLocal = ucastLocal
  }

  enum CodingKeys: String, CodingKey {
    case remote, state
    case sinceSeconds = "since_s"
    case lastError = "last_error"
    case logicalSwitches = "logical_switches"
    case ucastRemote = "ucast_remote"
    case ucastLocal = "ucast_local"
  }
}
