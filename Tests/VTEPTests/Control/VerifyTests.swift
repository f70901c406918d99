// What `vtepctl verify` finds in the records and in the MAC table, and that carrying everything out again repairs it.

import Encap
import MACTable
import Netlink
import Testing

@testable import VTEP

private func vni(_ number: UInt32) -> VNI { VNI(truncating: number) }
private func mac(_ number: UInt64) -> MACAddress { MACAddress(bits: 0x0200_0000_0000 + number) }
private func address(_ host: UInt32) -> IPAddress { IPAddress(ipv4: 0x0a00_0000 | host) }
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
    new.ports["vm1"]?.acl = "web"
    new.ports["vm1"]?.vlanACLs = [7: "none"]
    new.acls["web"] = ACLSettings(
      name: "web", entries: [.deny(.ingress, [(.protocolNumber, "tcp")], sequence: 1), .deny(.egress, [], sequence: 2)])
    new.acls["none"] = ACLSettings(name: "none")
    new.routers["r"] = RouterSettings(name: "r")
    new.routers["r"]?.interfaces[vni(5)] = [RouterAddress("10.0.0.1/24")!]
    new.routers["r"]?.acls[vni(5)] = "web"
    new.routers["r"]?.routes[IPPrefix("0.0.0.0/0")!] = IPAddress("10.0.0.254")!
    new.underlay.bfd = UnderlayBFD()
    new.vnis[vni(5)]?.neighbors = [address(9): mac(1)]
    try state.apply(new)
    state.hasStarted = true
    var layer = ControllerLayer()
    layer.switches[vni(6)] = LogicalSwitchSettings(name: "ls6")
    state.follow(layer)
    state.enter(ControllerEdit(addresses: [.init(vni: vni(6), mac: mac(3), destination: TunnelDestination(peer), addresses: [address(3)])]))
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

  @Test("an access control list that is gone, has other entries, or that workers lack")
  mutating func lists() throws {
    var shorter = state.acls
    _ = shorter.update(to: [:])
    state.acls = shorter
    let found = state.discrepancies()
    #expect(Set(found.map(\.subject)) == ["acl web", "acl none", "port vm1", "port vm1 vlan 7", "router r"], "\(found)")
    state.settleAgain()
    #expect(state.discrepancies().isEmpty)
    var other = state.acls
    _ = other.update(to: ["web": ACLSettings(name: "web"), "none": ACLSettings(name: "none")])
    state.acls = other
    expectRepaired("acl web")
    let index = try #require(state.acls["web"]?.index)
    state.model.acls[Int(index)] = nil
    expectRepaired("acl web")
    #expect(state.model.acls[Int(index)] != nil)
  }

  @Test("a binding that is not filtered")
  mutating func aclBinding() throws {
    let port = try #require(state.ports["vm1"])
    state.model.policies[Int(port.index)].entry.acl = .absent
    expectRepaired("port vm1")
    #expect(state.model.policies[Int(port.index)].entry.acl == state.acls["web"]?.index)
    state.model.policies[Int(port.index)].entry.vlanACLs = nil
    expectRepaired("port vm1 vlan 7")
    let stray = ACLMap([7: state.aclIndex("none"), 9: .absent], ofPort: state.aclIndex("web"))
    state.model.policies[Int(port.index)].entry.vlanACLs = stray.lists
    withExtendedLifetime(stray) { expectRepaired("port vm1 vlan 9") }
    state.model.policies[Int(port.index)].entry.filtersIngress = false
    expectRepaired("port vm1")
    state.model.ports[Int(port.index)].features.remove(.filtersEgress)
    expectRepaired("port vm1")
  }

  @Test("a router that is gone, or has lost an address, its list, or a route; and its entry in the table")
  mutating func routers() throws {
    state.model.routing.routers = []
    expectRepaired("router r")
    state.model.routing.requestMAC = .zero
    #expect(state.discrepancies().contains { $0.subject == "routers" })
    state.settleAgain()
    #expect(state.discrepancies().isEmpty)
    state.model.routing.routers[0].interfaces[0].addresses = []
    expectRepaired("router r")
    state.model.routing.routers[0].interfaces[0].acl = .absent
    expectRepaired("router r")
    state.model.routing.routers[0].routes = []
    let found = state.discrepancies()
    #expect(found.first?.intended == "0.0.0.0/0 via 10.0.0.254 in VNI 5" && found.first?.actual == "", "\(found)")
    expectRepaired("router r")
    let router = RouterSettings(name: "r").effectiveMAC
    try remove(router, from: 5)
    expectRepaired("address \(router) in VNI 5")
  }

  @Test("a BFD session that is missing, that nobody wants, or whose frames workers drop")
  mutating func bfd() throws {
    let vtep = try #require(state.underlay.vteps[peer]?.index)
    let target = try #require(effects.bfdTargets[peer])
    effects.bfdTargets = [:]
    expectRepaired("BFD with VTEP \(peer)")
    effects.bfdTargets[address(77)] = target
    expectRepaired("BFD with VTEP \(address(77))")
    state.model.vteps[Int(vtep)].entry.hasBFD = false
    expectRepaired("BFD with VTEP \(peer)")
    #expect(effects.bfdTargets == [peer: target] && state.model.vteps[Int(vtep)].entry.hasBFD)
  }

  @Test("nothing is flooded to a VTEP that BFD has lost, and that is as it should be")
  mutating func lostVTEP() throws {
    func change(_ old: BFDState, _ new: BFDState) -> BFDService.Change {
      BFDService.Change(
        address: peer, health: BFDHealth(isForwarding: new == .up, hasFailed: new != .up), old: old, new: new, diagnostic: .none)
    }
    for (old, new) in [(BFDState.down, BFDState.up), (.up, .down)] {
      state.heed([change(old, new)])
      state.settle()
      #expect(state.discrepancies().isEmpty)
    }
    let domain = try #require(state.domains[vni(5)])
    #expect(state.model.domains[Int(domain.index)].flood.isEmpty)
  }

  @Test("an address of the file's or the controller's that suppression does not know, or has otherwise")
  mutating func neighbors() throws {
    let table = try #require(effects.neighborTable)
    func key(_ number: UInt32, _ host: UInt32) throws -> InnerNeighborKey {
      InnerNeighborKey(domain: try #require(state.domains[vni(number)]?.index), address: address(host))
    }
    let (file, controller) = (try key(5, 9), try key(6, 3))
    table.state(file, mac: nil, by: .file)
    expectRepaired("neighbour \(address(9)) in VNI 5")
    table.state(controller, mac: mac(9), by: .controller)
    expectRepaired("neighbour \(address(3)) in VNI 6")
    table.state(try key(6, 99), mac: mac(9), by: .controller)
    expectRepaired("neighbour \(address(99)) in VNI 6")
    #expect(table.reader.lookup(file.domain, file.address) == mac(1))
    #expect(table.reader.lookup(controller.domain, controller.address) == mac(3))
    // What stations claim is theirs.
    table.observe(try key(5, 50), mac: mac(7), by: .local, nowSeconds: 1)
    #expect(state.discrepancies().isEmpty)
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
