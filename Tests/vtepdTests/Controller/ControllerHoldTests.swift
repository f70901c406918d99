// What stays for a while although it is gone from the database, and what does not.

import Encap
import OVSDBClient
import Testing
import VTEP

@testable import vtepd

@Suite("Controller hold")
struct ControllerHoldTests {
  /// A database, its follower, and the resulting running state.
  private struct Run {
    var database: FakeDatabase
    var mapping = ControllerMapping(switchName: "hv1")
    var hold = ControllerHold(emptySeconds: 300)
    var running = ControllerLayer()
    var complete: Set<VNI> = []
    var now = 0.0

    init() throws {
      database = try FakeDatabase()
      register()
      follow(mapping.load(database.replica), isSnapshot: true)
    }

    /// Our switch with its ports.
    mutating func register() {
      var mapping = ControllerMapping(switchName: "hv1")
      _ = mapping.load(database.replica)
      var publisher = Publisher(adoptionEndSeconds: 0)
      var state = SwitchState(name: "hv1", description: "")
      state.ports = ["p1": .init(description: ""), "p2": .init(description: "")]
      database.transact(publisher.operations(state, mapping, now: 0))
    }

    mutating func follow(_ edit: ControllerEdit, isSnapshot: Bool = false) {
      let softened = hold.follow(edit, mapping, running: running, isSnapshot: isSnapshot, now: now).edit
      if let layer = softened.layer { running = layer }
      complete = softened.complete
    }

    mutating func change(_ changes: [TableChange]) { follow(mapping.update(changes, database.replica)) }

    mutating func setKey(_ id: RowID, _ key: Int64?) {
      change(database.set(.logicalSwitch, id, ["tunnel_key": OVSDBDatum(optional: key)]))
    }

    mutating func connect() { follow(mapping.load(database.replica), isSnapshot: true) }

    mutating func wait(_ seconds: Double) {
      now += seconds
      guard !hold.expire(isConnected: true, now: now).isEmpty else { return }
      let all = hold.soften(mapping.everything(), mapping)
      if let layer = all.layer { running = layer }
      complete = all.complete
    }
  }

  private let vni = VNI(truncating: 5000)
  private let near = TunnelDestination(IPAddress(ipv4: 0xc000_0202))
  private let far = TunnelDestination(IPAddress(ipv4: 0xc000_0203))

  private func withNetwork() throws -> (Run, RowID) {
    var run = try Run()
    let id = run.database.addSwitch("ls0", key: 5000)
    run.database.bind("p1", [0: id])
    run.database.add("02:00:00:00:00:01", id, via: "192.0.2.2")
    run.database.addGroup("unknown-dst", id, via: ["192.0.2.2", "192.0.2.3"])
    run.connect()
    #expect(run.running.bindings == [.init(port: "p1", vlan: 0): vni])
    return (run, id)
  }

  @Test("a key that is withdrawn and restored changes nothing", arguments: [nil, 0] as [Int64?])
  func restart(key: Int64?) throws {
    var (run, id) = try withNetwork()
    let before = run.running
    run.setKey(id, key)
    #expect(run.running == before)
    for table in [HardwareVTEP.Table.ucastMacsRemote, .mcastMacsRemote] {
      for row in run.database.replica.rows(table.rawValue).keys { run.change(run.database.delete(table, row)) }
    }
    #expect(run.running == before)
    #expect(run.hold.rows(run.mapping) == [vni: id])
    run.wait(11)
    run.setKey(id, 5000)
    // Neither the flood list nor the addresses are back yet.
    #expect(run.running == before)
    #expect(!run.complete.contains(vni))
    run.change(run.database.addGroup("unknown-dst", id, via: ["192.0.2.3"]).changes)
    #expect(run.running.switches[vni]?.flood == [near, far])
    run.wait(1)
    #expect(run.running.switches[vni]?.flood == [far])
    #expect(run.complete == [vni])
    #expect(run.hold.isEmpty)
  }

  @Test("a network whose key is not restored is left to its local ports after 12 s")
  func withdrawn() throws {
    var (run, id) = try withNetwork()
    run.setKey(id, nil)
    #expect(run.hold.lasting(run.running) == ControllerLayer())
    run.wait(11.9)
    #expect(run.running.switches[vni] != nil)
    run.wait(0.1)
    #expect(run.running.switches[vni] == nil && run.running.switches.values.map(\.isLocal) == [true])
    #expect(run.hold.isEmpty)
  }

  @Test("a lost connection does not prolong the hold")
  func disconnected() throws {
    var (run, id) = try withNetwork()
    run.setKey(id, nil)
    #expect(run.hold.expire(isConnected: false, now: 12).keys.map(\.self) == [vni])
    run.database.delete(.logicalSwitch, id)
  }

  @Test("what a wiped database had bound stays filtered while it is forwarded")
  func filters() throws {
    var (run, network) = try withNetwork()
    let port = try #require(run.database.ports().first)
    let acl = run.database.force(.acl, ["acl_name": OVSDBDatum("web")])
    run.change(run.database.set(.physicalPort, port.id, ["acl_bindings": OVSDBDatum([0: acl])]))
    let list = run.database.force(.acl, ["acl_name": OVSDBDatum("router's")])
    let router = HardwareVTEP.LogicalRouter(name: "r0", switchBinding: ["192.0.2.1/24": network], aclBinding: ["192.0.2.1": list])
    run.change(run.database.transact([router.insertion(into: .logicalRouter)]).changes)
    let before = run.running
    #expect(before.aclBindings == [.init(port: "p1", vlan: 0): "web"])
    #expect(before.routers["r0"]?.acls == [vni: "router's"])
    run.database = try FakeDatabase()
    run.register()
    run.connect()
    #expect(run.running.bindings == before.bindings && run.running.aclBindings == before.aclBindings)
    #expect(run.running.acls == before.acls && run.running.routers == before.routers)
    run.wait(300)
    #expect(run.running == ControllerLayer())
  }

  @Test("unambiguous changes are applied at once")
  func clear() throws {
    // Another key.
    var (run, id) = try withNetwork()
    run.setKey(id, 6000)
    #expect(run.running.switches.keys.map(\.rawValue) == [6000])
    // Unbound while it is held.
    (run, id) = try withNetwork()
    run.setKey(id, nil)
    run.change(run.database.bind("p1", [:]))
    #expect(run.running.bindings.isEmpty)
    #expect(run.running.switches[vni] != nil)
    // Deleted.
    run.change(run.database.delete(.logicalSwitch, id))
    #expect(run.running == ControllerLayer())
    // Another switch uses the key.
    (run, id) = try withNetwork()
    run.setKey(id, 0)
    let other = run.database.addSwitch("ls1", key: nil)
    run.change(run.database.bind("p2", [0: other]))
    run.setKey(other, 5000)
    #expect(run.running.switches.filter { !$0.value.isLocal }.mapValues(\.name) == [vni: "ls1"])
    #expect(run.running.bindings[.init(port: "p2", vlan: 0)] == vni)
    #expect(run.complete == [vni])
    #expect(run.hold.isEmpty)
    // A different name under the same key: another network.
    (run, id) = try withNetwork()
    run.change(run.database.set(.logicalSwitch, id, ["name": OVSDBDatum("renamed")]))
    #expect(run.complete == [vni])
  }

  @Test("an empty database is ignored only for a while")
  func foundEmpty() throws {
    var (run, _) = try withNetwork()
    let before = run.running
    run.database = try FakeDatabase()
    run.register()
    run.connect()
    #expect(run.running == before)
    #expect(run.hold.networks[vni]?.reason == .databaseEmpty)
    #expect(run.hold.lasting(run.running) == before)
    // New contents count, and the rest stays until the hold ends.
    let id = run.database.addSwitch("ls0", key: 5000)
    run.connect()
    #expect(run.running == before)
    #expect(run.hold.secondsLeft(now: run.now) == 12)
    run.change(run.database.bind("p1", [0: id]))
    run.change(run.database.bind("p1", [:]))
    #expect(run.running.bindings.isEmpty)
    run.wait(12)
    #expect(run.running.switches[vni]?.flood == [])
  }

  @Test("a database with other contents is applied at once")
  func foundOther() throws {
    var (run, _) = try withNetwork()
    run.database = try FakeDatabase()
    run.register()
    run.database.addSwitch("ls1", key: 7000)
    run.connect()
    #expect(run.running.switches.keys.map(\.rawValue) == [7000])
    // The logical switch exists without a key: the controller withdrew it while we were away.
    (run, _) = try withNetwork()
    run.database = try FakeDatabase()
    run.register()
    run.database.addSwitch("ls0", key: 0)
    run.connect()
    #expect(run.hold.networks[vni]?.reason == .withdrawn)
    run.wait(12)
    #expect(run.running == ControllerLayer())
  }

  @Test("no hold at all")
  func none() throws {
    var (run, id) = try withNetwork()
    run.hold.emptySeconds = 0
    run.setKey(id, nil)
    #expect(run.running.switches.values.map(\.isLocal) == [true])
  }
}
