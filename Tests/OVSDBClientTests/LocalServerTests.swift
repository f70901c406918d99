// The session against a real ovsdb-server: every operation, every monitor method, locks, and a restart.

import Testing

@testable import OVSDBClient

@Suite(.enabled(if: LocalServer.isInstalled, LocalServer.isMissing)) struct LocalServerTests {
  @Test func everyOperationWorks() throws {
    let server = try LocalServer()
    var client = Conversation()
    try client.connect(to: server)
    let locator = HardwareVTEP.Locator(encapsulation: HardwareVTEP.Locator.vxlan, destinationIP: "192.0.2.2")
    let inserted = try client.transact([
      HardwareVTEP.LogicalSwitch(name: "ls", tunnelKey: 5).insertion(into: .logicalSwitch, name: "ls"),
      locator.insertion(into: .locator, name: "l"),
      HardwareVTEP.UcastMAC(mac: "00:11:22:33:44:55", logicalSwitch: .zero, locator: .zero).insertion(
        into: .ucastMacsLocal, references: ["logical_switch": OVSDBDatum(.named("ls")), "locator": OVSDBDatum(.named("l"))]),
      .comment("é \" \\ \u{1}"), .commit(durable: true),
    ]).get()
    let network = try #require(inserted[0].insertedID)
    let mac = try #require(inserted[2].insertedID)
    #expect(inserted[3] == .done && inserted[4] == .done)
    let replica = try #require(client.session.replica)
    let typed = try #require(replica.one(HardwareVTEP.UcastMAC.self, in: .ucastMacsLocal, mac))
    #expect(typed.logicalSwitch == network && typed.mac == "00:11:22:33:44:55")
    #expect(replica.one(HardwareVTEP.Locator.self, in: .locator, typed.locator)?.destinationIP == "192.0.2.2")
    #expect(try server.control("list-ls").contains("ls"))

    let switches = HardwareVTEP.Table.logicalSwitch.rawValue
    let results = try client.transact([
      .update(table: switches, where: [.row(network)], row: ["description": "x", "other_config": ["a": "1", "b": "2"]]),
      .mutate(
        table: switches, where: [OVSDBCondition("name", .equal, "ls")],
        mutations: [
          OVSDBMutation("tunnel_key", .add, 2), OVSDBMutation("other_config", .delete, ["a"]),
          OVSDBMutation("other_config", .insert, ["c": "3"]),
        ]),
      .select(table: switches, where: [OVSDBCondition("tunnel_key", .greaterThan, 6)], columns: ["_uuid", "name", "other_config"]),
      .wait(table: switches, where: [], columns: ["tunnel_key"], isEqual: true, rows: [["tunnel_key": 7]], timeoutMilliseconds: 0),
      .delete(table: "Ucast_Macs_Local", where: [OVSDBCondition("MAC", .excludes, "x")]),
    ]).get()
    #expect(results[0].count == 1 && results[1].count == 1 && results[3] == .done && results[4].count == 1)
    guard case .rows(let rows) = results[2] else { return #expect(Bool(false), "\(results)") }
    #expect(rows.map(\.id) == [network] && rows.first?.row["other_config"] == ["b": "2", "c": "3"])
    #expect(client.session.replica?[switches, network]?["other_config"] == ["b": "2", "c": "3"])
    // Nothing refers to the locator any more.
    #expect(client.session.replica?.rows("Ucast_Macs_Local").isEmpty == true)
    #expect(client.session.replica?.rows("Physical_Locator").isEmpty == true)
    client.close("done")
  }

  @Test func refusalsAreNamed() throws {
    let server = try LocalServer()
    var client = Conversation()
    try client.connect(to: server)
    func failure(_ outcome: Result<[OperationResult], OVSDBError>) throws -> OVSDBError.TransactionFailure {
      guard case .failure(.transaction(let failure)) = outcome else { throw LocalServer.Failure(text: "\(outcome)") }
      return failure
    }
    let insert = HardwareVTEP.LogicalSwitch(name: "ls").insertion(into: .logicalSwitch)
    #expect(try failure(client.transact([insert, insert])).error == "constraint violation")
    #expect(try failure(client.transact([insert, insert])).index == nil)
    let aborted = try failure(client.transact([insert, .abort, .comment("never")]))
    #expect(aborted.index == 1 && aborted.operation == "abort" && aborted.error == "aborted")
    #expect(try failure(client.transact([.assert(lock: "l")])).error == "not owner")
    let wait = OVSDBOperation.wait(
      table: "Logical_Switch", where: [], columns: ["name"], isEqual: true, rows: [["name": "ls"]], timeoutMilliseconds: 0)
    #expect(try failure(client.transact([wait])).error == "timed out")
    let unknown = try failure(client.transact([.delete(table: "Nowhere", where: [])]))
    #expect(unknown.index == 0 && unknown.operation == "delete Nowhere" && unknown.details?.contains("Nowhere") == true)
    #expect(client.session.replica?.rowCount == 0)
    client.close("done")
  }

  @Test func aWaitingTransactionIsCancelled() throws {
    let server = try LocalServer()
    var client = Conversation()
    try client.connect(to: server)
    let id = try client.session.transact([
      .wait(table: "Logical_Switch", where: [], columns: ["name"], isEqual: true, rows: [["name": "ls"]], timeoutMilliseconds: nil)
    ])
    // In the meantime the server answers others.
    #expect(try client.transact([.comment("x")]).get() == [.done])
    client.session.cancel(id)
    #expect(try client.outcome(of: id) == .failure(.refused(method: "transact", error: "canceled", details: nil)))
    client.close("done")
  }

  @Test func locksAreHandedOver() throws {
    let server = try LocalServer()
    var first = Conversation()
    var second = Conversation()
    try first.connect(to: server)
    try second.connect(to: server)
    first.session.lock("l")
    try first.wait { $0.session.holds(lock: "l") }
    #expect(try first.transact([.assert(lock: "l")]).get() == [.done])
    second.session.lock("l")
    _ = try second.transact([.comment("behind the lock")])
    #expect(!second.session.holds(lock: "l"))
    first.session.unlock("l")
    _ = try first.transact([.comment("behind the unlock")])
    try second.wait { $0.session.holds(lock: "l") }
    first.session.lock("l", steal: true)
    try first.wait { $0.session.holds(lock: "l") }
    try second.wait { !$0.session.holds(lock: "l") }
    first.close("done")
    second.close("done")
  }

  @Test func otherRequestsAreAnswered() throws {
    let server = try LocalServer()
    var client = Conversation()
    try client.connect(to: server)
    let requests: [OVSDBRequest] = [
      .listDatabases, .echo([1, "x"]), .getServerID,
      .monitorCond(
        database: "hardware_vtep", id: "mine",
        tables: [MonitoredTable(table: "Logical_Switch", columns: ["name"], conditions: [OVSDBCondition("tunnel_key", .equal, 7)])]),
      .monitorCondChange(
        id: "mine", newID: "mine",
        tables: [MonitoredTable(table: "Logical_Switch", columns: ["name"], conditions: [OVSDBCondition("tunnel_key", .equal, 8)])]),
    ]
    for request in requests { _ = try client.session.send(request) }
    func replies(_ client: Conversation) -> [JSONValue] {
      client.events.compactMap { if case .reply(_, .success(let value)) = $0 { value } else { nil } }
    }
    try client.wait { replies($0).count == requests.count }
    #expect(Set(replies(client)[0].elements ?? []) == ["_Server", "hardware_vtep"])
    #expect(replies(client)[1] == [1, "x"])
    #expect(replies(client)[2].text.flatMap(RowID.init) != nil)
    try server.control("add-ls a -- set Logical_Switch a tunnel_key=7 -- add-ls b -- set Logical_Switch b tunnel_key=8")
    func told(_ client: Conversation) -> [JSONValue] {
      client.events.compactMap { if case .notification("update2", let value) = $0 { value } else { nil } }
    }
    try client.wait { told($0).description.contains("\"b\"") }
    #expect(!told(client).description.contains("\"a\""))
    _ = try client.session.send(.monitorCancel(id: "mine"))
    try client.wait { replies($0).count == requests.count + 1 }
    client.close("done")
  }

  @Test func aReplicaOutlivesTheServer() throws {
    let server = try LocalServer(isClustered: true)
    var client = Conversation()
    try client.connect(to: server)
    #expect(client.session.serverDatabase?.model == .clustered && client.session.serverDatabase?.clusterID != nil)
    for number in 0..<20 { try server.control("add-ls ls\(number)") }
    try client.wait { $0.session.replica?.rows("Logical_Switch").count == 20 }
    let known = try #require(client.session.replica?.lastTransaction)
    #expect(known != .zero)
    client.close("lost")
    try server.control("del-ls ls3 -- add-ls another")
    try client.connect(to: server)
    #expect(client.session.replica?.rows("Logical_Switch").count == 20)
    #expect(client.session.replica?.rows("Logical_Switch").contains { $0.value["name"] == "another" } == true)
    // A killed server does not remember the transaction, and sends everything.
    server.stop()
    client.close("killed")
    try server.start()
    try client.connect(to: server)
    #expect(client.session.replica?.rows("Logical_Switch").count == 20)
    client.close("done")
  }

  @Test func aConvertedDatabaseIsFetchedAnew() throws {
    let server = try LocalServer()
    var client = Conversation()
    try client.connect(to: server)
    try server.control("add-ls ls")
    try client.wait { $0.session.replica?.rows("Logical_Switch").count == 1 }
    try server.convert(replacing: "1.7.0", with: "1.7.1")
    try client.wait { $0.session.isReady && $0.session.replica?.schema.version == "1.7.1" }
    #expect(client.session.replica?.rows("Logical_Switch").count == 1)
    client.close("done")
  }
}
