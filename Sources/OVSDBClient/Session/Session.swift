// Session: the protocol with a server, from the new connection to the replica (RFC 7047 §4): a state machine without I/O or clock.
// Bytes and the time go in, events and bytes come out. It outlives connections and keeps the replica, so the next connection
// fetches only what changed. The sequence:
//
//     get_schema _Server → monitor Database → (is it the leader?) → get_schema → monitor → replica

/// The protocol session for one database.
public struct Session: Sendable {
  /// The states, in order.
  enum Phase: Sendable {
    /// There is no connection.
    case closed
    /// Asking for the server's own state.
    case server
    /// The server is not suitable, or not yet.
    case waiting
    case schema
    case monitor(MonitorMethod)
    case ready(MonitorMethod)
    /// The peer violated the protocol or fell silent.
    case failed
  }

  /// The kinds of outstanding requests.
  enum Pending: Sendable {
    case serverSchema
    case serverMonitor
    case schema
    case monitor(MonitorMethod)
    case transaction([OVSDBOperation])
    case lock(String)
    /// Sent through `send`.
    case other(OVSDBRequest)
    /// The answer is ignored.
    case ignored
  }

  let configuration: SessionConfiguration
  var phase = Phase.closed
  var framer: JSONFramer
  var output: [UInt8] = []
  var pending: [Int64: Pending] = [:]
  var lastRequest: Int64 = 0
  /// The locks we request, and whether we hold them.
  var locks: [String: Bool] = [:]
  /// The contents of `_Server`; nil if the server has no such database.
  var server: Replica?
  /// When the last byte from the peer arrived.
  var lastHeard: ContinuousClock.Instant?
  /// When an unanswered probe was sent.
  var probed: ContinuousClock.Instant?

  /// The last known contents of the database, kept without a connection and while a new one is set up. nil before the first
  /// connection.
  public internal(set) var replica: Replica?

  /// The replica under construction, from the schema to the contents.
  var next: Replica?

  /// The IDs of our monitors.
  static let monitorID: JSONValue = "replica"
  static let serverMonitorID: JSONValue = "server"

  public init(_ configuration: SessionConfiguration) {
    self.configuration = configuration
    framer = JSONFramer(limits: configuration.limits)
  }

  /// Whether the replica is complete and updated.
  public var isReady: Bool {
    if case .ready = phase { return true }
    return false
  }

  /// The server's row about the database; nil before it arrives, and if the server does not have the database.
  public var serverDatabase: ServerDatabase? {
    server.flatMap { ServerDatabase(named: configuration.database, in: $0) }
  }

  /// Whether we hold the lock.
  public func holds(lock name: String) -> Bool { locks[name] == true }

  /// A connection is up.
  public mutating func opened(now: ContinuousClock.Instant) {
    framer = JSONFramer(limits: configuration.limits)
    output = []
    pending = [:]
    server = nil
    next = nil
    lastHeard = now
    probed = nil
    phase = .server
    request(.getSchema(database: ServerDatabase.database), .serverSchema)
    for name in locks.keys.sorted() { request(.lock(name), .lock(name)) }
  }

  /// The connection is gone.
  ///
  /// - Parameter reason: for the transactions that were not answered.
  public mutating func closed(_ reason: String, now: ContinuousClock.Instant) -> [SessionEvent] {
    var events: [SessionEvent] = []
    for (number, pending) in pending.sorted(by: { $0.key < $1.key }) {
      switch pending {
      case .transaction: events.append(.transaction(RequestID(number: number), .failure(.unknownOutcome(reason))))
      case .other: events.append(.reply(RequestID(number: number), .failure(.unknownOutcome(reason))))
      case .serverSchema, .serverMonitor, .schema, .monitor, .lock, .ignored: break
      }
    }
    for name in locks.keys.sorted() where locks[name] == true {
      locks[name] = false
      events.append(.lock(name, isHeld: false))
    }
    phase = .closed
    pending = [:]
    output = []
    framer = JSONFramer(limits: configuration.limits)
    lastHeard = nil
    probed = nil
    return events
  }

  /// The bytes to send. Ask after each call.
  public mutating func takeOutput() -> [UInt8] {
    defer { output = [] }
    return output
  }

  /// Sends a request and notes its kind for the answer.
  @discardableResult
  mutating func request(_ request: OVSDBRequest, _ subject: Pending) -> RequestID {
    lastRequest += 1
    pending[lastRequest] = subject
    output += RPCMessage.encode(request, id: lastRequest)
    return RequestID(number: lastRequest)
  }

  /// The session cannot continue.
  mutating func fail(_ error: OVSDBError, _ events: inout [SessionEvent]) {
    phase = .failed
    events.append(.failed(error))
  }

  /// Whether there is a usable connection.
  var isOpen: Bool {
    switch phase {
    case .closed, .failed: false
    case .server, .waiting, .schema, .monitor, .ready: true
    }
  }
}
