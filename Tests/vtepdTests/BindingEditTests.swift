// `vtepctl binding add|delete` as edits of the desired state: one entry at a time, consistent with `port set` and with profiles;
// and the check of a change, which examines only the differences, finds the same problems as the full check.

import Encap
import Testing
import VTEP
import VTEPControl

@testable import vtepd

@Suite struct BindingEditTests {
  private let state: DesiredState
  private let vni5001 = VNI(truncating: 5001)
  private let vni5002 = VNI(truncating: 5002)

  /// vm1: untagged to 5001; bm1: untagged to 5002, VLAN 100 to 5001, VLAN 4094 to 5002.
  init() throws {
    state = try ConfigurationLoader(hostName: "h").load(text: fullConfigurationText, file: "f").desired
  }

  private func expectRefusal(
    _ edit: some DesiredStateEdit, of state: DesiredState? = nil, _ code: ControlError.Code, _ message: String,
    _ location: SourceLocation = #_sourceLocation
  ) {
    do throws(ControlError) {
      _ = try (state ?? self.state).applying(edit)
      Issue.record("not refused", sourceLocation: location)
    } catch {
      #expect(error.code == code, "\(error)", sourceLocation: location)
      #expect(error.description.contains(message), "\(error)", sourceLocation: location)
    }
  }

  @Test func oneVLANAtATime() throws {
    let added = try state.applying(AddBinding(port: "bm1", vlan: 200, vni: 5001))
    #expect(added.ports["bm1"]?.vlans == [100: vni5001, 200: vni5001, 4094: vni5002])
    #expect(try added.applying(AddBinding(port: "bm1", vlan: 200, vni: 5001)) == added)
    #expect(try added.applying(DeleteBinding(port: "bm1", vlan: 200)) == state)
    // The same as the whole list given to `port set`.
    let whole = SetPort(name: "bm1", settings: ["vlans": .map(["100": .number(5001), "200": .number(5001), "4094": .number(5002)])])
    #expect(try state.applying(whole) == added)
  }

  @Test func staticAddressesComeAndGoWithTheirBinding() throws {
    let mac = try #require(MACAddress("02:00:00:00:00:77"))
    let added = try state.applying(AddBinding(port: "bm1", vlan: 200, vni: 5001, macs: ["02:00:00:00:00:77"]))
    #expect(added.ports["bm1"]?.vlanMACs[200] == [mac])
    #expect(try added.applying(AddBinding(port: "bm1", vlan: 200, vni: 5001, macs: ["02:00:00:00:00:77"])) == added)
    #expect(try added.applying(DeleteBinding(port: "bm1", vlan: 200)) == state)
    let without = try state.applying(DeleteBinding(port: "bm1", vlan: 100))
    #expect(without.ports["bm1"]?.vlanMACs == [:] && without.ports["bm1"]?.vlans == [4094: vni5002])
    let unbound = try state.applying(DeleteBinding(port: "vm1"))
    #expect(unbound.ports["vm1"]?.macs == [] && unbound.ports["vm1"]?.vni == nil)
    #expect(try unbound.applying(AddBinding(port: "vm1", vni: 5001, macs: ["52:54:00:00:00:02", "52:54:00:00:00:01"])) == state)
  }

  @Test func firstAndLastVLAN() throws {
    let added = try state.applying(AddBinding(port: "vm1", vlan: 1, vni: 5002))
    #expect(added.ports["vm1"]?.vlans == [1: vni5002])
    // As if it had never existed: `config show` does not list vlans.
    #expect(try added.applying(DeleteBinding(port: "vm1", vlan: 1)) == state)
  }

  @Test func contradictionsAreRefused() {
    expectRefusal(
      AddBinding(port: "bm1", vlan: 100, vni: 5002), .refused, "port bm1 already binds VLAN 100 to VNI 5001; delete that binding first")
    expectRefusal(AddBinding(port: "bm1", vni: 5001), .refused, "port bm1 already binds untagged frames to VNI 5002")
    expectRefusal(AddBinding(port: "bm1", vlan: 0, vni: 5001), .invalidParameters, "vlan must be from 1 to 4094, not 0")
    expectRefusal(AddBinding(port: "bm1", vlan: 4095, vni: 5001), .invalidParameters, "vlan must be from 1 to 4094, not 4095")
    expectRefusal(AddBinding(port: "bm1", vlan: 5, vni: 9), .notFound, "no VNI 9")
    expectRefusal(AddBinding(port: "bm1", vlan: 5, vni: 1 << 24), .invalidParameters, "vni 16777216")
    expectRefusal(AddBinding(port: "nowhere", vlan: 5, vni: 5001), .notFound, "no port 'nowhere'")
    expectRefusal(AddBinding(port: "bm1", vlan: 5, vni: 5001, macs: ["x"]), .invalidParameters, "mac 'x'")
    expectRefusal(
      AddBinding(port: "bm1", vlan: 5, vni: 5001, macs: ["52:54:00:00:00:01"]), .refused,
      "mac 52:54:00:00:00:01 of VNI 5001 is already behind port bm1")
    expectRefusal(DeleteBinding(port: "bm1", vlan: 5), .notFound, "port bm1 does not bind VLAN 5")
    expectRefusal(DeleteBinding(port: "nowhere"), .notFound, "no port 'nowhere'")
    expectRefusal(DeleteVNI(vni: 5001), .refused, "bound to: bm1, vm1")
  }

  @Test func profilesAreOverridden() throws {
    var options = PortOptions()
    options.vni = vni5001
    options.vlans.own = [7: vni5001, 8: vni5002]
    var port = PortSettings(name: "p", kind: .tap, device: "t9")
    port.profile = "trunk"
    let shared = DesiredState(
      underlay: state.underlay, vnis: state.vnis, ports: state.ports.merging(["p": port]) { $1 }, profiles: ["trunk": options])
    let added = try shared.applying(AddBinding(port: "p", vlan: 9, vni: 5002))
    #expect(added.ports["p"]?.vlans == [7: vni5001, 8: vni5002, 9: vni5002])
    let deleted = try shared.applying(DeleteBinding(port: "p", vlan: 7))
    #expect(deleted.ports["p"]?.vlans == [8: vni5002])
    // Nothing is left, and nothing is taken from the profile again.
    let none = try deleted.applying(DeleteBinding(port: "p", vlan: 8))
    #expect(none.ports["p"]?.vlans == [:] && none.ports["p"]?.options.vlans.own == [:])
    expectRefusal(DeleteBinding(port: "p"), of: shared, .refused, "from profile trunk; change the profile")
  }

  @Test func aChangeIsCheckedLikeTheWholeState() throws {
    let stranger = VNI(truncating: 77)
    let breaks: [(inout DesiredState) -> Void] = [
      { _ in }, { $0.vnis[self.vni5001] = nil }, { $0.vnis[self.vni5002]?.ageingSeconds = .max }, { $0.ports["bm1"]?.vlans[5] = stranger },
      { $0.ports["bm1"]?.vlans[5] = self.vni5001 }, { $0.ports["bm1"]?.vlans[0] = self.vni5001 }, { $0.ports["vm1"]?.vni = nil },
      { $0.ports["vm1"]?.profile = "nobody" }, { $0.underlay.addresses = [] }, { $0.underlay.priorities.dscpOfPCP = [1] },
      { $0.underlay.priorities.pcpOfDSCP = [64: 8] }, { $0.ports["bm1"]?.macs = [MACAddress(bits: 0x5254_0000_0001)] },
      { state in
        state.vnis[self.vni5002] = nil
        state.ports["bm1"] = nil
      },
      { state in
        state.ports["bm1"]?.vni = self.vni5001
        state.ports["bm1"]?.macs = [MACAddress(bits: 0x5254_0000_0001)]
      },
    ]
    for (index, edit) in breaks.enumerated() {
      var changed = state
      edit(&changed)
      #expect(changed.problems(since: state) == changed.problems(), "edit \(index)")
    }
    #expect(state.problems().isEmpty)
  }
}
