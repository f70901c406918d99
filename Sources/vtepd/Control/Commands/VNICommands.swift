// VNICommands: `vtepctl vni add|set|delete` and `vtepctl peer add|delete`, as edits of the desired state.

import Encap
import MulticastLearn
import VTEP
import VTEPControl

extension Daemon {
  nonisolated func addVNICommands(to commands: inout ControlCommands) {
    commands.add(AddVNI.self, change)
    commands.add(SetVNI.self, change)
    commands.add(DeleteVNI.self, change)
    commands.add(AddPeer.self, change)
    commands.add(DeletePeer.self, change)
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
    if let neighborSuppression { settings.neighborSuppression = try .init(parameter: neighborSuppression, "neighbor-suppression") }
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
      ("neighbor-suppression", neighborSuppression == old.neighborSuppression),
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
