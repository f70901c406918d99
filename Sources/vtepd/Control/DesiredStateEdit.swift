// DesiredStateEdit: the run-time changes of vtepctl as edits of the desired state. Adding what is there already changes
// it where a parameter says so, and is no error; deleting what is not there is one.

import Encap
import MulticastLearn
import VTEP
import VTEPControl

/// A request that changes the desired state.
protocol DesiredStateEdit: ControlRequest {
  /// - Throws: when the request cannot be carried out; the state is worthless then.
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
    // The running state has passed the check.
    if state != self, let error = ControlError(state.problems(since: self)) { throw error }
    return state
  }

  /// Takes a static address from wherever the state has it.
  ///
  /// - Returns: whether it was there.
  mutating func removeStaticMAC(_ mac: MACAddress, vni: VNI) -> Bool {
    var isFound = vnis[vni]?.macs.removeValue(forKey: mac) != nil
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

  func existing(_ vni: VNI) throws(ControlError) -> VNISettings {
    guard let settings = vnis[vni] else { throw ControlError(.notFound, "there is no VNI \(vni)") }
    return settings
  }

  func existing(port name: String) throws(ControlError) -> PortSettings {
    guard let settings = ports[name] else { throw ControlError(.notFound, "there is no port '\(name)'") }
    return settings
  }
}

extension AddVNI: DesiredStateEdit {
  func edit(_ state: inout DesiredState) throws(ControlError) {
    let vni = try VNI(parameter: vni)
    var settings = state.vnis[vni] ?? VNISettings(vni: vni, flood: .none)
    settings.flood = try floodMode(replacing: state.vnis[vni]?.flood)
    settings.learning = learning ?? settings.learning
    if let acceptFrom { settings.acceptFrom = try .init(parameter: acceptFrom, "accept-from") }
    if let innerVLAN { settings.innerVLAN = try .init(parameter: innerVLAN, "inner-vlan") }
    settings.ageingSeconds = ageingSeconds ?? settings.ageingSeconds
    settings.macLimit = macLimit ?? settings.macLimit
    settings.storm.broadcast = stormBroadcast ?? settings.storm.broadcast
    settings.storm.unknownUnicast = stormUnknownUnicast ?? settings.storm.unknownUnicast
    settings.storm.unknownMulticast = stormUnknownMulticast ?? settings.storm.unknownMulticast
    if let macMoveAction { settings.macMoveAction = try .init(parameter: macMoveAction, "mac-move-action") }
    state.vnis[vni] = settings
  }

  /// An existing VNI's mode, group and peers stand unless the request says otherwise.
  private func floodMode(replacing old: FloodMode?) throws(ControlError) -> FloodMode {
    if flood == nil, group == nil, peers == nil, let old { return old }
    var keys = FloodKeys()
    keys.group = try group.converted { text throws(ControlError) in try IPAddress(parameter: text, "group") }
    keys.isGroupGiven = group != nil
    if let peers {
      var addresses: [IPAddress] = []
      for peer in peers { addresses.append(try IPAddress(parameter: peer, "peer")) }
      keys.peers = addresses
    }
    keys.mode = try flood.converted { text throws(ControlError) in try FloodKeys.Mode(parameter: text, "flood") } ?? .multicast
    switch (keys.mode, old) {
    case (.multicast, .multicast(let oldGroup)?) where group == nil:
      keys.group = oldGroup
      keys.isGroupGiven = true
    case (.replicate, .replicate(let oldPeers)?) where peers == nil: keys.peers = oldPeers
    default: break
    }
    guard keys.problems.isEmpty, let mode = keys.floodMode else {
      throw ControlError(.refused, "vni \(vni): " + keys.problems.map(\.message).joined(separator: "; "))
    }
    return mode
  }
}

extension DeleteVNI: DesiredStateEdit {
  func edit(_ state: inout DesiredState) throws(ControlError) {
    let vni = try VNI(parameter: vni)
    _ = try state.existing(vni)
    let users = state.ports.values.filter { $0.vni == vni || $0.vlans.values.contains(vni) }.map(\.name).sorted()
    guard users.isEmpty else {
      throw ControlError(.refused, "VNI \(vni) is bound to: \(users.joined(separator: ", "))")
    }
    state.vnis[vni] = nil
  }
}

extension AddPeer: DesiredStateEdit {
  func edit(_ state: inout DesiredState) throws(ControlError) {
    let vni = try VNI(parameter: vni)
    let peer = try IPAddress(parameter: address, "address")
    guard case .replicate(let peers) = try state.existing(vni).flood else {
      throw ControlError(.refused, "VNI \(vni) has no peers: its flood mode is not replicate")
    }
    if !peers.contains(peer) { state.vnis[vni]?.flood = .replicate(peers: peers + [peer]) }
  }
}

extension DeletePeer: DesiredStateEdit {
  func edit(_ state: inout DesiredState) throws(ControlError) {
    let vni = try VNI(parameter: vni)
    let peer = try IPAddress(parameter: address, "address")
    guard case .replicate(let peers) = try state.existing(vni).flood, peers.contains(peer) else {
      throw ControlError(.notFound, "VNI \(vni) has no peer \(peer)")
    }
    state.vnis[vni]?.flood = .replicate(peers: peers.filter { $0 != peer })
  }
}

extension AddMAC: DesiredStateEdit {
  func edit(_ state: inout DesiredState) throws(ControlError) {
    let vni = try VNI(parameter: vni)
    let mac = try MACAddress(parameter: mac)
    _ = try state.existing(vni)
    let before = state
    _ = state.removeStaticMAC(mac, vni: vni)
    switch (vtep, port) {
    case (let vtep?, nil):
      guard vlan == nil else { throw ControlError(.invalidParameters, "vlan belongs to a port, not to a vtep") }
      state.vnis[vni]?.macs[mac] = try IPAddress(parameter: vtep, "vtep")
    case (nil, let port?):
      let settings = try before.existing(port: port)
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
  }
}
