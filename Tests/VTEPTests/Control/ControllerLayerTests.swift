// What of a controller's wishes can run beside the operator's part.

import Encap
import Testing

@testable import VTEP

@Suite("Controller layer")
struct ControllerLayerTests {
  private let own = IPAddress(ipv4: 0xc000_0201)
  private let peer = TunnelDestination(IPAddress(ipv4: 0xc000_0202))
  private let vni = VNI(truncating: 5000)
  private let fileVNI = VNI(truncating: 5001)

  private func state(_ edit: (inout DesiredState) -> Void = { _ in }) -> DesiredState {
    var state = DesiredState(underlay: UnderlaySettings(addresses: [own], devices: ["u0"]))
    state.hasController = true
    state.ports["p1"] = PortSettings(name: "p1", kind: .netdev, device: "eth1")
    state.ports["p2"] = PortSettings(name: "p2", kind: .netdev, device: "eth2")
    state.vnis[fileVNI] = VNISettings(vni: fileVNI, flood: .none)
    var settings = LogicalSwitchSettings(name: "ls0")
    settings.flood = [peer]
    state.controller.switches[vni] = settings
    state.controller.bindings[.init(port: "p1", vlan: 0)] = vni
    state.controller.bindings[.init(port: "p1", vlan: 100)] = vni
    edit(&state)
    return state
  }

  private func conflicts(_ edit: (inout DesiredState) -> Void) -> [String] { state(edit).merged().conflicts.map(\.description) }

  @Test("logical switches and bindings become VNIs and bindings")
  func plain() {
    let (merged, conflicts) = state().merged()
    #expect(conflicts.isEmpty)
    #expect(merged.vnis[vni]?.flood == .replicate(peers: [peer.address]))
    #expect(merged.vnis[vni]?.logicalSwitch?.name == "ls0")
    #expect(merged.vnis[vni]?.learning == false)
    #expect(merged.vnis[fileVNI]?.logicalSwitch == nil)
    #expect(merged.ports["p1"]?.vni == vni)
    #expect(merged.ports["p1"]?.vlans == [100: vni])
    #expect(merged.ports["p1"]?.controlledVLANs == [0, 100])
    #expect(merged.problems().isEmpty)
  }

  @Test("a VNI of the configuration stays the configuration's, and so do the bindings to it")
  func ownedVNI() {
    let edit = { (state: inout DesiredState) in
      state.vnis[vni] = VNISettings(vni: vni, flood: .none)
    }
    #expect(
      conflicts(edit) == [
        "VNI 5000: the configuration defines it, so logical switch 'ls0' cannot use it",
        "untagged frames of port p1: VNI 5000 is defined in the configuration",
        "VLAN 100 of port p1: VNI 5000 is defined in the configuration",
      ])
    #expect(state(edit).merged().state.vnis[vni]?.logicalSwitch == nil)
    #expect(state(edit).merged().state.ports["p1"]?.bindings.isEmpty == true)
  }

  @Test("a binding of the configuration stays; VLAN 4095 cannot be")
  func ownedBinding() {
    let found = conflicts { state in
      state.ports["p1"]?.vlans = [100: fileVNI]
      state.controller.bindings[.init(port: "p2", vlan: 4095)] = vni
    }
    #expect(found == ["VLAN 100 of port p1: already bound in the configuration", "VLAN 4095 of port p2: VLAN 4095 is reserved"])
  }

  @Test("a port that is not there is nobody's fault")
  func noPort() {
    #expect(conflicts { $0.controller.bindings[.init(port: "gone", vlan: 0)] = vni } == [])
  }

  @Test("destinations: ourselves go without saying, impossible ones are told")
  func destinations() {
    let group = IPAddress(ipv4: 0xe000_0001)
    let (mac, odd) = (MACAddress(bits: 0x0200_0000_0007), MACAddress(bits: 0x0200_0000_0008))
    let (merged, conflicts) = state { state in
      state.controller.switches[vni]?.flood = [TunnelDestination(own), peer, TunnelDestination(group)]
      state.controller.arpSources = [MACAddress(bits: 0x0200_0000_0006): own, mac: peer.address, odd: group]
      state.controller.routedVNIs = [vni]
    }.merged()
    #expect(merged.vnis[vni]?.logicalSwitch?.flood == [peer])
    #expect(merged.vnis[vni]?.macs == [mac: peer.address])
    #expect(conflicts.map(\.subject) == [.destination(vni), .arpSource(odd)])
  }

  @Test("static addresses of two ports that come into one VNI by the controller's bindings")
  func sharedAddress() {
    let mac = MACAddress(bits: 0x0200_0000_0007)
    let (merged, conflicts) = state { state in
      state.ports["p1"]?.macs = [mac]
      state.ports["p2"]?.macs = [mac]
      state.controller.bindings[.init(port: "p2", vlan: 0)] = vni
    }.merged()
    #expect(conflicts.map(\.subject) == [.binding(.init(port: "p2", vlan: 0))])
    #expect(merged.ports["p1"]?.vni == vni)
    #expect(merged.ports["p2"]?.vni == nil)
    #expect(merged.problems().isEmpty)
  }
}
