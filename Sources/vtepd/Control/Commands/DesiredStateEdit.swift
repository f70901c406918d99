// DesiredStateEdit: vtepctl's run-time changes as edits of the desired state. Adding what already exists is not an error and
// changes nothing. Adding it with other settings is an error, and so is deleting what does not exist.

import Encap
import VTEP
import VTEPControl

/// A request that changes the desired state.
protocol DesiredStateEdit: ControlRequest where Answer == ChangeAnswer {
  /// - Throws: when the request cannot be carried out; discard the state then.
  func edit(_ state: inout DesiredState) throws(ControlError)
}

extension DesiredState {
  /// The state after a change, checked.
  ///
  /// - Throws: `invalidParameters`, `notFound`, or `refused` with everything that would be wrong.
  func applying(_ change: some DesiredStateEdit) throws(ControlError) -> DesiredState {
    var state = self
    try change.edit(&state)
    state.resolveProfiles()
    try checkPlaces(takenBy: state)
    // The running state has passed the check.
    if state != self, let error = ControlError(state.problems(since: self)) { throw error }
    return state
  }

  /// - Throws: `refused` when a port is to bind frames that the controller has bound.
  private func checkPlaces(takenBy new: DesiredState) throws(ControlError) {
    guard !controller.bindings.isEmpty else { return }
    for (name, port) in new.ports {
      guard let old = ports[name], old.vni != port.vni || old.vlans != port.vlans else { continue }
      for vlan in [0] + port.vlans.keys.sorted() where port.vni(vlan: vlan) != nil && old.vni(vlan: vlan) == nil {
        guard let vni = controller.bindings[.init(port: name, vlan: vlan)], let owner = controller.switches[vni] else { continue }
        let frames = vlan == 0 ? "untagged frames" : "VLAN \(vlan)"
        throw ControlError(
          .refused,
          "port \(name): the controller has bound \(frames) to VNI \(vni), its logical switch '\(owner.name)'; delete that binding there first"
        )
      }
    }
  }

  func existing(_ vni: VNI) throws(ControlError) -> VNISettings {
    if let settings = vnis[vni] { return settings }
    if let owner = controller.switches[vni] {
      throw ControlError(.refused, "VNI \(vni) belongs to the controller's logical switch '\(owner.name)'")
    }
    throw ControlError(.notFound, "there is no VNI \(vni)")
  }

  func existing(port name: String) throws(ControlError) -> PortSettings {
    guard let settings = ports[name] else { throw ControlError(.notFound, "there is no port '\(name)'") }
    return settings
  }
}
