// Logical switches without a tunnel key: keys of their locators, or none at all (vtep(5), "Per Logical-Switch Tunnel Key").

import Encap
import OVSDBClient
import Testing
import VTEP

@testable import vtepd

@Suite("Keys of locators")
struct LocatorKeyTests {
  private let own = IPAddress(ipv4: 0xc000_0201)

  private func destination(_ host: UInt32, key: UInt32? = nil) -> TunnelDestination {
    TunnelDestination(IPAddress(ipv4: 0xc000_0200 | host), key: key.map { VNI(truncating: $0) })
  }

  private func mac(_ number: UInt64) -> MACAddress { MACAddress(bits: 0x0200_0000_0000 | number) }

  /// What runs here: `database` follows what the publisher writes.
  private struct Switch {
    var database: FakeDatabase
    var mapping = ControllerMapping(switchName: "hv1")
    var layer = ControllerLayer()
    var addresses: [MACAddress: TunnelDestination] = [:]

    init() throws {
      database = try FakeDatabase()
      follow(mapping.load(database.replica))
      publish()
    }

    mutating func follow(_ edit: ControllerEdit) {
      if let new = edit.layer { layer = new }
      for address in edit.addresses { addresses[address.mac] = address.destination }
    }

    mutating func change(_ body: (inout FakeDatabase) -> [TableChange]) {
      let changes = body(&database)
      follow(mapping.update(changes, database.replica))
    }

    /// Writes our state, and follows it, as the agent does.
    mutating func publish() {
      var state = SwitchState(name: "hv1", description: "test")
      state.tunnelAddress = IPAddress(ipv4: 0xc000_0201)
      state.ports = ["p1": .init(description: ""), "p2": .init(description: "")]
      state.boundVNIs = Set(layer.bindings.values)
      state.stations = Set(state.boundVNIs.map { LocalStation(vni: $0, mac: MACAddress(bits: 0x0200_0000_00aa), address: nil) })
      var publisher = Publisher(adoptionEndSeconds: 0)
      let operations = publisher.operations(state, mapping, now: 0)
      change { $0.transact(operations).changes }
    }

    /// Key and number of our locators in a local table.
    func published(_ table: HardwareVTEP.Table) -> [Int64?] {
      let replica = database.replica
      let locators =
        table == .ucastMacsLocal
        ? replica.all(HardwareVTEP.UcastMAC.self, in: table).values.map(\.locator)
        : replica.all(HardwareVTEP.McastMAC.self, in: table).values.flatMap {
          replica.one(HardwareVTEP.LocatorSet.self, in: .locatorSet, $0.locatorSet)!.locators
        }
      return locators.map { replica.one(HardwareVTEP.Locator.self, in: .locator, $0)!.tunnelKey }
    }
  }

  @Test("frames to a VTEP have its locator's key, those to us that of our own")
  func keys() throws {
    var here = try Switch()
    let ls = here.database.addSwitch("ls0", key: nil)
    here.change { database in
      database.bind("p1", [0: ls]) + database.add("02:00:00:00:00:01", ls, via: "192.0.2.2", key: 7000).changes
        + database.add("02:00:00:00:00:02", ls, via: "192.0.2.3", key: 7001).changes
        + database.add("02:00:00:00:00:03", ls, via: "192.0.2.1", key: 6000).changes
    }
    #expect(here.layer.switches.keys.map(\.rawValue) == [6000])
    #expect(here.layer.bindings == [.init(port: "p1", vlan: 0): VNI(truncating: 6000)])
    #expect(here.addresses[mac(1)] == destination(2, key: 7000) && here.addresses[mac(2)] == destination(3, key: 7001))
    here.publish()
    #expect(here.published(.mcastMacsLocal) == [6000] && here.published(.ucastMacsLocal) == [6000])
    here.publish()
    #expect(here.published(.mcastMacsLocal) == [6000] && here.published(.ucastMacsLocal) == [6000])

    // Keys change in place.
    let remote = try #require(here.database.locator("192.0.2.2", key: 7000))
    here.change { $0.set(.locator, remote, ["tunnel_key": 7002]) }
    #expect(here.addresses[mac(1)] == destination(2, key: 7002) && here.layer.switches.keys.map(\.rawValue) == [6000])
    let ours = try #require(here.database.locator("192.0.2.1", key: 6000))
    here.change { $0.set(.locator, ours, ["tunnel_key": 6001]) }
    #expect(here.layer.switches.keys.map(\.rawValue) == [6001])
    here.publish()
    #expect(here.published(.mcastMacsLocal) == [6001] && here.published(.ucastMacsLocal) == [6001])

    // A key of the switch makes those of the locators exceptions.
    here.change { $0.set(.logicalSwitch, ls, ["tunnel_key": 5000]) }
    #expect(here.layer.switches.keys.map(\.rawValue) == [5000] && here.addresses[mac(2)] == destination(3, key: 7001))
    here.publish()
    #expect(here.published(.mcastMacsLocal) == [nil] && here.published(.ucastMacsLocal) == [nil])
    #expect(here.mapping.faults == DatabaseFaults())
  }

  @Test("nobody has given us a key: that of all others, or a free one; it is published and stays", arguments: [7000, 7001])
  func ourChoice(_ second: Int64) throws {
    var here = try Switch()
    let ls = here.database.addSwitch("ls0", key: nil)
    here.change { database in
      database.bind("p1", [0: ls]) + database.add("02:00:00:00:00:01", ls, via: "192.0.2.2", key: 7000).changes
        + database.add("02:00:00:00:00:02", ls, via: "192.0.2.3", key: second).changes
    }
    let chosen = try #require(here.layer.switches.keys.first)
    #expect(second == 7000 ? chosen.rawValue == 7000 : chosen.rawValue >= 0xf0_0000)
    #expect(here.layer.switches[chosen]?.isLocal == false && here.addresses[mac(1)] == destination(2, key: second == 7000 ? nil : 7000))
    here.publish()
    #expect(here.published(.mcastMacsLocal) == [Int64(chosen.rawValue)])
    here.change { $0.add("02:00:00:00:00:04", ls, via: "192.0.2.4", key: 7004).changes }
    #expect(Array(here.layer.switches.keys) == [chosen] && here.addresses[mac(4)] == destination(4, key: 7004))
    var again = ControllerMapping(switchName: "hv1")
    #expect(again.load(here.database.replica).layer == here.layer)
  }

  @Test("without any key: local ports only, and no fault; the key moves the bindings")
  func local() throws {
    var here = try Switch()
    let ls = here.database.addSwitch("ls0", key: nil)
    here.change { $0.add("02:00:00:00:00:01", ls, via: "192.0.2.2").changes }
    #expect(here.layer.switches.isEmpty, "no port is bound to it")
    here.change { $0.bind("p1", [0: ls]) + $0.bind("p2", [7: ls]) }
    let vni = try #require(here.layer.switches.keys.first)
    #expect(here.layer.switches[vni]?.isLocal == true && vni.rawValue >= 0xf0_0000)
    #expect(here.layer.bindings == [.init(port: "p1", vlan: 0): vni, .init(port: "p2", vlan: 7): vni])
    #expect(here.addresses.isEmpty && here.mapping.isEmpty == false && here.mapping.faults == DatabaseFaults())
    here.publish()
    #expect(here.published(.mcastMacsLocal).isEmpty && here.published(.ucastMacsLocal).isEmpty)
    var edit = ControllerEdit(layer: here.layer)
    edit = try ControllerStateFile.edit(ControllerStateFile.text(here.layer, []))
    #expect(edit.layer == here.layer)

    here.change { $0.set(.logicalSwitch, ls, ["tunnel_key": 5000]) }
    #expect(here.layer.switches.mapValues(\.isLocal) == [VNI(truncating: 5000): false] && here.addresses[mac(1)] == destination(2))
    here.publish()
    #expect(here.published(.mcastMacsLocal) == [nil])
  }
}
