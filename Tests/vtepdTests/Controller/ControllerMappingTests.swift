// From rows of a database to edits of the data plane.

import Encap
import OVSDBClient
import Testing
import VTEP

@testable import vtepd

@Suite("Controller mapping")
struct ControllerMappingTests {
  private let vni = VNI(truncating: 5000)
  private let mac = MACAddress(bits: 0x0200_0000_0001)

  private func destination(_ text: String, key: UInt32? = nil) -> TunnelDestination {
    TunnelDestination(IPAddress(text) ?? IPAddress(ipv4: 0), key: key.map { VNI(truncating: $0) })
  }

  /// A database with our switch and the ports p1 and p2.
  private func database(without: Set<String> = [], with: [String] = []) throws -> FakeDatabase {
    var database = try FakeDatabase(without: without, with: with)
    publish(into: &database)
    return database
  }

  private func publish(into database: inout FakeDatabase) {
    var mapping = ControllerMapping(switchName: "hv1")
    _ = mapping.load(database.replica)
    var publisher = Publisher(adoptionEndSeconds: 0)
    var state = SwitchState(name: "hv1", description: "test")
    state.ports = ["p1": .init(description: ""), "p2": .init(description: "")]
    database.transact(publisher.operations(state, mapping, now: 0))
  }

  private func loaded(_ database: FakeDatabase) -> (mapping: ControllerMapping, edit: ControllerEdit) {
    var mapping = ControllerMapping(switchName: "hv1")
    let edit = mapping.load(database.replica)
    return (mapping, edit)
  }

  @Test("bindings, flood list and addresses of a logical switch")
  func plain() throws {
    var database = try database()
    let ls = database.addSwitch("ls0", key: 5000)
    database.bind("p1", [0: ls, 100: ls])
    database.add("02:00:00:00:00:01", ls, via: "192.0.2.2")
    database.addGroup("unknown-dst", ls, via: ["192.0.2.3", "192.0.2.2"])
    database.addGroup("01:00:5e:01:01:01", ls, via: ["192.0.2.3"])
    let (mapping, edit) = loaded(database)
    #expect(edit.layer?.bindings == [.init(port: "p1", vlan: 0): vni, .init(port: "p1", vlan: 100): vni])
    let settings = try #require(edit.layer?.switches[vni])
    #expect(settings.name == "ls0")
    #expect(settings.replication == .sourceNode)
    #expect(settings.flood == [destination("192.0.2.2"), destination("192.0.2.3")])
    #expect(settings.groups == [MACAddress(bits: 0x0100_5e01_0101): [destination("192.0.2.3")]])
    #expect(edit.addresses == [.init(vni: vni, mac: mac, destination: destination("192.0.2.2"))])
    #expect(edit.complete == [vni])
    #expect(mapping.faults == DatabaseFaults())
  }

  @Test("changing one address edits one address, and nothing else")
  func one() throws {
    var database = try database()
    let ls = database.addSwitch("ls0", key: 5000)
    for host in 2...200 { database.add("02:00:00:00:01:\(host < 16 ? "0" : "")\(String(host, radix: 16))", ls, via: "192.0.2.\(host)") }
    var (mapping, _) = loaded(database)
    var change = database.add("02:00:00:00:00:01", ls, via: "192.0.2.2")
    var edit = mapping.update(change.changes, database.replica)
    #expect(edit.layer == nil)
    #expect(edit.complete.isEmpty)
    #expect(edit.addresses == [.init(vni: vni, mac: mac, destination: destination("192.0.2.2"))])

    let row = try #require(change.inserted.last)
    let moved = database.set(.ucastMacsRemote, row, ["locator": OVSDBDatum(try #require(database.locator("192.0.2.9")))])
    edit = mapping.update(moved, database.replica)
    #expect(edit.addresses == [.init(vni: vni, mac: mac, destination: destination("192.0.2.9"))])

    edit = mapping.update(database.delete(.ucastMacsRemote, row), database.replica)
    #expect(edit.addresses == [.init(vni: vni, mac: mac, destination: nil)])
    #expect(edit.layer == nil)

    // A locator inserted together with its address.
    change = database.add("02:00:00:00:00:01", ls, via: "192.0.2.250")
    edit = mapping.update(change.changes, database.replica)
    #expect(edit.layer == nil)
    #expect(edit.addresses == [.init(vni: vni, mac: mac, destination: destination("192.0.2.250"))])
  }

  @Test("tunnel_key: absent and 0 mean local ports only; another one moves all addresses")
  func tunnelKey() throws {
    var database = try database()
    let ls = database.addSwitch("ls0", key: nil)
    database.bind("p1", [0: ls])
    database.add("02:00:00:00:00:01", ls, via: "192.0.2.2")
    var (mapping, edit) = loaded(database)
    #expect(edit.layer?.switches.values.map(\.isLocal) == [true])
    #expect(edit.layer?.bindings.count == 1)
    #expect(edit.addresses.isEmpty)
    #expect(mapping.faults == DatabaseFaults())
    #expect(!mapping.isEmpty)

    edit = mapping.update(database.set(.logicalSwitch, ls, ["tunnel_key": 5000]), database.replica)
    #expect(edit.layer?.bindings == [.init(port: "p1", vlan: 0): vni])
    #expect(edit.addresses == [.init(vni: vni, mac: mac, destination: destination("192.0.2.2"))])

    edit = mapping.update(database.set(.logicalSwitch, ls, ["tunnel_key": 6000]), database.replica)
    #expect(edit.layer?.switches.keys.map(\.rawValue) == [6000])
    #expect(edit.addresses == [.init(vni: VNI(truncating: 6000), mac: mac, destination: destination("192.0.2.2"))])
    #expect(edit.complete.map(\.rawValue) == [6000])

    edit = mapping.update(database.set(.logicalSwitch, ls, ["tunnel_key": 0]), database.replica)
    #expect(edit.layer?.switches.values.map(\.isLocal) == [true])
    #expect(edit.addresses.isEmpty)
  }

  @Test("replication: absent means service node")
  func replication() throws {
    var database = try database()
    let ls = database.addSwitch("ls0", key: 5000, mode: nil)
    var (mapping, edit) = loaded(database)
    #expect(edit.layer?.switches[vni]?.replication == .serviceNode)
    #expect(edit.layer?.switches[vni]?.flood == [])
    edit = mapping.update(database.set(.logicalSwitch, ls, ["replication_mode": OVSDBDatum("source_node")]), database.replica)
    #expect(edit.layer?.switches[vni]?.replication == .sourceNode)
  }

  @Test("locators with their own tunnel key")
  func locatorKeys() throws {
    var database = try database()
    let ls = database.addSwitch("ls0", key: 5000)
    database.add("02:00:00:00:00:01", ls, via: "192.0.2.2", key: 77)
    database.add("02:00:00:00:00:02", ls, via: "192.0.2.3", key: 5000)
    database.add("02:00:00:00:00:03", ls, via: "192.0.2.4", key: 0)
    var (mapping, edit) = loaded(database)
    let found = Dictionary(uniqueKeysWithValues: edit.addresses.map { ($0.mac.bits & 0xff, $0.destination) })
    #expect(found == [1: destination("192.0.2.2", key: 77), 2: destination("192.0.2.3"), 3: destination("192.0.2.4")])
    let locator = try #require(database.locator("192.0.2.2", key: 77))
    edit = mapping.update(database.set(.locator, locator, ["tunnel_key": 78]), database.replica)
    #expect(edit.addresses == [.init(vni: vni, mac: mac, destination: destination("192.0.2.2", key: 78))])
  }

  @Test("an older schema, and unknown tables and columns")
  func schemas() throws {
    var old = try database(without: [
      "Physical_Locator.tunnel_key", "Logical_Switch.replication_mode", "Physical_Switch.switch_fault_status",
      "Physical_Port.port_fault_status", "Physical_Port.acl_bindings", "Physical_Switch.other_config",
    ])
    var ls = old.addSwitch("ls0", key: 5000)
    old.bind("p1", [0: ls])
    old.add("02:00:00:00:00:01", ls, via: "192.0.2.2")
    old.addGroup("unknown-dst", ls, via: ["192.0.2.2"])
    #expect(loaded(old).edit.addresses.count == 1)
    #expect(loaded(old).edit.layer?.switches[vni]?.replication == .serviceNode)

    var new = try database(with: ["Ucast_Macs_Remote.colour", "Weather.rain"])
    ls = new.addSwitch("ls0", key: 5000)
    new.add("02:00:00:00:00:01", ls, via: "192.0.2.2")
    #expect(loaded(new).edit.addresses.count == 1)
    #expect(loaded(new).mapping.faults == DatabaseFaults())
  }

  @Test("a switch that has another name now has its bindings before its row is renamed, and after")
  func formerName() throws {
    var database = try database()
    let ls = database.addSwitch("ls0", key: 5000)
    database.bind("p1", [0: ls])
    let row = try #require(database.replica.physicalSwitch(named: "hv1")).id
    database.set(.physicalSwitch, row, ["tunnel_ips": OVSDBDatum("192.0.2.1")])
    var mapping = ControllerMapping(switchName: "hv2", formerRow: row, addresses: [IPAddress("192.0.2.1")!])
    var other = ControllerMapping(switchName: "hv2", formerRow: row, addresses: [IPAddress("192.0.2.3")!])
    #expect(other.load(database.replica).layer?.bindings == [:], "the row of the host that the state is a copy of")
    #expect(mapping.load(database.replica).layer?.bindings == [.init(port: "p1", vlan: 0): vni])
    #expect(mapping.update(database.set(.physicalSwitch, row, ["name": OVSDBDatum("hv2")]), database.replica).layer == nil)
    // A row of our name counts.
    database.set(.physicalSwitch, row, ["name": OVSDBDatum("hv1")])
    _ = database.force(.physicalSwitch, ["name": OVSDBDatum("hv2")])
    #expect(mapping.load(database.replica).layer?.bindings == [:])
  }

  @Test("two rows for one address: the lowest UUID counts, and it is a fault until one is deleted")
  func contradiction() throws {
    var database = try database()
    let ls = database.addSwitch("ls0", key: 5000)
    database.bind("p1", [5: ls])
    database.bind("p2", [0: database.addSwitch("other", key: 5001)])
    let first = try #require(database.add("02:00:00:00:00:01", ls, via: "192.0.2.2").inserted.last)
    var (mapping, _) = loaded(database)
    let second = database.add("02:00:00:00:00:01", ls, via: "192.0.2.3")
    var edit = mapping.update(second.changes, database.replica)
    #expect(edit.addresses == [.init(vni: vni, mac: mac, destination: destination("192.0.2.2"))])
    // A fault of the port that is in the logical switch: one of the switch would stop all tenants.
    #expect(mapping.faults.ofSwitch.isEmpty && mapping.faults.ofPorts == ["p1": [.unspecified]])
    #expect(loaded(database).edit.addresses == edit.addresses)
    edit = mapping.update(database.delete(.ucastMacsRemote, first), database.replica)
    #expect(edit.addresses == [.init(vni: vni, mac: mac, destination: destination("192.0.2.3"))])
    #expect(mapping.faults == DatabaseFaults())
  }

  @Test("rows that refer to nothing, and invalid values: faults of the ports in their logical switch")
  func nonsense() throws {
    var database = try database()
    let ls = database.addSwitch("ls0", key: 5000)
    database.bind("p1", [0: ls])
    _ = database.force(
      .ucastMacsRemote, ["MAC": OVSDBDatum("02:00:00:00:00:01"), "logical_switch": OVSDBDatum(ls), "locator": OVSDBDatum(RowID.random())])
    let good = loaded(database)
    #expect(good.edit.addresses == [.init(vni: vni, mac: mac, destination: nil)])
    #expect(good.mapping.faults.ofSwitch.isEmpty && good.mapping.faults.ofPorts == ["p1": [.unspecified]])
    for (text, ip) in [("02:00:00:00:00", "192.0.2.2"), ("03:00:00:00:00:01", "192.0.2.2"), ("02:00:00:00:00:01", "here")] {
      var database = try self.database()
      let ls = database.addSwitch("ls0", key: 5000)
      database.bind("p1", [0: ls])
      var (mapping, _) = loaded(database)
      let change = database.add(text, ls, via: ip)
      _ = mapping.update(change.changes, database.replica)
      #expect(mapping.faults.ofSwitch.isEmpty && mapping.faults.ofPorts == ["p1": [.unspecified]], "\(text) \(ip)")
      // No port of ours is concerned: only the log and `show ovsdb` tell.
      _ = mapping.update(database.bind("p1", [:]), database.replica)
      #expect(mapping.faults.ofSwitch.isEmpty && mapping.faults.ofPorts.isEmpty && mapping.faults.messages.count == 1)
      _ = mapping.update(database.delete(.ucastMacsRemote, try #require(change.inserted.last)), database.replica)
      #expect(mapping.faults == DatabaseFaults(), "\(text) \(ip)")
    }
    // A binding to a logical switch that does not exist.
    var (mapping, _) = loaded(database)
    _ = mapping.update(database.bind("p2", [7: RowID.random()]), database.replica)
    #expect(mapping.faults.ofPorts["p2"] == [.invalidVLANMap])
    _ = mapping.update(database.bind("p2", [:]), database.replica)
    #expect(mapping.faults.ofPorts["p2"] == nil)
    // A row without a logical switch concerns nobody: it is only told.
    _ = database.force(
      .ucastMacsRemote,
      [
        "MAC": OVSDBDatum("02:00:00:00:00:02"), "logical_switch": OVSDBDatum(RowID.random()), "locator": OVSDBDatum(RowID.random()),
      ])
    let lost = loaded(database).mapping.faults
    #expect(lost.ofSwitch.isEmpty && lost.messages.contains { $0.contains("there is no logical switch") }, "\(lost)")
  }

  @Test("two logical switches with one VNI: the lowest UUID gets it")
  func sharedVNI() throws {
    var database = try database()
    let first = database.addSwitch("b", key: 5000)
    let second = database.addSwitch("a", key: 5000)
    database.bind("p1", [0: first])
    database.bind("p2", [0: second])
    var (mapping, edit) = loaded(database)
    #expect(edit.layer?.switches[vni]?.name == "b")
    #expect(mapping.faults.ofSwitch.isEmpty && mapping.faults.ofPorts == ["p2": [.unspecified]])
    database.bind("p1", [:])
    edit = mapping.update(database.delete(.logicalSwitch, first), database.replica)
    #expect(edit.layer?.switches[vni]?.name == "a")
    #expect(edit.complete == [vni])
    #expect(mapping.vnis == [second: vni])
    #expect(mapping.faults == DatabaseFaults())
  }

  @Test("logical routers: what cannot be read is a fault of the row, and the rest is carried out")
  func routers() throws {
    var database = try database()
    let ls = database.addSwitch("ls0", key: 5000)
    let keyless = database.addSwitch("ls1", key: nil)
    var (mapping, _) = loaded(database)
    let row = HardwareVTEP.LogicalRouter(
      name: "r0", switchBinding: ["192.0.2.1/24": ls, "2001:DB8::1/64": ls, "198.51.100.1/24": keyless, "nonsense": ls],
      staticRoutes: ["0.0.0.0/0": "192.0.2.9", "203.0.113.0/24": "198.51.100.9", "10.0.0.0/33": "192.0.2.9", "::/0": "x"])
    let made = database.transact([row.insertion(into: .logicalRouter)])
    var edit = mapping.update(made.changes, database.replica)
    let router = try #require(edit.layer?.routers["r0"])
    #expect(router.interfaces.mapValues { Set($0.map(\.description)) } == [vni: ["192.0.2.1/24", "2001:db8::1/64"]])
    // The way by the network that is to come waits for it.
    #expect(router.routes.map { "\($0.key) \($0.value)" } == ["0.0.0.0/0 192.0.2.9"])
    #expect(edit.layer?.routedVNIs == [vni])
    #expect(mapping.faults.ofRouters == ["r0": ["unspecified_fault"]] && mapping.faults.ofSwitch.isEmpty)
    // Nonsense, a network without a key, two routes.
    #expect(mapping.faults.messages.count == 4, "\(mapping.faults.messages)")
    edit = mapping.update(
      database.set(
        .logicalRouter, made.inserted[0],
        ["switch_binding": OVSDBDatum(["192.0.2.1/24": ls]), "static_routes": OVSDBDatum(["0.0.0.0/0": "192.0.2.9"])]), database.replica)
    #expect(mapping.faults.ofRouters == ["r0": []] && mapping.faults.messages.isEmpty)
    edit = mapping.update(database.delete(.logicalRouter, made.inserted[0]), database.replica)
    #expect(edit.layer?.routers.isEmpty == true && edit.layer?.routedVNIs.isEmpty == true)
    #expect(mapping.faults == DatabaseFaults())
  }

  @Test("access lists of a router's interfaces, which have any of their addresses; those that cannot be are a fault of its row")
  func routerLists() throws {
    var database = try database()
    let ls = database.addSwitch("ls0", key: 5000)
    let keyless = database.addSwitch("ls1", key: nil)
    let web = database.force(.acl, ["acl_name": OVSDBDatum("web")])
    let other = database.force(.acl, ["acl_name": OVSDBDatum("other")])
    var (mapping, _) = loaded(database)
    let row = HardwareVTEP.LogicalRouter(
      name: "r0", switchBinding: ["192.0.2.1/24": ls, "2001:db8::1/64": ls, "198.51.100.1/24": keyless], aclBinding: ["192.0.2.1": web])
    let made = database.transact([row.insertion(into: .logicalRouter)])
    #expect(mapping.update(made.changes, database.replica).layer?.routers["r0"]?.acls == [vni: "web"])
    /// What a binding makes of the router, and how many faults it has besides the network without a key.
    func bind(_ lists: [String: RowID]) throws -> (list: String?, faults: Int) {
      let change = database.set(.logicalRouter, made.inserted[0], ["acl_binding": OVSDBDatum(lists)])
      _ = mapping.update(change, database.replica)
      let router = try #require(mapping.layer.routers["r0"])
      #expect(mapping.faults.ofSwitch.isEmpty && router.interfaces[vni]?.count == 2)
      let fault: Set<String> = ["unspecified_fault"]
      let count = mapping.faults.messages.count { $0.contains("acl_binding") }
      #expect(mapping.faults.ofRouters == ["r0": count > 0 ? fault.union(["invalid_ACL_binding"]) : fault])
      return (router.acls[vni], count)
    }
    #expect(try bind(["2001:DB8:0::1/64": web]) == ("web", 0))
    #expect(try bind(["192.0.2.1/24": web, "2001:db8::1": web]) == ("web", 0))
    #expect(try bind(["192.0.2.1/24": web, "2001:db8::1": other]) == ("web", 1))
    #expect(try bind(["192.0.2.1/24": other, "192.0.2.2": web, "nonsense": web]) == ("other", 2))
    #expect(try bind(["192.0.2.1": RowID(high: 1, low: 2)]) == (nil, 1))
    // The list of an interface that is to come waits with it.
    #expect(try bind(["198.51.100.1": web]) == (nil, 0))
    let edit = mapping.update(database.set(.logicalSwitch, keyless, ["tunnel_key": OVSDBDatum(Int64(5001))]), database.replica)
    #expect(edit.layer?.routers["r0"]?.acls == [VNI(truncating: 5001): "web"])
    #expect(mapping.faults.ofRouters == ["r0": []] && mapping.faults.messages.isEmpty)
    _ = mapping.update(database.delete(.logicalRouter, made.inserted[0]), database.replica)
    #expect(mapping.faults == DatabaseFaults(acls: [web: [], other: []]))
  }

  @Test("access control lists: rows and their faults, one by one; a change of our own fault columns is no news")
  func acls() throws {
    var database = try database()
    var (mapping, _) = loaded(database)
    func entry(_ sequence: Int64, _ edit: (inout HardwareVTEP.ACLEntry) -> Void) -> HardwareVTEP.ACLEntry {
      var entry = HardwareVTEP.ACLEntry(sequence: sequence, direction: "ingress", action: "deny")
      edit(&entry)
      return entry
    }
    let rows = [
      entry(30) { $0.etherType = "0x0806" },
      entry(10) { ($0.protocolNumber, $0.destinationPortMinimum, $0.tcpFlags, $0.tcpFlagsMask) = (6, 80, 2, 18) },
      entry(20) { ($0.sourceIP, $0.sourceMask, $0.sourceMAC) = ("10.0.0.9", "255.255.255.0", "AA:BB:cc:dd:ee:01") },
      // Those that cannot be.
      entry(1) { $0.sourceIP = "10.0.0.x" },
      entry(2) { $0.destinationMask = "255.0.0.0" },
      entry(3) { ($0.protocolNumber, $0.sourcePortMinimum, $0.sourcePortMaximum) = (6, 10, 9) },
      entry(4) { $0.destinationPortMaximum = 80 },
      entry(5) { $0.protocolNumber = 256 },
      entry(6) { $0.tcpFlagsMask = 2 },
      entry(7) { ($0.sourceIP, $0.destinationIP) = ("10.0.0.1", "::1") },
    ]
    let list: [String: OVSDBDatum] = ["acl_name": OVSDBDatum("web"), "acl_entries": OVSDBDatum(set: rows.indices.map { .named("e\($0)") })]
    let entries = database.transact(
      rows.enumerated().map { $1.insertion(into: .aclEntry, name: "e\($0)") } + [.insert(table: "ACL", row: list, name: nil)])
    let (acl, ids) = (try #require(entries.inserted.last), entries.inserted.dropLast())
    var edit = mapping.update(entries.changes, database.replica)
    let web = try #require(edit.layer?.acls["web"])
    #expect(
      web.entries.map { "\($0.sequence) \($0.text)" }.sorted() == [
        "10 deny protocol tcp, destination-ports 80-65535, tcp-flags +syn-ack",
        "20 deny source-mac aa:bb:cc:dd:ee:01, source-ip 10.0.0.0/24", "30 deny ethertype 0x0806",
      ])
    #expect(mapping.faults.acls == [acl: ["invalid_acl"]])
    for (index, id) in ids.enumerated() {
      #expect(mapping.faults.aclEntries[id] == (index < 3 ? [] : ["invalid_acl_entry"]), "\(rows[index])")
    }
    #expect(mapping.faults.ofSwitch.isEmpty && mapping.faults.ofPorts.isEmpty)
    // As our own publisher writes it.
    edit = mapping.update(database.set(.acl, acl, ["acl_fault_status": OVSDBDatum(Set(["invalid_acl"]))]), database.replica)
    #expect(edit.layer == nil)

    let port = try #require(database.ports().first)
    edit = mapping.update(database.set(.physicalPort, port.id, ["acl_bindings": OVSDBDatum([0: acl, 7: acl])]), database.replica)
    #expect(edit.layer?.aclBindings == [.init(port: "p1", vlan: 0): "web", .init(port: "p1", vlan: 7): "web"])
    // Repaired: the faults go.
    var changes: [TableChange] = []
    for id in ids.dropFirst(3) { changes += database.delete(.aclEntry, id) }
    changes += database.set(.acl, acl, ["acl_entries": OVSDBDatum(Set(ids.prefix(3)))])
    _ = mapping.update(changes, database.replica)
    #expect(mapping.faults.acls == [acl: []] && mapping.faults.messages.isEmpty)
    let nobody = RowID(high: 1, low: 2)
    edit = mapping.update(database.set(.physicalPort, port.id, ["acl_bindings": OVSDBDatum([0: nobody])]), database.replica)
    #expect(mapping.faults.ofPorts == ["p1": [.invalidACLBinding]] && edit.layer?.aclBindings.isEmpty == true)
  }
}
