// ControlState+Bindings: which domain the frames of a port and VLAN belong to. Ports may have thousands of bindings, and single
// ones may change many times a second: only differences cost anything.

import Encap
import MACTable

extension ControlState {
  /// Updates a port's bindings from its settings and the existing VNIs.
  mutating func rebind(_ name: String) {
    guard let record = ports[name] else { return }
    let old = record.bound
    var wanted: [UInt16: DomainIndex] = [:]
    wanted.reserveCapacity(old.count + 1)
    wanted[0] = record.settings.vni.flatMap { domains[$0]?.index }
    for (vlan, vni) in record.settings.vlans { wanted[vlan] = domains[vni]?.index }
    guard wanted != old else { return }

    var concerned: Set<DomainIndex> = []
    for (vlan, domain) in old where wanted[vlan] != domain {
      stale.unbound.insert(Unbound(domain: domain, place: .port(record.index, vlan: vlan)))
      concerned.insert(domain)
      let target = LocalTarget(port: record.index, vlan: vlan)
      model.domains[Int(domain)].locals.removeAll { $0 == target }
    }
    let counters = effects.counters
    for (vlan, domain) in wanted where old[vlan] != domain {
      concerned.insert(domain)
      model.domains[Int(domain)].locals.append(LocalTarget(port: record.index, vlan: vlan))
      baselines.reset(port: record.index, vlan: vlan, counters: counters)
    }
    for domain in concerned {
      model.domains[Int(domain)].locals.sort { ($0.port, $0.vlan) < ($1.port, $1.vlan) }
    }
    ports[name]?.bound = wanted
    model.vlanMaps[Int(record.index)] = VLANMap(wanted)
    stale.domains.formUnion(concerned)
  }

  /// Removes all bindings of a port that is deleted.
  mutating func unbind(_ record: PortRecord) {
    let concerned = Set(record.bound.values)
    for domain in concerned { model.domains[Int(domain)].locals.removeAll { $0.port == record.index } }
    model.vlanMaps[Int(record.index)] = nil
    stale.domains.formUnion(concerned)
  }

  /// Makes the workers' entries of all ports from what is wanted and what is there.
  mutating func rebuildPorts() {
    for record in ports.values {
      let index = Int(record.index)
      let untagged = record.bound[0]
      let hasTagged = record.bound.count > (untagged == nil ? 0 : 1)
      var features = record.features
      if hasTagged, let untagged, model.domains[Int(untagged)].entry.carriesInnerVLAN { features.insert(.guardsVLANs) }
      model.ports[index].isUp = record.isUp
      model.ports[index].maxFrameByteCount = UInt32(record.status.maxFrameByteCount)
      model.ports[index].fullReason = record.driver.fullReason
      model.ports[index].features = features
      model.ports[index].tpid = record.settings.tpid.pushed
      model.ports[index].takesAnyTPID = record.settings.tpid == .any
      model.ports[index].untaggedDomain = untagged ?? DomainIndex.absent
      model.ports[index].vlanDomains = hasTagged ? model.vlanMaps[index]?.domains : nil
      model.policies[index] = ForwardingModel.Policy(
        entry: PolicyEntry(record.settings), allowedSources: record.settings.allowedSources)
      if record.isShut { model.policies[index].entry.isDisabled = true }
      model.ports[index].features.formUnion(bindACLs(of: record))
    }
    markTunnels()
  }

  /// Marks the domains of ports that tunnel link-local control frames: only these accept them from the overlay.
  private mutating func markTunnels() {
    var tunnelling: Set<DomainIndex> = []
    for record in ports.values where record.settings.linkProtocols == .tunnel { tunnelling.formUnion(record.bound.values) }
    for index in tunnellingDomains.subtracting(tunnelling) { model.domains[Int(index)].entry.tunnelsControl = false }
    for index in tunnelling { model.domains[Int(index)].entry.tunnelsControl = true }
    tunnellingDomains = tunnelling
  }

  /// Flushes addresses learned at places that are no longer bound.
  static func flush(_ unbound: Set<Unbound>, in table: MACTable) {
    for port in Set(unbound.map(\.place.port)) {
      table.flush(port: port) { domain, place in unbound.contains(Unbound(domain: domain, place: place)) }
    }
  }
}
