// DesiredState+Controller: merges the operator's part and the controller's part into one state to run. The operator's part takes
// precedence: whatever the controller wants that conflicts with it is left out and reported.

import Encap

extension DesiredState {
  /// This state with what the controller wants among the VNIs and the ports' bindings, as far as it does not contradict the
  /// operator's part.
  func merged() -> (state: DesiredState, conflicts: [ControllerConflict]) {
    guard controller != ControllerLayer() else { return (self, []) }
    var merger = ControllerMerger(self)
    merger.addSwitches()
    merger.addARPSources()
    merger.addBindings()
    merger.dropImpossibleBindings()
    merger.addACLs()
    merger.addRouters()
    return (merger.merged, merger.conflicts)
  }
}

private struct ControllerMerger {
  let wanted: ControllerLayer
  let own: DesiredState
  var merged: DesiredState
  var conflicts: [ControllerConflict] = []

  init(_ state: DesiredState) {
    wanted = state.controller
    own = state
    merged = state
  }

  private mutating func refuse(_ subject: ControllerConflict.Subject, _ reason: String) {
    conflicts.append(ControllerConflict(subject: subject, reason: reason))
  }

  mutating func addSwitches() {
    for (vni, settings) in wanted.switches.sorted(by: { $0.key < $1.key }) {
      if own.vnis[vni] != nil {
        refuse(.vni(vni), "the configuration defines it, so logical switch '\(settings.name)' cannot use it")
      } else if merged.vnis.count >= Limits.domains {
        refuse(.vni(vni), "all \(Limits.domains) VNIs are in use")
      } else {
        let flood = usable(settings.flood, vni)
        var addresses: [IPAddress] = []
        for destination in flood where !addresses.contains(destination.address) { addresses.append(destination.address) }
        var made = VNISettings(vni: vni, flood: flood.isEmpty ? .none : .replicate(peers: addresses))
        // The controller says where remote addresses are; what comes from a service node, say, does not.
        made.learning = false
        // Of nobody, since there are no peers.
        if settings.isLocal { made.acceptFrom = .peers }
        made.neighborSuppression = settings.neighborSuppression
        made.logicalSwitch = settings
        made.logicalSwitch?.flood = flood
        made.logicalSwitch?.groups = settings.groups.mapValues { usable($0, vni) }
        merged.vnis[vni] = made
      }
    }
    for (name, port) in own.ports.sorted(by: { $0.key < $1.key }) {
      for (vlan, vni) in port.bindings where merged.vnis[vni]?.logicalSwitch != nil {
        merged.ports[name]?.unbind(vlan)
        refuse(
          .binding(ControllerLayer.Binding(port: name, vlan: vlan)),
          "the configuration binds it to VNI \(vni), which belongs to the controller")
      }
    }
  }

  /// Without unreachable destinations. The members of a logical switch include this VTEP itself.
  private mutating func usable(_ destinations: [TunnelDestination], _ vni: VNI) -> [TunnelDestination] {
    var found: [TunnelDestination] = []
    for destination in destinations where !own.underlay.addresses.contains(destination.address) {
      if let reason = own.underlay.reasonAgainst(destination) {
        refuse(.destination(vni), "destination \(destination.address) is \(reason)")
      } else {
        found.append(destination)
      }
    }
    return found
  }

  mutating func addBindings() {
    for (binding, vni) in wanted.bindings.sorted(by: { $0.key < $1.key }) {
      guard let port = own.ports[binding.port] else { continue }
      if binding.vlan > 4094 {
        refuse(.binding(binding), "VLAN \(binding.vlan) is reserved")
      } else if port.vni(vlan: binding.vlan) != nil {
        refuse(.binding(binding), "already bound in the configuration")
      } else if merged.vnis[vni]?.logicalSwitch == nil {
        refuse(.binding(binding), "VNI \(vni) is defined in the configuration")
      } else {
        merged.ports[binding.port]?.bind(binding.vlan, byController: vni)
      }
    }
  }

  /// Answers to other VTEPs' routers go to them, whatever is seen of their addresses: static entries.
  mutating func addARPSources() {
    var usable: [MACAddress: IPAddress] = [:]
    for (mac, vtep) in wanted.arpSources where !own.underlay.addresses.contains(vtep) {
      if let reason = own.underlay.reasonAgainst(TunnelDestination(vtep)) {
        refuse(.arpSource(mac), "its VTEP \(vtep) is \(reason)")
      } else {
        usable[mac] = vtep
      }
    }
    guard !usable.isEmpty else { return }
    for vni in wanted.routedVNIs where merged.vnis[vni]?.logicalSwitch != nil { merged.vnis[vni]?.macs = usable }
  }

  /// Routers, without what is impossible about them.
  mutating func addRouters() {
    for (name, settings) in wanted.routers.sorted(by: { $0.key < $1.key }) {
      guard own.routers[name] == nil else {
        refuse(.router(name), "the configuration has a router of this name")
        continue
      }
      var made = settings
      made.isControlled = true
      for (vni, list) in settings.acls.sorted(by: { $0.key < $1.key }) where !merged.controlledACLs.contains(list) {
        refuse(.routerACL(name, vni), "ACL '\(list)' is not in force")
        made.acls[vni] = nil
      }
      merged.routers[name] = made
      // Each round takes something away: what is left of an address may be without a problem then.
      while let problem = made.problems(in: merged, key: name).first {
        refuse(.router(name), problem.message)
        guard made.remove(problem.path) else {
          merged.routers[name] = nil
          break
        }
        merged.routers[name] = made
      }
    }
  }

  /// Of the operator's list and the controller's, the operator's filters, also a VLAN of a port whose list is the operator's.
  mutating func addACLs() {
    for (name, acl) in wanted.acls.sorted(by: { $0.key < $1.key }) {
      if own.acls[name] != nil {
        refuse(.acl(name), "the configuration has an access control list of this name")
      } else {
        merged.acls[name] = acl
        merged.controlledACLs.insert(name)
      }
    }
    for (binding, name) in wanted.aclBindings.sorted(by: { $0.key < $1.key }) {
      guard let port = own.ports[binding.port] else { continue }
      if binding.vlan > 4094 {
        refuse(.aclBinding(binding), "VLAN \(binding.vlan) is reserved")
      } else if let list = port.acl ?? port.aclName(vlan: binding.vlan) {
        refuse(.aclBinding(binding), "the configuration binds ACL '\(list)' there")
      } else if !merged.controlledACLs.contains(name) {
        refuse(.aclBinding(binding), "ACL '\(name)' is not in force")
      } else {
        merged.ports[binding.port]?.bindACL(binding.vlan, to: name)
      }
    }
  }

  /// Bindings with which the ports' static addresses would conflict.
  mutating func dropImpossibleBindings() {
    guard merged.ports.values.contains(where: { !$0.controlledVLANs.isEmpty && (!$0.macs.isEmpty || !$0.vlanMACs.isEmpty) }) else { return }
    for problem in merged.problems(since: own) {
      guard case .port(let name) = problem.subject, let port = merged.ports[name], !port.controlledVLANs.isEmpty else { continue }
      merged.ports[name] = own.ports[name]
      for vlan in port.controlledVLANs.sorted() {
        refuse(.binding(ControllerLayer.Binding(port: name, vlan: vlan)), problem.message)
      }
    }
  }
}

extension PortSettings {
  fileprivate mutating func bind(_ vlan: UInt16, byController vni: VNI) {
    bind(vlan: vlan, to: vni)
    controlledVLANs.insert(vlan)
  }

  /// Removes a binding, whether from the port or from its profile.
  fileprivate mutating func unbind(_ vlan: UInt16) {
    let tagged = self.vlans.filter { $0.key != vlan }
    let untagged = vlan == 0 ? nil : vni
    for layer in inherited.indices { inherited[layer].vni = nil }
    (options.vni, options.vlans.own) = (untagged, tagged)
  }
}

extension UnderlaySettings {
  /// Why packets cannot go to a controller's destination; nil: they can.
  func reasonAgainst(_ destination: TunnelDestination) -> String? {
    destination.address.reasonAgainstVTEP ?? reasonAgainstDestination(destination.address)
  }
}
