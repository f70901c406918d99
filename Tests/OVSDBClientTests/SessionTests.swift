// The session, scripted: from the connection to the replica, updates, and what goes wrong.

import Testing

@testable import OVSDBClient

@Suite struct SessionTests {
  private let a = TestSchema.id(0xa)
  private let b = TestSchema.id(0xb)

  @Test func theReplicaIsBuiltAndFollows() throws {
    var server = ScriptedServer()
    let events = try server.connect(#"{"T":{"\#(a)":{"initial":{"name":"x","set":["set",[1,2]]}}}}"#, transaction: b)
    #expect(events.count == 2)
    guard case .server(let database) = events[0] else { throw Unexpected() }
    #expect(database == ServerDatabase(name: "db"))
    let replica = try #require(events[1].replica)
    #expect(replica["T", a]?["name"] == OVSDBDatum("x"))
    #expect(replica["T", a]?["n"] == .emptySet)
    #expect(replica["T", a]?["map"] == .emptyMap)
    #expect(replica.lastTransaction == b)
    #expect(server.session.isReady)

    let update = server.send(
      #"{"id":null,"method":"update3","params":["replica","\#(a)",{"T":{"\#(a)":{"modify":{"set":["set",[2,3]],"n":7}},"\#(b)":{"insert":{}}},"U":{}}]}"#
    )
    let changes = try #require(update.first?.changes)
    #expect(changes.count == 2)
    #expect(changes[0].old?["set"] == OVSDBDatum(set: [1, 2]))
    #expect(changes[0].new?["set"] == OVSDBDatum(set: [1, 3]))
    #expect(changes[0].changedColumns == ["n", "set"])
    #expect(changes[1].old == nil && changes[1].new?["name"] == OVSDBDatum(""))
    // The previous snapshot is unchanged.
    #expect(replica.rows("T").count == 1 && replica["T", a]?["n"] == .emptySet)
    #expect(server.session.replica?.lastTransaction == a)

    let deletion = server.send(#"{"id":null,"method":"update3","params":["replica","\#(b)",{"T":{"\#(a)":{"delete":null}}}]}"#)
    #expect(deletion.first?.changes?.first?.new == nil)
    #expect(deletion.first?.replica?.rows("T").count == 1)
  }

  @Test func aReconnectFetchesTheDifference() throws {
    var server = ScriptedServer()
    _ = try server.connect(#"{"T":{"\#(a)":{"initial":{"name":"x"}}}}"#, transaction: a)
    _ = server.session.closed("gone", now: server.now)
    #expect(!server.session.isReady && server.session.replica?.rowCount == 1)

    server.open()
    _ = try server.introduce()
    _ = try server.answer("get_schema", TestSchema.text)
    let monitor = try server.expect("monitor_cond_since")
    #expect(monitor["params"]?.elements?.last == .string(a.description))
    let events = server.send(
      #"{"id":\#(monitor["id"] ?? .null),"result":[true,"\#(b)",{"T":{"\#(b)":{"insert":{"name":"y"}}}}],"error":null}"#)
    #expect(events.first?.replica?.rows("T").count == 2)
    #expect(events.first?.replica?.lastTransaction == b)
  }

  @Test func aServerThatForgotSendsEverything() throws {
    var server = ScriptedServer()
    _ = try server.connect(#"{"T":{"\#(a)":{"initial":{"name":"x"}}}}"#, transaction: a)
    _ = server.session.closed("gone", now: server.now)
    let events = try server.connect(#"{"T":{"\#(b)":{"initial":{"name":"y"}}}}"#, transaction: b)
    #expect(events.last?.replica?.rows("T").map(\.key) == [b])
  }

  @Test func anotherSchemaStartsFromNothing() throws {
    var server = ScriptedServer()
    _ = try server.connect(#"{"T":{"\#(a)":{"initial":{"name":"x"}}}}"#, transaction: a)
    _ = server.session.closed("gone", now: server.now)
    server.open()
    _ = try server.introduce()
    _ = try server.answer("get_schema", TestSchema.text.replacing("1.0.0", with: "1.1.0"))
    #expect(try server.expect("monitor_cond_since")["params"]?.elements?.last == .string(RowID.zero.description))
  }

  @Test func anOlderServerIsMonitoredWithItsOwnMethods() throws {
    var server = ScriptedServer()
    server.open()
    #expect(try server.refuse("get_schema", #"{"error":"unknown database"}"#).isEmpty)
    _ = try server.answer("get_schema", TestSchema.text)
    _ = try server.refuse("monitor_cond_since", #""unknown method""#)
    _ = try server.refuse("monitor_cond", #"{"error":"unknown method"}"#)
    let events = try server.answer("monitor", #"{"T":{"\#(a)":{"new":{"name":"x","n":1,"set":["set",[]],"map":["map",[]]}}}}"#)
    #expect(events.last?.replica?["T", a]?["n"] == OVSDBDatum(1))
    let update = server.send(
      #"{"id":null,"method":"update","params":["replica",{"T":{"\#(a)":{"old":{"n":1},"new":{"name":"x","n":2,"set":5,"map":["map",[["k","v"]]]}}}}]}"#
    )
    #expect(update.first?.changes?.first?.old?["n"] == OVSDBDatum(1))
    #expect(update.first?.changes?.first?.new?["set"] == OVSDBDatum(5))
    let deletion = server.send(#"{"id":null,"method":"update","params":["replica",{"T":{"\#(a)":{"old":{"name":"x"}}}}]}"#)
    #expect(deletion.first?.replica?.rowCount == 0)
  }

  @Test func aServerWithUpdate2IsFollowed() throws {
    var server = ScriptedServer()
    server.open()
    _ = try server.introduce()
    _ = try server.answer("get_schema", TestSchema.text)
    _ = try server.refuse("monitor_cond_since", #""unknown method""#)
    _ = try server.answer("monitor_cond", #"{"T":{"\#(a)":{"initial":{"map":["map",[["k","v"]]]}}}}"#)
    let update = server.send(#"{"id":null,"method":"update2","params":["replica",{"T":{"\#(a)":{"modify":{"map":["map",[["k","w"]]]}}}}]}"#)
    #expect(update.first?.replica?["T", a]?["map"] == OVSDBDatum(["k": "w"]))
  }

  @Test func onlyTheColumnsAskedForAreReplicated() throws {
    var server = ScriptedServer(columns: ["T": ["name", "nowhere"], "V": []])
    server.open()
    _ = try server.introduce()
    _ = try server.answer("get_schema", TestSchema.text)
    let monitor = try server.expect("monitor_cond_since")
    #expect(monitor["params"]?.elements?[2] == ["T": [["columns": ["name"]]]])
    let events = server.send(
      #"{"id":\#(monitor["id"] ?? .null),"result":[false,"\#(a)",{"T":{"\#(a)":{"initial":{"name":"x","n":9}}},"W":{"?":[]}}],"error":null}"#
    )
    #expect(events.last?.replica?["T", a]?.columns == ["name"])
    #expect(events.last?.replica?["T", a]?["n"] == nil)
  }

  @Test func aFollowerIsLeftAloneUntilItLeads() throws {
    var server = ScriptedServer()
    server.open()
    let events = try server.introduce(
      #"{"name":"db","model":"clustered","connected":true,"leader":false,"cid":["uuid","\#(a)"],"sid":["uuid","\#(b)"],"index":41}"#)
    guard case .server(let database?) = events.last else { throw Unexpected() }
    #expect(
      database
        == ServerDatabase(name: "db", model: .clustered, isConnected: true, isLeader: false, clusterID: a, serverID: b, index: 41))
    #expect(try server.next() == nil)
    let later = server.send(
      #"{"id":null,"method":"update2","params":["server",{"Database":{"\#(TestSchema.id(1))":{"modify":{"leader":true,"index":42}}}}]}"#)
    guard case .server(let leader?) = later.first else { throw Unexpected() }
    #expect(leader.isLeader && leader.index == 42)
    _ = try server.expect("get_schema")
  }

  @Test func aFollowerIsAcceptedIfConfigured() throws {
    var server = ScriptedServer(requiresLeader: false)
    server.open()
    _ = try server.introduce(#"{"name":"db","model":"clustered","connected":true,"leader":false}"#)
    _ = try server.expect("get_schema")
  }

  @Test func aServerOutOfTouchOrWithoutTheDatabaseIsWaitedFor() throws {
    var server = ScriptedServer(requiresLeader: false)
    server.open()
    _ = try server.introduce(#"{"name":"db","model":"clustered","connected":false,"leader":false}"#)
    #expect(try server.next() == nil)
    _ = server.send(
      #"{"id":null,"method":"update2","params":["server",{"Database":{"\#(TestSchema.id(1))":{"modify":{"connected":true}}}}]}"#)
    _ = try server.expect("get_schema")

    var other = ScriptedServer()
    other.open()
    _ = try other.answer("get_schema", TestSchema.server)
    _ = try other.expect("set_db_change_aware")
    let events = try other.answer("monitor_cond", "{}")
    guard case .server(nil) = events.last else { throw Unexpected() }
    _ = other.send(
      #"{"id":null,"method":"update2","params":["server",{"Database":{"\#(a)":{"insert":{"name":"db","model":"standalone","connected":true,"leader":true}}}}]}"#
    )
    _ = try other.expect("get_schema")
  }

  @Test func aConvertedDatabaseIsFetchedAnew() throws {
    var server = ScriptedServer()
    _ = try server.connect(#"{"T":{"\#(a)":{"initial":{"name":"x"}}}}"#, transaction: a)
    #expect(server.send(#"{"id":null,"method":"monitor_canceled","params":["replica"]}"#).isEmpty)
    #expect(!server.session.isReady)
    _ = try server.answer("get_schema", TestSchema.text.replacing("1.0.0", with: "1.1.0"))
    let events = try server.answer("monitor_cond_since", #"[false,"\#(b)",{}]"#)
    #expect(events.last?.replica?.schema.version == "1.1.0")
    #expect(events.last?.replica?.rowCount == 0)
  }

  @Test(arguments: [
    #"{"T":{"\#(TestSchema.id(9))":{"modify":{"n":1}}}}"#, #"{"T":{"\#(TestSchema.id(9))":{"delete":null}}}"#,
  ])
  func anUpdateThatDoesNotFitEndsTheSessionAndTheNextStartsAnew(_ update: String) throws {
    var server = ScriptedServer()
    _ = try server.connect(#"{"T":{"\#(a)":{"initial":{"name":"x"}}}}"#, transaction: a)
    let events = server.send(#"{"id":null,"method":"update3","params":["replica","\#(b)",\#(update)]}"#)
    #expect(events.last?.failure?.description.contains("table T") == true)
    #expect(server.session.replica?["T", a] != nil)
    _ = server.session.closed("inconsistent", now: server.now)
    server.open()
    _ = try server.introduce()
    _ = try server.answer("get_schema", TestSchema.text)
    #expect(try server.expect("monitor_cond_since")["params"]?.elements?.last == .string(RowID.zero.description))
  }

  @Test(arguments: [
    (#"{"T":{"\#(TestSchema.id(9))":{"insert":{"n":"one"}}}}"#, "table T, row 00000000-0000-0000-0000-000000000009, column n"),
    (#"{"T":{"nine":{"insert":{}}}}"#, "table T: a UUID was expected"), (#"{"T":{"\#(TestSchema.id(9))":{}}}"#, "a change was expected"),
    (#"{"T":{"\#(TestSchema.id(9))":{"upsert":{}}}}"#, "initial, insert"), (#"{"T":[]}"#, "table T"), ("[]", "an object"),
  ])
  func wrongUpdatesAreNamedAndNothingOfThemIsApplied(_ update: String, _ text: String) throws {
    var server = ScriptedServer()
    _ = try server.connect()
    let events = server.send(
      #"{"id":null,"method":"update3","params":["replica","\#(b)",{"U":{"\#(a)":{"insert":{}}}}]}"#
        + #"{"id":null,"method":"update3","params":["replica","\#(b)",\#(update)]} {"id":null,"method":"update3","params":[]}"#)
    #expect(events.count == 2)
    #expect(events.first?.changes?.count == 1)
    #expect(events.last?.failure?.description.contains(text) == true, "\(String(describing: events.last?.failure))")
    #expect(server.session.replica?.rowCount == 1)
  }

  @Test func aHostilePeerIsGivenUp() throws {
    for text in [
      "HTTP/1.1 400", String(repeating: "[", count: 100), #"{"a":1}"#, #"{"id":"x","method":7}x"#, "{\"id\":1,\"result\":\"\u{1}\"}",
    ] {
      var server = ScriptedServer(limits: JSONLimits(depth: 50))
      server.open()
      #expect(server.send(text).last?.failure != nil, "\(text)")
      #expect(server.send("{}").isEmpty && server.session.deadline == nil)
    }
    var server = ScriptedServer(limits: JSONLimits(byteCount: 1000))
    server.open()
    #expect(server.send("{\"" + String(repeating: "x", count: 1000)).last?.failure == .json(JSONError(.tooLong(limit: 1000), offset: 1000)))
  }

  private struct Unexpected: Error {}
}
