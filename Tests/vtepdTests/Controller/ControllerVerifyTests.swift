// What `vtepctl verify` finds when the data plane differs from the controller's database.

import Encap
import Testing
import VTEP

@testable import vtepd

@Suite("Verify, controller")
struct ControllerVerifyTests {
  @Test("every part that is missing, too much or different is named")
  func parts() {
    var layer = ControllerLayer()
    let vni = VNI(truncating: 7)
    layer.switches[vni] = LogicalSwitchSettings(name: "ls0")
    layer.bindings[ControllerLayer.Binding(port: "p1", vlan: 5)] = vni
    layer.routers["r1"] = RouterSettings(name: "r1")
    layer.acls["web"] = ACLSettings(name: "web")
    layer.aclBindings[ControllerLayer.Binding(port: "p1", vlan: 0)] = "web"
    layer.bfd[IPAddress(ipv4: 1)] = BFDSettings()
    layer.arpSources[MACAddress(bits: 2)] = IPAddress(ipv4: 1)
    #expect(layer.discrepancies(layer).isEmpty)
    let missing = layer.discrepancies(ControllerLayer())
    #expect(
      missing.map(\.subject) == [
        "logical switch ls0 (VNI 7)", "binding p1 vlan 5", "logical router r1", "ACL web", "ACL of p1", "BFD with VTEP 0.0.0.1",
        "ARP source 00:00:00:00:00:02",
      ])
    #expect(missing.allSatisfy { $0.place == .database && $0.actual == "the data plane does not have it" })
    #expect(ControllerLayer().discrepancies(layer).allSatisfy { $0.actual == "the data plane has it" })
    var other = layer
    other.bindings[ControllerLayer.Binding(port: "p1", vlan: 5)] = VNI(truncating: 8)
    #expect(layer.discrepancies(other).map(\.actual) == ["the data plane has something else"])
  }
}
