// Access control lists on the control side: counters that stay with their entries, lists that cannot be made, and a controller's lists.

import Encap
import MACTable
import Testing

@testable import VTEP

private func entry(_ sequence: Int64, port: UInt16) -> ACLEntry {
  .deny(.ingress, [(.protocolNumber, "tcp"), (.destinationPorts, "\(port)")], sequence: sequence)
}

@Suite("Access control lists, control side")
struct ACLControlTests {
  private let effects: RecordedEffects
  private var state: ControlState

  init() throws {
    effects = try RecordedEffects()
    let underlay = UnderlaySettings(addresses: [IPAddress(ipv4: 0xc000_0201)], devices: ["u0"])
    state = ControlState(underlay, workers: 1, effects: effects)
    try state.attachUnderlay(underlay)
    var desired = state.desired
    desired.vnis[VNI(truncating: 5)] = VNISettings(vni: VNI(truncating: 5), flood: .none)
    var port = PortSettings(name: "p", kind: .tap, device: "p")
    port.options.vni = VNI(truncating: 5)
    desired.ports["p"] = port
    try state.apply(desired)
    state.hasStarted = true
  }

  private mutating func change(_ edit: (inout DesiredState) -> Void) throws {
    var new = state.desired
    edit(&new)
    try state.apply(new)
  }

  private var policy: PolicyEntry { state.model.policies[Int(state.ports["p"]!.index)].entry }
  private var features: PortFeatures { state.model.ports[Int(state.ports["p"]!.index)].features }

  @Test("an entry keeps its counters while others come and go; a new one begins at 0, whatever its counter has counted before")
  mutating func counters() throws {
    try change {
      $0.acls["a"] = ACLSettings(name: "a", entries: [entry(10, port: 22), entry(20, port: 23)])
      $0.ports["p"]?.acl = "a"
    }
    let slots = try #require(state.acls["a"]?.slots[.ingress])
    #expect(slots.count == 3 && Set(slots).count == 3)
    for slot in slots { (effects.counters[0].aclEntries + Int(slot)).pointee.packets.add(7) }
    try change { $0.acls["a"]?.entries = [entry(5, port: 80), entry(20, port: 23)] }
    let after = try #require(state.acls["a"]?.slots[.ingress])
    #expect(after[1] == slots[1] && after[2] == slots[2])
    #expect(!slots.contains(after[0]), "workers may still count for what was there")
    let counts = after.map { state.baselines.matched(aclEntry: $0, effects.counters).packets }
    #expect(counts == [0, 7, 7])
    // The counter of the entry that went is free now.
    try change { $0.acls["a"]?.entries.append(entry(30, port: 443)) }
    let last = try #require(state.acls["a"]?.slots[.ingress])
    #expect(last[2] == slots[0] && state.baselines.matched(aclEntry: last[2], effects.counters).packets == 0)
  }

  @Test("flags follow the lists; without a list nothing is left")
  mutating func flags() throws {
    try change {
      $0.acls["in"] = ACLSettings(name: "in", entries: [entry(10, port: 22)])
      $0.acls["out"] = ACLSettings(name: "out", entries: [.deny(.egress)])
      $0.ports["p"]?.acl = "in"
    }
    #expect(features.contains(.isPoliced) && !features.contains(.filtersEgress) && policy.filtersIngress)
    #expect(policy.acl == state.acls["in"]?.index && policy.vlanACLs == nil)
    try change { $0.ports["p"]?.vlanACLs = [7: "out"] }
    #expect(features.isSuperset(of: [.isPoliced, .filtersEgress]))
    #expect(policy.acl(vlan: 7) == state.acls["out"]?.index && policy.acl(vlan: 0) == state.acls["in"]?.index)
    try change {
      $0.ports["p"]?.options.acl = nil
      $0.ports["p"]?.options.vlanACLs.own = nil
    }
    #expect(features.isDisjoint(with: [.isPoliced, .filtersEgress]) && policy.acl == .absent && !policy.filtersIngress)
  }

  @Test("a list that cannot be made is refused, and what was in force stays")
  mutating func tooLarge() throws {
    try change {
      $0.acls["a"] = ACLSettings(name: "a", entries: [entry(10, port: 22)])
      $0.ports["p"]?.acl = "a"
    }
    let before = state.acls["a"]?.compiled
    let error = #expect(throws: VTEPError.self) { try change { $0.acls["a"] = .impossible("a") } }
    #expect(error?.description.contains("acl a") == true && error?.description.contains("MiB") == true)
    #expect(state.acls["a"]?.compiled === before && state.running.acls["a"]?.entries.count == 1)
    #expect(throws: VTEPError.self) { try change { $0.ports["p"]?.acl = "b" } }
    #expect(throws: VTEPError.self) { try change { $0.acls["a"] = nil } }
  }

  @Test("of a controller: the list before stays in force, another port is not concerned, and the fault goes with its cause")
  mutating func controllersList() throws {
    var layer = ControllerLayer()
    layer.acls["web"] = ACLSettings(name: "web", entries: [entry(10, port: 22)])
    layer.aclBindings[.init(port: "p", vlan: 0)] = "web"
    state.follow(layer)
    #expect(state.controller.conflicts.isEmpty && policy.filtersIngress)
    let before = state.acls["web"]?.compiled
    layer.acls["web"] = .impossible("web")
    state.follow(layer)
    #expect(state.controller.conflicts.map(\.subject) == [.acl("web")] && state.controller.conflicts.first?.isShortage == true)
    #expect(state.acls["web"]?.compiled === before && policy.filtersIngress)
    layer.acls["new"] = .impossible("new")
    layer.aclBindings[.init(port: "p", vlan: 0)] = "new"
    layer.acls["web"] = nil
    state.follow(layer)
    #expect(Set(state.controller.conflicts.map(\.subject)) == [.acl("new"), .aclBinding(.init(port: "p", vlan: 0))])
    #expect(!policy.filtersIngress)
    layer.acls["new"] = ACLSettings(name: "new", entries: [.deny(.egress)])
    state.follow(layer)
    #expect(state.controller.conflicts.isEmpty && features.contains(.filtersEgress))
  }

  @Test("lists of routers' interfaces: of the operator, of a controller, and of one that cannot be made")
  mutating func routers() throws {
    let vni = VNI(truncating: 5)
    func router(_ name: String, _ address: String, _ list: String?) -> RouterSettings {
      var router = RouterSettings(name: name)
      router.interfaces[vni] = [RouterAddress(address)!]
      router.acls[vni] = list
      return router
    }
    try change {
      $0.acls["a"] = ACLSettings(name: "a", entries: [.deny(.egress)])
      $0.routers["o"] = router("o", "192.0.2.1/24", "a")
    }
    let index = try #require(state.acls["a"]?.index)
    #expect(state.model.routing.routers.map { $0.interfaces.map(\.acl) } == [[index]])
    let error = #expect(throws: VTEPError.self) { try change { $0.acls["a"] = nil } }
    #expect(error?.description.contains("there is no access control list 'a'; add it to acls") == true)
    #expect(throws: VTEPError.self) { try change { $0.routers["o"]?.acls[vni] = "b" } }

    var layer = ControllerLayer()
    layer.acls = ["web": ACLSettings(name: "web", entries: [entry(10, port: 22)]), "a": ACLSettings(name: "a")]
    layer.routers = ["r": router("r", "198.51.100.1/24", "web"), "s": router("s", "203.0.113.1/24", "a")]
    state.follow(layer)
    // The name is the operator's.
    #expect(Set(state.controller.conflicts.map(\.subject)) == [.acl("a"), .routerACL("s", vni)])
    #expect(state.model.routing.routers.map { $0.interfaces.map(\.acl) } == [[index], [try #require(state.acls["web"]?.index)], [.absent]])
    layer.acls = ["new": .impossible("new")]
    layer.routers = ["r": router("r", "198.51.100.1/24", "new")]
    state.follow(layer)
    #expect(Set(state.controller.conflicts.map(\.subject)) == [.acl("new"), .routerACL("r", vni)])
    #expect(state.model.routing.routers.map { $0.interfaces.map(\.acl) } == [[index], [.absent]])
    layer.acls["new"] = ACLSettings(name: "new", entries: [.deny(.ingress)])
    state.follow(layer)
    #expect(state.controller.conflicts.isEmpty)
    #expect(state.model.routing.routers.map { $0.interfaces.map(\.acl) } == [[index], [try #require(state.acls["new"]?.index)]])
    try change { $0.routers["o"]?.acls = [:] }
    #expect(state.model.routing.routers.first?.interfaces.map(\.acl) == [.absent])
  }

  @Test("the operator's list filters where a controller wants another, and a name of the operator's is not the controller's")
  mutating func operatorsList() throws {
    try change {
      $0.acls["own"] = ACLSettings(name: "own", entries: [entry(10, port: 22)])
      $0.ports["p"]?.acl = "own"
    }
    var layer = ControllerLayer()
    layer.acls["own"] = ACLSettings(name: "own")
    layer.acls["web"] = ACLSettings(name: "web")
    layer.aclBindings = [.init(port: "p", vlan: 7): "web", .init(port: "gone", vlan: 0): "web"]
    state.follow(layer)
    #expect(Set(state.controller.conflicts.map(\.subject)) == [.acl("own"), .aclBinding(.init(port: "p", vlan: 7))])
    #expect(state.running.ports["p"]?.vlanACLs.isEmpty == true && state.running.acls["own"]?.entries.count == 1)
  }
}
