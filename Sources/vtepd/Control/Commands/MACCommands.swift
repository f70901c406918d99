// MACCommands: `vtepctl mac add|delete|flush`.

import Encap
import VTEP
import VTEPControl

extension Daemon {
  nonisolated func addMACCommands(to commands: inout ControlCommands) {
    commands.add(AddMAC.self, change)
    commands.add(DeleteMAC.self, handle)
    commands.add(FlushMACs.self, handle)
  }

  func handle(_ request: DeleteMAC) async throws(ControlError) -> ChangeAnswer {
    let reconciler = try running()
    let vni = try VNI(parameter: request.vni)
    let mac = try MACAddress(parameter: request.mac)
    let isStatic = try await edit { desired in
      var desired = desired
      _ = desired.removeStaticMAC(mac, vni: vni)
      return desired
    }.changed
    let isLearned = await reconciler.forget(mac, vni: vni)
    guard isStatic || isLearned else { throw ControlError(.notFound, "VNI \(vni) has no entry for \(mac)") }
    return ChangeAnswer(changed: true)
  }

  func handle(_ request: FlushMACs) async throws(ControlError) -> ChangeAnswer {
    let reconciler = try running()
    let vni = try request.vni.converted { value throws(ControlError) in try VNI(parameter: value) }
    let vtep = try request.vtep.converted { text throws(ControlError) in try IPAddress(parameter: text, "vtep") }
    do {
      try await reconciler.flush(vni: vni, port: request.port, vtep: vtep)
    } catch {
      throw ControlError(.notFound, "\(error)")
    }
    return ChangeAnswer(changed: true)
  }
}

extension AddMAC: DesiredStateEdit {
  func edit(_ state: inout DesiredState) throws(ControlError) {
    let vni = try VNI(parameter: vni)
    let mac = try MACAddress(parameter: mac)
    _ = try state.existing(vni)
    let new: String
    let old = state.place(ofStatic: mac, vni: vni)
    switch (vtep, port) {
    case (let vtep?, nil):
      guard vlan == nil else { throw ControlError(.invalidParameters, "vlan belongs to a port, not to a vtep") }
      let address = try IPAddress(parameter: vtep, "vtep")
      new = "vtep \(address)"
      state.vnis[vni]?.macs[mac] = address
    case (nil, let port?):
      let settings = try state.existing(port: port)
      new = DesiredState.place(port: port, vlan: vlan ?? 0)
      // The lists keep their order, so that repeating the command changes nothing.
      if let vlan {
        guard settings.vlans[vlan] == vni else {
          throw ControlError(.refused, "port \(port) does not bind VLAN \(vlan) to VNI \(vni)")
        }
        let macs = settings.vlanMACs[vlan] ?? []
        state.ports[port]?.vlanMACs[vlan] = macs.contains(mac) ? macs : macs + [mac]
      } else {
        guard settings.vni == vni else {
          throw ControlError(.refused, "port \(port) does not bind untagged frames to VNI \(vni); name the vlan")
        }
        state.ports[port]?.macs = settings.macs.contains(mac) ? settings.macs : settings.macs + [mac]
      }
    default: throw ControlError(.invalidParameters, "give either vtep or port")
    }
    if let old, old != new {
      throw ControlError(
        .refused, "mac \(mac) of VNI \(vni) is already at \(old); delete it there first: mac delete --vni \(vni) --mac \(mac)")
    }
    for text in ip ?? [] {
      let address = try IPAddress(parameter: text, "ip")
      if let other = state.vnis[vni]?.neighbors.updateValue(mac, forKey: address), other != mac {
        throw ControlError(
          .refused, "ip \(address) of VNI \(vni) already belongs to mac \(other); delete that first: mac delete --vni \(vni) --mac \(other)"
        )
      }
    }
  }
}

extension DesiredState {
  /// Where the state has a static address, in `vtepctl`'s terms.
  fileprivate func place(ofStatic mac: MACAddress, vni: VNI) -> String? {
    if let vtep = vnis[vni]?.macs[mac] { return "vtep \(vtep)" }
    for port in ports.values.sorted(by: { $0.name < $1.name }) {
      for vlan in [0] + port.vlans.keys.sorted() where port.vni(vlan: vlan) == vni && port.macs(vlan: vlan).contains(mac) {
        return Self.place(port: port.name, vlan: vlan)
      }
    }
    return nil
  }

  fileprivate static func place(port: String, vlan: UInt16) -> String {
    vlan == 0 ? "port \(port)" : "port \(port) vlan \(vlan)"
  }

  /// Removes a static address, wherever the state has it, with its IP addresses.
  ///
  /// - Returns: whether it was there.
  mutating func removeStaticMAC(_ mac: MACAddress, vni: VNI) -> Bool {
    var isFound = vnis[vni]?.macs.removeValue(forKey: mac) != nil
    if let all = vnis[vni]?.neighbors, all.values.contains(mac) {
      vnis[vni]?.neighbors = all.filter { $0.value != mac }
      isFound = true
    }
    for (name, port) in ports {
      if port.vni == vni, port.macs.contains(mac) {
        ports[name]?.macs.removeAll { $0 == mac }
        isFound = true
      }
      for (vlan, macs) in port.vlanMACs where port.vlans[vlan] == vni && macs.contains(mac) {
        let left = macs.filter { $0 != mac }
        ports[name]?.vlanMACs[vlan] = left.isEmpty ? nil : left
        isFound = true
      }
    }
    return isFound
  }
}
