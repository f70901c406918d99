// ControlState+ACLs: access control lists: which are in force, and which bindings of ports they filter. Lists are made before a change is
// adopted, since that may fail.

import Encap
import MACTable

extension ControlState {
  /// The lists of a new state, made. A list of the controller that cannot be made is a conflict, and the one before it stays.
  ///
  /// - Throws: `.refused`: a list of the operator cannot be made.
  func makeACLs(for new: inout DesiredState, _ conflicts: inout [ControllerConflict]) throws(VTEPError) -> ACLTable {
    var table = acls
    guard new.acls != running.acls else { return table }
    for (name, reason) in table.update(to: new.acls).sorted(by: { $0.key < $1.key }) {
      guard new.controlledACLs.contains(name) else { throw VTEPError(.refused, "acl \(name)", reason) }
      conflicts.append(ControllerConflict(subject: .acl(name), reason: reason, isShortage: true))
      new.acls[name] = table[name]?.settings
      guard table[name] == nil else { continue }
      for place in new.unbindACL(name) {
        conflicts.append(ControllerConflict(subject: place, reason: "ACL '\(name)' cannot be made: \(reason)"))
      }
    }
    return table
  }

  /// Puts made lists in place.
  mutating func adoptACLs(_ table: ACLTable, isChanged: Bool) {
    // It also knows which lists could not be made.
    acls = table
    guard isChanged else { return }
    baselines.reset(aclEntries: acls.takeNews(), counters: effects.counters)
    model.acls = acls.compiled
    model.aclSlotCount = Int(acls.slotCount)
    stale.ports = true
    stale.routers = true
    stale.hasGoneACLs = acls.hasLeftovers
  }

  /// The index of a list, for whoever binds it to something; absent: there is none of this name.
  func aclIndex(_ name: String?) -> ACLIndex { name.flatMap { acls[$0]?.index } ?? .absent }

  /// Enters the lists of a port's bindings into its policy.
  ///
  /// - Returns: the flags that they need.
  mutating func bindACLs(of record: PortRecord) -> PortFeatures {
    let index = Int(record.index)
    let settings = record.settings
    let byVLAN = settings.vlanACLs
    guard settings.acl != nil || !byVLAN.isEmpty else {
      model.aclMaps[index] = nil
      return []
    }
    let ofPort = aclIndex(settings.acl)
    model.aclMaps[index] = byVLAN.isEmpty ? nil : ACLMap(byVLAN.mapValues { aclIndex($0) }, ofPort: ofPort)
    let programs = ([settings.acl].compactMap(\.self) + byVLAN.values).compactMap { acls[$0]?.compiled.programs }
    model.policies[index].entry.acl = ofPort
    model.policies[index].entry.vlanACLs = model.aclMaps[index]?.lists
    var features: PortFeatures = []
    if programs.contains(where: { !$0.ingress.isEmpty }) {
      model.policies[index].entry.filtersIngress = true
      features.insert(.isPoliced)
    }
    if programs.contains(where: { !$0.egress.isEmpty }) { features.insert(.filtersEgress) }
    return features
  }
}

extension DesiredState {
  /// Removes the bindings of a list of the controller.
  ///
  /// - Returns: where it was bound.
  fileprivate mutating func unbindACL(_ name: String) -> [ControllerConflict.Subject] {
    var places: [ControllerConflict.Subject] = []
    for (port, settings) in ports.sorted(by: { $0.key < $1.key }) {
      for vlan in settings.controlledACLs.sorted() where settings.aclName(vlan: vlan) == name {
        ports[port]?.bindACL(vlan, to: nil)
        places.append(.aclBinding(ControllerLayer.Binding(port: port, vlan: vlan)))
      }
    }
    for (router, settings) in routers.sorted(by: { $0.key < $1.key }) where settings.isControlled {
      for (vni, list) in settings.acls.sorted(by: { $0.key < $1.key }) where list == name {
        routers[router]?.acls[vni] = nil
        places.append(.routerACL(router, vni))
      }
    }
    return places
  }
}

extension PortSettings {
  /// The list of a binding; VLAN 0: of the port.
  func aclName(vlan: UInt16) -> String? { vlan == 0 ? self.acl : self.vlanACLs[vlan] }

  /// Binds a list on the controller's behalf, or removes that binding.
  mutating func bindACL(_ vlan: UInt16, to name: String?) {
    if vlan == 0 {
      self.acl = name
    } else {
      var lists = self.vlanACLs
      lists[vlan] = name
      self.vlanACLs = lists
    }
    if name == nil { controlledACLs.remove(vlan) } else { controlledACLs.insert(vlan) }
  }
}
