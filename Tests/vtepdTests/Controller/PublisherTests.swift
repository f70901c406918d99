// What the switch writes into the database: everything that is missing, once, and nothing that others own.

import Encap
import OVSDBClient
import Testing
import VTEP

@testable import vtepd

@Suite("Publisher")
struct PublisherTests {
  private let vni = VNI(truncating: 5000)
  private let own = IPAddress(ipv4: 0xc000_0201)

  private func station(_ number: UInt64, _ address: String? = nil) -> LocalStation {
    LocalStation(vni: vni, mac: MACAddress(bits: 0x0200_0000_0000 | number), address: address.flatMap { IPAddress($0) })
  }

  private func state(_ edit: (inout SwitchState) -> Void = { _ in }) -> SwitchState {
    var state = SwitchState(name: "hv1", description: "vtepd", managementIPs: ["198.51.100.1"], tunnelAddress: own)
    state.ports = ["p1": .init(description: "one"), "p-2": .init(description: "two")]
    edit(&state)
    return state
  }

  /// A switch and its database.
  private struct Bench {
    var database: FakeDatabase
    var publisher = Publisher(adoptionEndSeconds: 300)

    /// Publishes; it is a failure if a second comparison would write more.
    mutating func publish(
      _ state: SwitchState, counters: Publisher.Counters? = nil, now: Double = 0, sourceLocation: SourceLocation = #_sourceLocation
    ) -> [OVSDBOperation] {
      var mapping = ControllerMapping(switchName: state.name)
      _ = mapping.load(database.replica)
      let operations = publisher.operations(state, mapping, counters: counters, now: now)
      database.transact(operations)
      _ = mapping.load(database.replica)
      let again = publisher.operations(state, mapping, counters: counters, now: now)
      #expect(again == [], "written twice", sourceLocation: sourceLocation)
      return operations
    }

    func macs() -> [String: String] {
      let rows = database.replica.all(HardwareVTEP.UcastMAC.self, in: .ucastMacsLocal).values
      return Dictionary(rows.map { ($0.mac, $0.ipAddress) }) { $0 + $1 }
    }
  }

  private func bench(without: Set<String> = []) throws -> Bench { Bench(database: try FakeDatabase(without: without)) }

  @Test("a new database: the switch, its ports, and the row of Global that lists it")
  func fresh() throws {
    var bench = try bench()
    _ = bench.publish(state())
    let row = try #require(bench.database.replica.physicalSwitch(named: "hv1"))
    #expect(row.tunnelIPs == ["192.0.2.1"])
    #expect(row.managementIPs == ["198.51.100.1"])
    #expect(row.description == "vtepd")
    #expect(bench.database.ports().map(\.name) == ["p-2", "p1"])
    #expect(bench.database.ports().map(\.description) == ["two", "one"])
    let global = bench.database.replica.all(HardwareVTEP.Global.self, in: .global).values
    #expect(global.map(\.switches) == [[row.id]])
    // A restart.
    bench.publisher = Publisher(adoptionEndSeconds: 300)
    #expect(bench.publish(state()) == [])
  }

  @Test("existing rows are adopted with their bindings; others' rows are not touched")
  func takenOver() throws {
    var bench = try bench()
    let ls = bench.database.addSwitch("ls0", key: 5000)
    let made = bench.database.transact([
      HardwareVTEP.PhysicalPort(name: "p1", vlanBindings: [0: ls]).insertion(into: .physicalPort, name: "p"),
      HardwareVTEP.PhysicalSwitch(name: "hv1", managementIPs: ["203.0.113.1"]).insertion(
        into: .physicalSwitch, name: "s", references: ["ports": OVSDBDatum(.named("p"))]),
      HardwareVTEP.PhysicalSwitch(name: "other", tunnelIPs: ["192.0.2.9"]).insertion(into: .physicalSwitch, name: "o"),
      .insert(
        table: "Global", row: ["switches": OVSDBDatum(set: [.named("s"), .named("o")]), "other_config": OVSDBDatum(["a": "b"])]),
    ])
    let other = bench.database.replica["Physical_Switch", made.inserted[2]]
    _ = bench.publish(state())
    #expect(bench.database.ports().first { $0.name == "p1" }?.vlanBindings == [0: ls])
    #expect(bench.database.ports().first { $0.name == "p1" }?.id == made.inserted[0])
    #expect(bench.database.replica["Physical_Switch", made.inserted[2]] == other)
    #expect(bench.database.replica.physicalSwitch(named: "hv1")?.managementIPs == ["203.0.113.1"])
    let global = bench.database.replica.all(HardwareVTEP.Global.self, in: .global).values.first
    #expect(global?.switches.count == 2)
    #expect(global?.otherConfig == ["a": "b"])
  }

  @Test("a switch with another name than before keeps its row, and so its bindings")
  func renamed() throws {
    var bench = try bench()
    _ = bench.publish(state())
    let ls = bench.database.addSwitch("ls0", key: 5000)
    bench.database.bind("p1", [0: ls])
    let old = try #require(bench.database.replica.physicalSwitch(named: "hv1"))
    _ = bench.publish(
      state {
        $0.name = "new"
        $0.formerRow = old.id
      })
    #expect(bench.database.replica.physicalSwitch(named: "new")?.id == old.id)
    #expect(bench.database.count(.physicalSwitch) == 1)
    #expect(bench.database.ports(of: "new").first { $0.name == "p1" }?.vlanBindings == [0: ls])
  }

  @Test("if somebody has made a row of the new name, the old one goes, with its ports")
  func renamedTwice() throws {
    var bench = try bench()
    _ = bench.publish(state())
    let old = try #require(bench.database.replica.physicalSwitch(named: "hv1"))
    let made = bench.database.transact([
      HardwareVTEP.PhysicalSwitch(name: "new").insertion(into: .physicalSwitch, name: "s"),
      .mutate(table: "Global", where: [], mutations: [OVSDBMutation("switches", .insert, OVSDBDatum(.named("s")))]),
    ])
    _ = bench.publish(
      state {
        $0.name = "new"
        $0.formerRow = old.id
      })
    #expect(bench.database.replica.physicalSwitch(named: "new")?.id == made.inserted[0])
    #expect(bench.database.count(.physicalSwitch) == 1 && bench.database.count(.physicalPort) == 2)
  }

  @Test("the row of another host, whose state was copied, is left alone: it has other tunnel addresses")
  func copiedState() throws {
    var bench = try bench()
    _ = bench.publish(state())
    let old = try #require(bench.database.replica.physicalSwitch(named: "hv1"))
    _ = bench.publish(
      state {
        $0.name = "new"
        $0.formerRow = old.id
        $0.tunnelAddress = IPAddress(ipv4: 0xc000_0209)
      })
    #expect(bench.database.replica.physicalSwitch(named: "hv1") == old)
    #expect(bench.database.count(.physicalSwitch) == 2 && bench.database.count(.physicalPort) == 4)
  }

  @Test("rows of an earlier life go at the first publication: of networks that are no longer bound, and of former ports")
  func earlierLife() throws {
    var (bench, ls) = try bound()
    let other = bench.database.addSwitch("ls1", key: 5001)
    _ = bench.publish(
      state {
        $0.boundVNIs = [vni, VNI(truncating: 5001)]
        $0.stations = [station(1), LocalStation(vni: VNI(truncating: 5001), mac: MACAddress(bits: 0x0200_0000_0002), address: nil)]
        $0.ports["p3"] = .init(description: "three")
      }, counters: [.init(port: "p1", vlan: 0): SwitchState.Traffic(packetsFromLocal: 1)])
    #expect(bench.macs().count == 2 && bench.database.count(.mcastMacsLocal) == 2 && bench.database.count(.logicalBindingStats) == 1)
    // Another vtepd: one of the networks, fewer ports.
    bench.publisher = Publisher(adoptionEndSeconds: 300)
    _ = bench.publish(state { $0.boundVNIs = [vni] }, counters: [:])
    let rows = bench.database.replica.all(HardwareVTEP.UcastMAC.self, in: .ucastMacsLocal).values
    #expect(rows.map(\.logicalSwitch) == [ls], "\(other) is not bound")
    #expect(bench.database.count(.mcastMacsLocal) == 1 && bench.database.count(.logicalBindingStats) == 0)
    #expect(bench.database.ports().map(\.name) == ["p-2", "p1"] && bench.database.count(.physicalPort) == 2)
  }

  @Test("ports come and go at run time")
  func ports() throws {
    var bench = try bench()
    _ = bench.publish(state())
    _ = bench.publish(state { $0.ports = ["p1": .init(description: "one"), "p3": .init(description: "")] })
    #expect(bench.database.ports().map(\.name) == ["p1", "p3"])
    #expect(bench.database.count(.physicalPort) == 2)
  }

  /// A bench with a logical switch that is bound here.
  private func bound() throws -> (bench: Bench, logicalSwitch: RowID) {
    var bench = try bench()
    _ = bench.publish(state())
    let logicalSwitch = bench.database.addSwitch("ls0", key: 5000)
    return (bench, logicalSwitch)
  }

  @Test("stations with our locator, and the flood set; both are removed with the binding")
  func stations() throws {
    var (bench, ls) = try bound()
    _ = bench.publish(
      state {
        $0.boundVNIs = [vni]
        $0.stations = [station(1), station(2, "10.0.0.2")]
      })
    #expect(bench.macs() == ["02:00:00:00:00:01": "", "02:00:00:00:00:02": "10.0.0.2"])
    let locator = try #require(bench.database.locator("192.0.2.1"))
    let rows = bench.database.replica.all(HardwareVTEP.UcastMAC.self, in: .ucastMacsLocal).values
    #expect(Set(rows.map(\.locator)) == [locator])
    #expect(Set(rows.map(\.logicalSwitch)) == [ls])
    let floods = bench.database.replica.all(HardwareVTEP.McastMAC.self, in: .mcastMacsLocal).values
    #expect(floods.map(\.mac) == ["unknown-dst"])
    #expect(bench.database.count(.locator) == 1)

    // A later address, and one station less.
    _ = bench.publish(
      state {
        $0.boundVNIs = [vni]
        $0.stations = [station(1, "10.0.0.1")]
      })
    #expect(bench.macs() == ["02:00:00:00:00:01": "10.0.0.1"])
    _ = bench.publish(state())
    #expect(bench.macs() == [:])
    #expect(bench.database.count(.mcastMacsLocal) == 0)
    #expect(bench.database.count(.locator) == 0)
  }

  @Test("a locator inserted by the controller is reused")
  func locatorReuse() throws {
    var (bench, ls) = try bound()
    bench.database.add("02:00:00:00:00:99", ls, via: "192.0.2.1")
    _ = bench.publish(
      state {
        $0.boundVNIs = [vni]
        $0.stations = [station(1)]
      })
    #expect(bench.database.count(.locator) == 1)
  }

  @Test("other switches' local addresses stay")
  func others() throws {
    var (bench, ls) = try bound()
    let row = HardwareVTEP.UcastMAC(mac: "02:00:00:00:00:77", logicalSwitch: ls, locator: .zero)
    bench.database.transact([
      HardwareVTEP.Locator(encapsulation: HardwareVTEP.Locator.vxlan, destinationIP: "192.0.2.9").insertion(into: .locator, name: "l"),
      row.insertion(into: .ucastMacsLocal, references: ["locator": OVSDBDatum(.named("l"))]),
    ])
    #expect(bench.publish(state(), now: 1000) == [])
    #expect(bench.macs() == ["02:00:00:00:00:77": ""])
  }

  @Test("after a restart nothing is written; silent stations are removed in the end, stations that appear elsewhere at once")
  func restart() throws {
    var (bench, ls) = try bound()
    let full = state {
      $0.boundVNIs = [vni]
      $0.stations = [station(1, "10.0.0.1"), station(2), station(3)]
    }
    _ = bench.publish(full)
    bench.publisher = Publisher(adoptionEndSeconds: 300)
    #expect(bench.publish(state { $0.boundVNIs = [vni] }) == [])
    #expect(
      bench.publish(
        state {
          $0.boundVNIs = [vni]
          $0.stations = [station(1)]
        }, now: 10) == [])
    #expect(bench.macs()["02:00:00:00:00:01"] == "10.0.0.1")
    bench.database.add("02:00:00:00:00:03", ls, via: "192.0.2.9")
    _ = bench.publish(
      state {
        $0.boundVNIs = [vni]
        $0.stations = [station(1)]
      }, now: 20)
    #expect(bench.macs().keys.sorted() == ["02:00:00:00:00:01", "02:00:00:00:00:02"])
    _ = bench.publish(
      state {
        $0.boundVNIs = [vni]
        $0.stations = [station(1)]
      }, now: 300)
    #expect(bench.macs().keys.sorted() == ["02:00:00:00:00:01"])
    // A known station that disappears is removed at once.
    _ = bench.publish(state { $0.boundVNIs = [vni] }, now: 301)
    #expect(bench.macs() == [:])
  }

  @Test("faults come and go with their causes")
  func faults() throws {
    var bench = try bench()
    _ = bench.publish(
      state {
        $0.faults.report(.macTableExhaustion, "full")
        $0.faults.report(.invalidVLANMap, port: "p1", "no")
      })
    #expect(bench.database.replica.physicalSwitch(named: "hv1")?.faults == ["mac_table_exhaustion"])
    #expect(bench.database.ports().map(\.faults) == [[], ["invalid_vlan_map"]])
    _ = bench.publish(state())
    #expect(bench.database.replica.physicalSwitch(named: "hv1")?.faults == [])
    #expect(bench.database.ports().map(\.faults) == [[], []])
  }

  @Test("routers, ACLs and BFD: reported in their own rows")
  func unsupported() throws {
    var (bench, ls) = try bound()
    let made = bench.database.transact([
      HardwareVTEP.LogicalRouter(name: "r0", switchBinding: ["192.0.2.0/24": ls]).insertion(into: .logicalRouter),
      HardwareVTEP.ACL(name: "web").insertion(into: .acl),
    ])
    _ = bench.publish(
      state {
        $0.faults.ofRouters = ["r0": ["unspecified_fault"]]
        $0.faults.acls = [made.inserted[1]: ["invalid_acl"]]
      })
    #expect(
      bench.database.replica.one(HardwareVTEP.LogicalRouter.self, in: .logicalRouter, made.inserted[0])?.faults == ["unspecified_fault"])
    #expect(bench.database.replica.one(HardwareVTEP.ACL.self, in: .acl, made.inserted[1])?.faults == ["invalid_acl"])
    // A row that no longer concerns us keeps no fault of ours.
    _ = bench.publish(state())
    #expect(bench.database.replica.one(HardwareVTEP.ACL.self, in: .acl, made.inserted[1])?.faults == [])
    // What is right now has no fault; a router that is no concern of ours keeps what others say.
    _ = bench.publish(state { $0.faults.ofRouters = ["r0": []] })
    #expect(bench.database.replica.one(HardwareVTEP.LogicalRouter.self, in: .logicalRouter, made.inserted[0])?.faults == [])
  }

  @Test("several switches report in one row: none removes another one's fault, and each one's goes with its cause")
  func sharedFaults() throws {
    var (bench, ls) = try bound()
    let row = HardwareVTEP.LogicalRouter(name: "r0", switchBinding: ["192.0.2.0/24": ls])
    let router = bench.database.transact([row.insertion(into: .logicalRouter)]).inserted[0]
    bench.database.transact([.insert(table: "Physical_Switch", row: ["name": OVSDBDatum("hv2")], name: nil)])
    /// Each switch publishes until it has nothing to write.
    var publishers = ["hv1": bench.publisher, "hv2": Publisher(adoptionEndSeconds: 300)]
    func settle(_ faults: [String: Set<String>?]) -> Set<String> {
      for round in 0..<5 {
        var isDone = true
        for name in publishers.keys.sorted() {
          var mapping = ControllerMapping(switchName: name)
          _ = mapping.load(bench.database.replica)
          var state = SwitchState(
            name: name, description: "vtepd", tunnelAddress: IPAddress(ipv4: name == "hv1" ? 0xc000_0201 : 0xc000_0202))
          if let found = faults[name] ?? nil { state.faults.ofRouters = ["r0": found] }
          let operations = publishers[name]?.operations(state, mapping, now: 0) ?? []
          bench.database.transact(operations)
          isDone = isDone && operations.isEmpty
        }
        if isDone { break }
        #expect(round < 4, "they overwrite each other")
      }
      return bench.database.replica.one(HardwareVTEP.LogicalRouter.self, in: .logicalRouter, router)?.faults ?? []
    }
    let fault: Set<String> = ["unspecified_fault"]
    #expect(settle(["hv1": fault, "hv2": []]) == fault)
    #expect(settle(["hv1": fault, "hv2": ["invalid_ACL_binding"]]) == ["unspecified_fault", "invalid_ACL_binding"])
    #expect(settle(["hv1": [], "hv2": ["invalid_ACL_binding"]]) == ["invalid_ACL_binding"])
    // It no longer concerns this one.
    #expect(settle(["hv1": [], "hv2": nil]) == [])
    // Of an earlier life, which nobody remembers.
    #expect(settle(["hv1": [], "hv2": fault]) == fault)
    publishers["hv2"] = Publisher(adoptionEndSeconds: 300)
    #expect(settle(["hv1": [], "hv2": []]) == [])
  }

  @Test("the MAC address from which we ask for neighbours of routers is published while there are routers, with our locator")
  func arpSource() throws {
    var (bench, _) = try bound()
    let mac = MACAddress(bits: 0x0e77_c000_0201)
    func published() -> [String] {
      bench.database.replica.all(HardwareVTEP.ArpSource.self, in: .arpSourcesLocal).values.map { row in
        let locator = bench.database.replica.one(HardwareVTEP.Locator.self, in: .locator, row.locator)
        return "\(row.mac) \(locator?.destinationIP ?? "")"
      }
    }
    _ = bench.publish(state { $0.arpSource = mac })
    let address = try #require(state().tunnelAddress)
    #expect(published() == ["0e:77:c0:00:02:01 \(address)"])
    #expect(bench.publish(state { $0.arpSource = mac }).isEmpty)
    _ = bench.publish(state())
    #expect(published().isEmpty)
  }

  @Test("counters of bindings continue after a restart, and idle ones are not written")
  func counters() throws {
    var (bench, ls) = try bound()
    bench.database.bind("p1", [100: ls])
    func counted(_ count: Int64) -> Publisher.Counters {
      [
        .init(port: "p1", vlan: 100): SwitchState.Traffic(
          packetsFromLocal: count, bytesFromLocal: 100 * count, packetsToLocal: 2 * count, bytesToLocal: 200 * count)
      ]
    }
    func stats() throws -> HardwareVTEP.LogicalBindingStats {
      let port = try #require(bench.database.ports().first { $0.name == "p1" })
      let id = try #require(port.vlanStats[100])
      return try #require(bench.database.replica.one(HardwareVTEP.LogicalBindingStats.self, in: .logicalBindingStats, id))
    }
    let bound = state { $0.boundVNIs = [vni] }
    _ = bench.publish(bound, counters: counted(5))
    #expect(try stats().packetsFromLocal == 5)
    _ = bench.publish(bound, counters: counted(7))
    #expect(try stats().bytesToLocal == 1400)
    bench.publisher = Publisher(adoptionEndSeconds: 300)
    #expect(bench.publish(bound, counters: counted(0)) == [])
    _ = bench.publish(bound, counters: counted(3))
    #expect(try stats().packetsFromLocal == 10)
    // The binding is removed, and its row with it.
    _ = bench.publish(bound, counters: [:])
    #expect(bench.database.count(.logicalBindingStats) == 0)
  }

  @Test("a schema without fault columns")
  func oldSchema() throws {
    var bench = try bench(without: [
      "Physical_Switch.switch_fault_status", "Physical_Port.port_fault_status", "Physical_Locator.tunnel_key",
    ])
    _ = bench.publish(state { $0.faults.report(.unspecified, "something") })
    bench.database.addSwitch("ls0", key: 5000)
    _ = bench.publish(
      state {
        $0.boundVNIs = [vni]
        $0.stations = [station(1)]
      })
    #expect(bench.macs().count == 1)
  }

  @Test("many stations are written in batches")
  func batches() throws {
    var (bench, _) = try bound()
    let many = state {
      $0.boundVNIs = [vni]
      $0.stations = Set((1...5000).map { station($0) })
    }
    var mapping = ControllerMapping(switchName: "hv1")
    var rounds = 0
    while rounds < 10 {
      _ = mapping.load(bench.database.replica)
      let operations = bench.publisher.operations(many, mapping, now: 0)
      if operations.isEmpty { break }
      #expect(operations.count <= Publisher.batch + 10)
      bench.database.transact(operations)
      rounds += 1
    }
    #expect(rounds == 3)
    #expect(bench.database.count(.ucastMacsLocal) == 5000)
  }
}
