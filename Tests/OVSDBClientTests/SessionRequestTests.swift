// The session, scripted: transactions, locks, echo in both directions.

import Testing

@testable import OVSDBClient

@Suite struct SessionRequestTests {
  private let a = TestSchema.id(0xa)

  @Test func everyOperationHasItsForm() throws {
    let named = OVSDBDatum(.named("r"))
    let operations: [(OVSDBOperation, String)] = [
      (.insert(table: "T", row: ["n": 1], name: "r"), #"{"op":"insert","row":{"n":1},"table":"T","uuid-name":"r"}"#),
      (.insert(table: "U", row: ["ref": named]), #"{"op":"insert","row":{"ref":["named-uuid","r"]},"table":"U"}"#),
      (.select(table: "T", where: []), #"{"op":"select","table":"T","where":[]}"#),
      (
        .select(table: "T", where: [OVSDBCondition("n", .greaterThan, 3)], columns: ["name"]),
        #"{"columns":["name"],"op":"select","table":"T","where":[["n",">",3]]}"#
      ),
      (
        .update(table: "T", where: [.row(a)], row: ["map": ["k": "v"], "n": .emptySet]),
        #"{"op":"update","row":{"map":["map",[["k","v"]]],"n":["set",[]]},"table":"T","where":[["_uuid","==",["uuid","\#(a)"]]]}"#
      ),
      (
        .mutate(table: "T", where: [], mutations: [OVSDBMutation("set", .insert, OVSDBDatum(set: [1, 2])), OVSDBMutation("n", .add, 1)]),
        #"{"mutations":[["set","insert",["set",[1,2]]],["n","+=",1]],"op":"mutate","table":"T","where":[]}"#
      ),
      (
        .delete(table: "T", where: [OVSDBCondition("set", .includes, OVSDBDatum(set: [1, 2]))]),
        #"{"op":"delete","table":"T","where":[["set","includes",["set",[1,2]]]]}"#
      ),
      (
        .wait(table: "T", where: [], columns: ["n"], isEqual: false, rows: [["n": 1]], timeoutMilliseconds: 0),
        #"{"columns":["n"],"op":"wait","rows":[{"n":1}],"table":"T","timeout":0,"until":"!=","where":[]}"#
      ),
      (.commit(durable: true), #"{"durable":true,"op":"commit"}"#), (.abort, #"{"op":"abort"}"#),
      (.comment("a \"b\""), #"{"comment":"a \"b\"","op":"comment"}"#), (.assert(lock: "l"), #"{"lock":"l","op":"assert"}"#),
    ]
    for (operation, text) in operations { #expect(operation.json.description == text) }
  }

  @Test func transactionsAreAnswered() throws {
    var server = ScriptedServer()
    #expect(throws: OVSDBError.self) { _ = try server.session.transact([.abort]) }
    _ = try server.connect()
    let id = try server.session.transact([
      .insert(table: "T", row: ["name": "x"]), .update(table: "T", where: [], row: ["n": 1]), .comment("c"),
      .select(table: "T", where: [], columns: ["name", "n", "_uuid"]),
    ])
    let message = try server.expect("transact")
    #expect(message["params"]?.elements?.first == "db")
    let events = server.send(
      #"{"id":\#(message["id"] ?? .null),"result":[{"uuid":["uuid","\#(a)"]},{"count":3},{},{"rows":[{"_uuid":["uuid","\#(a)"],"name":"x","n":["set",[]]}]}],"error":null}"#
    )
    guard case .transaction(let answered, .success(let results)) = events.first else { throw Unexpected() }
    #expect(answered == id)
    #expect(results[0].insertedID == a && results[1].count == 3 && results[2] == .done)
    guard case .rows(let rows) = results[3] else { throw Unexpected() }
    #expect(rows.first?.id == a && rows.first?.row["name"] == "x" && rows.first?.row["n"] == .emptySet && rows.first?.row["set"] == nil)
  }

  @Test(
    arguments: [
      (
        #"[{"uuid":["uuid","\#(TestSchema.id(1))"]},{"error":"constraint violation","details":"d"}]"#, 1, "delete T", "constraint violation"
      ),
      (#"[{"error":"domain error"},null]"#, 0, "insert T", "domain error"),
      (
        #"[{"uuid":["uuid","\#(TestSchema.id(1))"]},{"count":0},{"error":"referential integrity violation","details":"d"}]"#, nil, "commit",
        "referential"
      ),
    ] as [(String, Int?, String, String)])
  func refusedTransactionsNameTheOperation(_ result: String, _ index: Int?, _ operation: String, _ error: String) throws {
    var server = ScriptedServer()
    _ = try server.connect()
    _ = try server.session.transact([.insert(table: "T", row: [:]), .delete(table: "T", where: [])])
    let outcome = try #require(try server.answer("transact", result).first?.outcome)
    guard case .failure(.transaction(let failure)) = outcome else { throw Unexpected() }
    #expect(failure.index == index && failure.operation == operation && failure.error.hasPrefix(error))
  }

  @Test func aTransactionWithoutAnswerHasAnUnknownOutcome() throws {
    var server = ScriptedServer()
    _ = try server.connect()
    let id = try server.session.transact([.comment("x")])
    let other = try server.session.send(.listDatabases)
    let events = server.session.closed("reset by peer", now: server.now)
    guard case .transaction(id, .failure(.unknownOutcome("reset by peer"))) = events.first else { throw Unexpected() }
    guard case .reply(other, .failure(.unknownOutcome)) = events.last else { throw Unexpected() }
    #expect(events.count == 2)
    // The next connection starts without leftovers of this one.
    server.open()
    _ = try server.expect("get_schema")
    #expect(try server.next() == nil)
  }

  @Test func aTransactionCanBeCancelled() throws {
    var server = ScriptedServer()
    _ = try server.connect()
    let id = try server.session.transact([.wait(table: "T", where: [], columns: [], isEqual: true, rows: [], timeoutMilliseconds: nil)])
    let request = try server.expect("transact")
    server.session.cancel(id)
    let message = try server.expect("cancel")
    #expect(message["id"] == .null && message["params"] == .array([request["id"] ?? .null]))
    let events = server.send(#"{"id":\#(request["id"] ?? .null),"result":null,"error":"canceled"}"#)
    #expect(events.first?.outcome == .failure(.refused(method: "transact", error: "canceled", details: nil)))
  }

  @Test func otherRequestsAreAnswered() throws {
    var server = ScriptedServer()
    server.open()
    _ = try server.expect("get_schema")
    let id = try server.session.send(.listDatabases)
    guard case .reply(id, .success(["a", "b"])) = try server.answer("list_dbs", #"["a","b"]"#).first else { throw Unexpected() }
    let bad = try server.session.send(.monitorCancel(id: "x"))
    let events = try server.refuse("monitor_cancel", #"{"error":"unknown monitor","details":"no"}"#)
    guard case .reply(bad, .failure(.refused("monitor_cancel", "unknown monitor", "no"))) = events.first else { throw Unexpected() }
    guard case .notification("update2", ["mine", [:]]) = server.send(#"{"id":null,"method":"update2","params":["mine",{}]}"#).first else {
      throw Unexpected()
    }
  }

  @Test func locksAreKeptOverConnections() throws {
    var server = ScriptedServer()
    server.session.lock("l")
    server.open()
    _ = try server.expect("get_schema")
    #expect(try server.answer("lock", #"{"locked":false}"#).isEmpty)
    guard case .lock("l", true) = server.send(#"{"id":null,"method":"locked","params":["l"]}"#).first else { throw Unexpected() }
    #expect(server.session.holds(lock: "l"))
    guard case .lock("l", false) = server.send(#"{"id":null,"method":"stolen","params":["l"]}"#).first else { throw Unexpected() }
    server.session.lock("l", steal: true)
    guard case .lock("l", true) = try server.answer("steal", #"{"locked":true}"#).first else { throw Unexpected() }
    guard case .lock("l", false) = server.session.closed("gone", now: server.now).first else { throw Unexpected() }
    server.open()
    _ = try server.expect("get_schema")
    _ = try server.expect("lock")
    server.session.unlock("l")
    _ = try server.expect("unlock")
    #expect(!server.session.holds(lock: "l"))
  }

  @Test func echoIsAnsweredAtAnyTime() throws {
    var server = ScriptedServer()
    server.open()
    _ = try server.expect("get_schema")
    #expect(server.send(#"{"method":"echo","id":"echo","params":[1,"x"]}"#).isEmpty)
    #expect(try server.next() == ["id": "echo", "result": [1, "x"], "error": .null])
    #expect(server.send(#"{"method":"dance","id":7,"params":[]}"#).isEmpty)
    #expect(try server.next() == ["id": 7, "result": .null, "error": "unknown method"])
  }

  @Test func aSilentPeerIsAskedAndThenGivenUp() throws {
    var server = ScriptedServer(probeInterval: .seconds(5))
    _ = try server.connect()
    let start = server.now
    #expect(server.session.deadline == start.advanced(by: .seconds(5)))
    #expect(server.session.tick(now: start.advanced(by: .seconds(4))).isEmpty)
    #expect(try server.next() == nil)
    server.now = start.advanced(by: .seconds(5))
    #expect(server.session.tick(now: server.now).isEmpty)
    _ = try server.answer("echo", "[]")
    #expect(server.session.deadline == start.advanced(by: .seconds(10)))
    #expect(server.session.tick(now: start.advanced(by: .seconds(10))).isEmpty)
    _ = try server.expect("echo")
    let events = server.session.tick(now: start.advanced(by: .seconds(15)))
    #expect(events.last?.failure == .silent(seconds: 10))
    #expect(server.session.deadline == nil)
  }

  @Test func aPeerThatSendsSlowlyIsNotSilent() throws {
    var server = ScriptedServer(probeInterval: .seconds(5))
    server.open()
    for _ in 0..<5 {
      server.now = server.now.advanced(by: .seconds(4))
      #expect(server.send(server.session.deadline == nil ? "" : "[").isEmpty)
      #expect(server.session.tick(now: server.now).isEmpty)
    }
    var patient = ScriptedServer(probeInterval: nil)
    patient.open()
    #expect(patient.session.deadline == nil)
  }

  private struct Unexpected: Error {}
}
