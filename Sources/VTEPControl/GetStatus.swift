// GetStatus: `vtepctl status`. The one command that is answered in every state of the daemon.

/// Asks for the daemon's state.
public struct GetStatus: ControlRequest {
  public typealias Answer = DaemonStatus
  public static let method = "status"
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  public init() {}

  enum CodingKeys: CodingKey, CaseIterable {}
}

/// The daemon in numbers.
public struct DaemonStatus: Codable, Equatable, Sendable {
  public enum State: String, Codable, Sendable, CaseIterable { case starting, running, stopping }

  public var state: State
  /// The configuration's `name`.
  public var name: String
  /// `hypervisor` or `gateway`.
  public var mode: String
  public var version: String
  public var uptimeSeconds: Int
  /// Time that counters cover: more than the uptime after a restart that has kept them.
  public var countedSeconds: Int
  /// Forwarding threads.
  public var workers: Int
  public var ports: Int
  /// Names of ports that currently cannot be attached; `show ports` has the reasons.
  public var unattached: [String]
  public var vnis: Int
  /// Entries of the MAC table.
  public var macs: Int
  /// What keeps the underlay or a worker from working, one sentence each.
  public var problems: [String]
  /// Nil: no change waits for confirmation.
  @Nullable public var unconfirmed: UnconfirmedChange?

  public init(
    state: State, name: String, mode: String, version: String, uptimeSeconds: Int, countedSeconds: Int = 0, workers: Int, ports: Int,
    unattached: [String] = [], vnis: Int, macs: Int, problems: [String] = [], unconfirmed: UnconfirmedChange? = nil
  ) {
    self.state = state
    self.name = name
    self.mode = mode
    self.version = version
    self.uptimeSeconds = uptimeSeconds
    self.countedSeconds = countedSeconds
    self.workers = workers
    self.ports = ports
    self.unattached = unattached
    self.vnis = vnis
    self.macs = macs
    self.problems = problems
    self.unconfirmed = unconfirmed
  }

  enum CodingKeys: String, CodingKey {
    case state, name, mode, version
    case uptimeSeconds = "uptime_s"
    case countedSeconds = "counted_s"
    case workers, ports, unattached, vnis, macs, problems, unconfirmed
  }
}

/// A change of the configuration that is undone unless it is confirmed in time.
public struct UnconfirmedChange: Codable, Equatable, Sendable {
  public var action: String
  public var secondsLeft: Int

  public init(action: String, secondsLeft: Int) {
    self.action = action
    self.secondsLeft = secondsLeft
  }

  enum CodingKeys: String, CodingKey {
    case action
    case secondsLeft = "seconds_left"
  }
}
