// ScriptedServer: drives a session by hand: it parses the session's output, and its answers are texts.

import Testing

@testable import OVSDBClient

struct ScriptedServer {
  var session: Session
  var now = ContinuousClock.now
  private var sent: [JSONValue] = []
  private var parser = JSONParser()

  init(
    columns: [String: [String]]? = nil, requiresLeader: Bool = true, probeInterval: Duration? = .seconds(5),
    limits: JSONLimits = JSONLimits()
  ) {
    session = Session(
      SessionConfiguration(database: "db", columns: columns, requiresLeader: requiresLeader, probeInterval: probeInterval, limits: limits))
  }

  mutating func open() {
    session.opened(now: now)
    sent = []
    parser = JSONParser()
  }

  /// The next message that the session sent, which must be this request.
  mutating func expect(_ method: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> JSONValue {
    let message = try #require(try next(), "nothing was sent, not \(method)", sourceLocation: sourceLocation)
    #expect(message["method"]?.text == method, "\(message)", sourceLocation: sourceLocation)
    return message
  }

  /// The next message that the session sent.
  mutating func next() throws -> JSONValue? {
    sent += try parser.feed(session.takeOutput())
    return sent.isEmpty ? nil : sent.removeFirst()
  }

  mutating func send(_ text: String) -> [SessionEvent] {
    session.receive(text.utf8, now: now)
  }

  /// Expects a request and answers it.
  mutating func answer(_ method: String, _ result: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> [SessionEvent] {
    let message = try expect(method, sourceLocation: sourceLocation)
    return send(#"{"id":\#(message["id"] ?? .null),"result":\#(result),"error":null}"#)
  }

  /// Expects a request and rejects it.
  mutating func refuse(_ method: String, _ error: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> [SessionEvent] {
    let message = try expect(method, sourceLocation: sourceLocation)
    return send(#"{"error":\#(error),"id":\#(message["id"] ?? .null),"result":null}"#)
  }

  /// Everything up to the request for the schema, with a server that has `_Server`.
  mutating func introduce(
    _ row: String = #"{"name":"db","model":"standalone","connected":true,"leader":true}"#, sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> [SessionEvent] {
    var events = try answer("get_schema", TestSchema.server, sourceLocation: sourceLocation)
    events += try answer("set_db_change_aware", "{}", sourceLocation: sourceLocation)
    return events
      + (try answer("monitor_cond", #"{"Database":{"\#(TestSchema.id(1))":{"initial":\#(row)}}}"#, sourceLocation: sourceLocation))
  }

  /// Everything up to a replica with these contents.
  mutating func connect(_ contents: String = "{}", transaction: RowID = .zero, isDifference: Bool = false) throws -> [SessionEvent] {
    open()
    var events = try introduce()
    events += try answer("get_schema", TestSchema.text)
    return events + (try answer("monitor_cond_since", #"[\#(isDifference),"\#(transaction)",\#(contents)]"#))
  }
}

extension SessionEvent {
  var replica: Replica? {
    switch self {
    case .connected(let replica), .changed(_, let replica): replica
    default: nil
    }
  }

  var changes: [TableChange]? {
    guard case .changed(let changes, _) = self else { return nil }
    return changes
  }

  var failure: OVSDBError? {
    guard case .failed(let error) = self else { return nil }
    return error
  }

  var outcome: Result<[OperationResult], OVSDBError>? {
    guard case .transaction(_, let outcome) = self else { return nil }
    return outcome
  }
}
