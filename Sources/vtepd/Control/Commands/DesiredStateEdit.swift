// DesiredStateEdit: vtepctl's run-time changes as edits of the desired state. Adding what already exists is not an error and
// changes nothing. Adding it with other settings is an error, and so is deleting what does not exist.

import Encap
import MulticastLearn
import VTEP
import VTEPControl

/// A request that changes the desired state.
protocol DesiredStateEdit: ControlRequest {
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

  /// Removes a static address, wherever the state has it.
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

extension AddVNI: DesiredStateEdit {
  func edit(_ state: inout DesiredState) throws(ControlError) {
    let vni = try VNI(parameter: vni)
    let new = try settings(over: state.vnis[vni])
    if let old = state.vnis[vni], let key = new.firstDifference(from: old) {
      throw ControlError(.refused, "VNI \(vni) exists: use vni set to change its \(key)")
    }
    state.vnis[vni] = new
  }

  /// The request's settings of a VNI, merged over the existing ones.
  fileprivate func settings(over old: VNISettings?) throws(ControlError) -> VNISettings {
    let number = try VNI(parameter: vni)
    var settings = old ?? VNISettings(vni: number, flood: .none)
    settings.flood = try floodMode(replacing: old?.flood)
    settings.learning = learning ?? settings.learning
    if let acceptFrom { settings.acceptFrom = try .init(parameter: acceptFrom, "accept-from") }
    if let innerVLAN { settings.innerVLAN = try .init(parameter: innerVLAN, "inner-vlan") }
    settings.ageingSeconds = ageingSeconds ?? settings.ageingSeconds
    settings.macLimit = macLimit ?? settings.macLimit
    settings.storm.broadcast = stormBroadcast ?? settings.storm.broadcast
    settings.storm.unknownUnicast = stormUnknownUnicast ?? settings.storm.unknownUnicast
    settings.storm.unknownMulticast = stormUnknownMulticast ?? settings.storm.unknownMulticast
    if let macMoveAction { settings.macMoveAction = try .init(parameter: macMoveAction, "mac-move-action") }
    return settings
  }

  /// An existing VNI keeps its mode, group and peers unless the request sets them.
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
    keys.mode = try flood.converted { text throws(ControlError) in try FloodKeys.Mode(parameter: text, "flood") } ?? FloodKeys.Mode(old)
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

extension SetVNI: DesiredStateEdit {
  func edit(_ state: inout DesiredState) throws(ControlError) {
    let old = try state.existing(try VNI(parameter: settings.vni))
    state.vnis[old.vni] = try settings.settings(over: old)
  }
}

extension VNISettings {
  /// The key of the configuration file by which the two differ; nil: they do not.
  fileprivate func firstDifference(from old: VNISettings) -> String? {
    let values: [(String, Bool)] = [
      ("flood", flood == old.flood), ("learning", learning == old.learning), ("accept-from", acceptFrom == old.acceptFrom),
      ("inner-vlan", innerVLAN == old.innerVLAN), ("ageing-seconds", ageingSeconds == old.ageingSeconds),
      ("mac-limit", macLimit == old.macLimit), ("storm-control", storm == old.storm), ("mac-move", macMoveAction == old.macMoveAction),
    ]
    return values.first { !$0.1 }?.0
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
  }
}

extension FloodKeys.Mode {
  /// Flood mode of a VNI if the request does not set it: the current one, or the default.
  fileprivate init(_ old: FloodMode?) {
    switch old {
    case .replicate?: self = .replicate
    case FloodMode.none?: self = .none
    case .multicast?, nil: self = .multicast
    }
  }
}
