// Reconciler+VNIs: bridge domains: bindings of ports, flood lists, group memberships, static addresses.

import Encap
import MACTable
import MulticastLearn

extension Reconciler {
  /// Makes the model's domains and the ports' bindings anew from what is wanted and what is there.
  func rebuildDomains() {
    for record in ports.values {
      let index = Int(record.index)
      model.ports[index].isUp = record.isUp
      model.ports[index].maxFrameByteCount = UInt32(record.status.maxFrameByteCount)
      model.ports[index].features = record.features
      model.ports[index].untaggedDomain = record.settings.vni.flatMap { domains[$0]?.index } ?? Limits.none
      let tagged = record.settings.vlans.compactMapValues { domains[$0]?.index }
      model.vlanMaps[index] = tagged.isEmpty ? nil : VLANMap(tagged)
      model.ports[index].vlanDomains = model.vlanMaps[index]?.domains
      model.policies[index] = ForwardingModel.Policy(
        entry: PolicyEntry(record.settings), allowedSources: record.settings.allowedSources)
    }
    for (vni, record) in domains {
      guard let settings = desired.vnis[vni] else { continue }
      var domain = ForwardingModel.Domain()
      domain.entry.vni = vni
      domain.entry.isInUse = true
      domain.entry.learnsFromVTEPs = settings.learning
      domain.entry.acceptsOnlyPeers = settings.acceptFrom == .peers
      domain.entry.carriesInnerVLAN = settings.innerVLAN == .carry
      domain.entry.isFloodDisabled = settings.flood == .none
      domain.entry.reportsStations = settings.logicalSwitch != nil
      if let logicalSwitch = settings.logicalSwitch {
        domain.flood = indexes(of: logicalSwitch.flood, logicalSwitch.replication)
      } else {
        domain.flood = settings.flood.destinations.compactMap { underlay.vteps[$0]?.index }
      }
      domain.peers = Array(Set(peerAddresses(settings).compactMap { underlay.vteps[$0]?.index }))
      model.domains[Int(record.index)] = domain
    }
    rebuildLists()
    for record in ports.values.sorted(by: { $0.index < $1.index }) {
      for (vlan, vni) in record.settings.bindings {
        guard let domain = domains[vni] else { continue }
        model.domains[Int(domain.index)].locals.append(LocalTarget(port: record.index, vlan: vlan))
      }
    }
  }

  /// VTEPs that the operator named for a VNI.
  private func peerAddresses(_ settings: VNISettings) -> [IPAddress] {
    settings.flood.destinations.filter { !$0.isMulticast } + settings.macs.values
  }

  /// All VTEPs and groups that the operator named.
  func configuredVTEPs(_ state: DesiredState) -> Set<IPAddress> {
    Set(state.vnis.values.flatMap { $0.flood.destinations + Array($0.macs.values) } + preparations.values.flatMap(\.vteps))
      .union(controllerDestinations(state))
  }

  /// Joins the groups of VNIs that have a port up or are prepared for one, leaves the others.
  func updateMemberships() {
    memberships.setInterfaces(underlay.devices.compactMap { $0.link?.index })
    var wanted: [VNI: IPAddress] = [:]
    for settings in desired.vnis.values {
      guard case .multicast(let group) = settings.flood else { continue }
      let hasPort = ports.values.contains { port in
        port.isUp && port.settings.bindings.contains { $0.vni == settings.vni }
      }
      if hasPort || preparations[settings.vni] != nil { wanted[settings.vni] = group }
    }
    for (vni, group) in joined where wanted[vni] != group {
      memberships.remove(vni: vni, group: group)
      joined[vni] = nil
    }
    for (vni, group) in wanted where joined[vni] != group {
      joined[vni] = group
      do {
        try memberships.add(vni: vni, group: group)
      } catch {
        // Kept and tried again with every tick; `show multicast` tells.
        log.warning("group \(group) of VNI \(vni): \(error)")
      }
    }
  }

  /// The static entries that the operator's state asks for.
  func staticEntries() -> [MACKey: MACLocation] {
    var entries: [MACKey: MACLocation] = [:]
    for settings in desired.vnis.values {
      guard let domain = domains[settings.vni] else { continue }
      for (mac, address) in settings.macs {
        guard let vtep = underlay.vteps[address] else { continue }
        entries[MACKey(domain: domain.index, mac: mac)] = .vtep(vtep.index)
      }
    }
    // A guest that is not there claims nothing: its address may turn up behind another VTEP.
    for port in ports.values where port.isUp {
      for (vlan, vni) in port.settings.bindings {
        guard let domain = domains[vni] else { continue }
        for mac in port.settings.macs(vlan: vlan) {
          entries[MACKey(domain: domain.index, mac: mac)] = .port(port.index, vlan: vlan)
        }
      }
    }
    return entries
  }

  /// Brings the table's static entries and limits in line. Every index they name must be known to all workers.
  func updateTable() {
    let entries = staticEntries()
    let old = installedStatics
    let limits = desired.vnis.values.compactMap { settings in
      domains[settings.vni].map { ($0.index, settings.ageingSeconds, settings.macLimit) }
    }
    let failures = learner.write { table -> [String] in
      var failures: [String] = []
      for (index, ageSeconds, limit) in limits {
        table.configureDomain(index, ageSeconds: ageSeconds, limit: limit)
      }
      for key in old.keys where entries[key] == nil { _ = table.remove(key) }
      for (key, location) in entries where old[key] != location {
        do {
          try table.setStatic(key, at: location, type: .static)
        } catch {
          failures.append("static address \(key.mac): \(error)")
        }
      }
      return failures
    }
    installedStatics = entries
    restoreControllerEntries(old.keys.filter { entries[$0] == nil })
    for failure in failures { log.error("\(failure)") }
  }
}
