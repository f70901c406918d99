// BindingCommands: `vtepctl binding add|delete` as edits of the desired state: single entries of the list that `port set --vni --vlan`
// sets as a whole.

import Encap
import VTEP
import VTEPControl

extension Daemon {
  nonisolated func addBindingCommands(to commands: inout ControlCommands) {
    commands.add(AddBinding.self, change)
    commands.add(DeleteBinding.self, change)
  }
}

extension AddBinding: DesiredStateEdit {
  func edit(_ state: inout DesiredState) throws(ControlError) {
    let vni = try VNI(parameter: vni)
    try checkVLAN(vlan)
    _ = try state.existing(vni)
    var settings = try state.existing(port: port)
    if let bound = settings.vni(vlan: vlan ?? 0), bound != vni {
      throw ControlError(.refused, "port \(port) already binds \(frames(vlan)) to VNI \(bound); delete that binding first")
    }
    var added: [MACAddress] = []
    for text in macs ?? [] { added.append(try MACAddress(parameter: text)) }
    let known = settings.macs(vlan: vlan ?? 0)
    added = known + added.filter { !known.contains($0) }
    if settings.vni(vlan: vlan ?? 0) == nil { settings.bind(vlan: vlan ?? 0, to: vni) }
    if let vlan {
      settings.vlanMACs[vlan] = added.isEmpty ? nil : added
    } else {
      settings.macs = added
    }
    state.ports[port] = settings
  }
}

extension DeleteBinding: DesiredStateEdit {
  func edit(_ state: inout DesiredState) throws(ControlError) {
    try checkVLAN(vlan)
    var settings = try state.existing(port: port)
    guard settings.vni(vlan: vlan ?? 0) != nil else { throw ControlError(.notFound, "port \(port) does not bind \(frames(vlan))") }
    settings.bind(vlan: vlan ?? 0, to: nil)
    if let vlan {
      settings.vlanMACs[vlan] = nil
      // As it was before its first binding.
      if settings.vlans.isEmpty, !settings.inheritsVLANs { settings.options.vlans.own = nil }
    } else {
      if let profile = settings.profile, settings.vni != nil {
        throw ControlError(.refused, "port \(port) gets its untagged binding from profile \(profile); change the profile")
      }
      settings.macs = []
    }
    state.ports[port] = settings
  }
}

extension PortSettings {
  /// Its profile binds tagged frames.
  fileprivate var inheritsVLANs: Bool { inherited.contains { $0.vlans.own != nil } }
}

private func checkVLAN(_ vlan: UInt16?) throws(ControlError) {
  guard let vlan, !(1...4094).contains(vlan) else { return }
  throw ControlError(.invalidParameters, "vlan must be from 1 to 4094, not \(vlan); omit it for untagged frames")
}

private func frames(_ vlan: UInt16?) -> String {
  vlan.map { "VLAN \($0)" } ?? "untagged frames"
}
