// Session: the conversation with a server, from the connection to the replica (RFC 7047 §4): a state machine without I/O or
// clock. Bytes and the time go in, events and bytes come out. It lives as long as its client and outlasts connections: it
// keeps the replica, so that the next connection fetches only what changed. The order of things:
//
//     get_schema _Server → monitor Database → (is it the leader?) → get_schema → monitor → replica

/// A conversation about one database.
public struct Session: Sendable {
  /// How far the conversation has come.
  enum Phase: Sendable {
    /// There is no connection.
    case closed
    /// Asking what the server is.
    case server
    /// The server is not, or not yet, one to replicate from.
    case waiting
    case schema
    case monitor(MonitorMethod)
    case ready(MonitorMethod)
    /// The peer broke the rules or fell silent.
    case failed
  }

  /// What an outstanding request is about.
  enum Pending: Sendable {
    case serverSchema
    case serverMonitor
    case schema
    case monitor(MonitorMethod)
    case transaction([OVSDBOperation])
    case lock(String)
    /// Asked by `send`.
    case other(OVSDBRequest)
    /// Whose answer is of no interest.
    case ignored
  }

  let configuration: SessionConfiguration
  var phase = Phase.closed
  var framer: JSONFramer
  var output: [UInt8] = []
  var pending: [Int64: Pending] = [:]
  var lastRequest: Int64 = 0
  /// Locks that are wanted, and whether we have them.
  var locks: [String: Bool] = [:]
  /// What `_Server` contains; nil when the server has no such database.
  var server: Replica?
  /// When the peer was last heard.
  var lastHeard: ContinuousClock.Instant?
  /// When the peer was asked for a sign of life that has not come.
  var probed: ContinuousClock.Instant?

  /// What the database contains, as far as is known: also while there is no connection, or a new one is being set up.
  /// nil before the first time.
  public internal(set) var replica: Replica?

  /// The replica that is being set up, from the schema to the contents.
  var next: Replica?

  /// The identities of our monitors.
  static let monitorID: JSONValue = "replica"
  static let serverMonitorID: JSONValue = "server"

  public init(_ configuration: SessionConfiguration) {
    self.configuration = configuration
    framer = JSONFramer(limits: configuration.limits)
  }

  /// Whether the replica is complete and kept up to date.
  public var isReady: Bool {
    if case .ready = phase { return true }
    return false
  }

  /// What the server says about the database; nil before it did, and when it does not have it.
  public var serverDatabase: ServerDatabase? {
    server.flatMap { ServerDatabase(named: configuration.database, in: $0) }
  }

  /// Whether the lock is ours.
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
  /// - Parameter reason: For the transactions that were not answered.
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

  /// What there is to be sent; to be asked for after each call.
  public mutating func takeOutput() -> [UInt8] {
    defer { output = [] }
    return output
  }

  /// Sends a request and notes what its answer is about.
  @discardableResult
  mutating func request(_ request: OVSDBRequest, _ subject: Pending) -> RequestID {
    lastRequest += 1
    pending[lastRequest] = subject
    output += RPCMessage.encode(request, id: lastRequest)
    return RequestID(number: lastRequest)
  }

  /// The session cannot go on.
  mutating func fail(_ error: OVSDBError, _ events: inout [SessionEvent]) {
    phase = .failed
    events.append(.failed(error))
  }

  /// Whether there is a connection that can be used.
  var isOpen: Bool {
    switch phase {
    case .closed, .failed: false
    case .server, .waiting, .schema, .monitor, .ready: true
    }
  }
}
