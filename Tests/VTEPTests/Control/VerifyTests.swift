// What `vtepctl verify` finds in the records and in the MAC table, and that carrying everything out again repairs it.

import Encap
import MACTable
import Netlink
import Testing

@testable import VTEP

private func vni(_ number: UInt32) -> VNI { VNI(truncating: number) }
private func mac(_ number: UInt64) -> MACAddress { MACAddress(bits: 0x0200_0000_0000 + number) }
private let peer = IPAddress(ipv4: 0xc000_0301)

@Suite("Verify")
struct VerifyTests {
  private let effects: RecordedEffects
  private var state: ControlState

  /// A VNI with a peer, a static address behind it and one behind a port, and a controller's logical switch with an address.
  init() throws {
    effects = try RecordedEffects()
    let underlay = UnderlaySettings(addresses: [IPAddress(ipv4: 0xc000_0201)], devices: ["u0"])
    state = ControlState(underlay, workers: 1, effects: effects)
    try state.attachUnderlay(underlay)
    var new = state.desired
    new.vnis[vni(5)] = VNISettings(vni: vni(5), flood: .replicate(peers: [peer]))
    new.vnis[vni(5)]?.macs = [mac(1): peer]
    new.ports["vm1"] = PortSettings(name: "vm1", kind: .tap, device: "vm1")
    new.ports["vm1"]?.options.vni = vni(5)
    new.ports["vm1"]?.macs = [mac(2)]
    try state.apply(new)
    state.hasStarted = true
    var layer = ControllerLayer()
    layer.switches[vni(6)] = LogicalSwitchSettings(name: "ls6")
    state.follow(layer)
    state.enter(ControllerEdit(addresses: [.init(vni: vni(6), mac: mac(3), destination: TunnelDestination(peer))]))
  }

  private func remove(_ mac: MACAddress, from number: UInt32) throws {
    let domain = try #require(state.domains[vni(number)])
    #expect(effects.write { $0.remove(MACKey(domain: domain.index, mac: mac)) })
  }

  private mutating func expectRepaired(_ subject: String) {
    let found = state.discrepancies()
    #expect(found.map(\.subject) == [subject], "\(found)")
    #expect(found.allSatisfy { $0.place == .dataPlane })
    state.settleAgain()
    let left = state.discrepancies()
    #expect(left.isEmpty, "\(left)")
  }

  @Test("nothing differs, and looking changes nothing")
  mutating func sound() {
    _ = effects.take()
    #expect(state.discrepancies().isEmpty)
    #expect(Set(effects.take().map { "\($0)" }).isSubset(of: ["write"]))
    #expect(state.stale.isEmpty)
  }

  @Test("static entries that the table has lost or has elsewhere")
  mutating func staticEntries() throws {
    try remove(mac(1), from: 5)
    expectRepaired("address \(mac(1)) in VNI 5")
    try remove(mac(2), from: 5)
    expectRepaired("address \(mac(2)) in VNI 5")
    let domain = try #require(state.domains[vni(5)])
    let other = try #require(state.ports["vm1"])
    effects.write { table in
      _ = table.remove(MACKey(domain: domain.index, mac: mac(1)))
      _ = table.learn(MACKey(domain: domain.index, mac: mac(1)), at: .port(other.index, vlan: 0), nowSeconds: 1)
    }
    expectRepaired("address \(mac(1)) in VNI 5")
  }

  @Test("an entry of the controller that the table has lost")
  mutating func controllerEntry() throws {
    try remove(mac(3), from: 6)
    expectRepaired("address \(mac(3)) in VNI 6")
  }

  @Test("a flood list that has lost a peer")
  mutating func floodList() throws {
    let domain = try #require(state.domains[vni(5)])
    state.model.domains[Int(domain.index)].flood = []
    expectRepaired("VNI 5")
  }

  @Test("a port that cannot be attached is a difference, with the reason")
  mutating func unattached() throws {
    effects.broken = ["vm1"]
    state.lose("vm1")
    state.reopen("vm1")
    state.settle()
    let found = state.discrepancies()
    #expect(found.count == 1 && found.first?.subject == "port vm1" && found.first?.actual.contains("broken") == true, "\(found)")
  }
}
