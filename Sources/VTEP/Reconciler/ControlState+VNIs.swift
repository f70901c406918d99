// ControlState+VNIs: bridge domains: bindings of ports, flood lists, group memberships, static addresses.

import Encap
import MACTable
import MulticastLearn

extension ControlState {
  /// Makes the model's domains of these VNIs from their settings; bindings stay. The VTEPs that they name must have their indexes.
  mutating func rebuildDomains(of vnis: Set<VNI>) {
    countVisits(vnis.count)
    for vni in vnis {
      guard let record = domains[vni], let settings = running.vnis[vni] else { continue }
      let index = Int(record.index)
      model.domains[index].entry.vni = vni
      model.domains[index].entry.isInUse = true
      model.domains[index].entry.learnsFromVTEPs = settings.learning
      model.domains[index].entry.acceptsOnlyPeers = settings.acceptFrom == .peers
      model.domains[index].entry.carriesInnerVLAN = settings.innerVLAN == .carry
      model.domains[index].entry.isFloodDisabled = settings.flood == .none
      model.domains[index].entry.reportsStations = settings.logicalSwitch != nil
      model.domains[index].entry.suppressesNeighbors = settings.neighborSuppression == .known
      if let logicalSwitch = settings.logicalSwitch {
        model.domains[index].flood = indexes(of: logicalSwitch.flood, logicalSwitch.replication)
      } else {
        model.domains[index].flood = settings.flood.destinations.compactMap { underlay.hasFailed($0) ? nil : underlay.vteps[$0]?.index }
      }
      model.domains[index].storm = settings.storm.isLimited ? StormEntry(settings.storm) : nil
      model.domains[index].peers = Array(Set(peerAddresses(settings).compactMap { underlay.vteps[$0]?.index }))
    }
    rebuildLists(of: vnis)
    updateNeighbors(of: vnis)
  }

  /// VTEPs that the operator named for a VNI.
  func peerAddresses(_ settings: VNISettings) -> [IPAddress] {
    settings.flood.destinations.filter { !$0.isMulticast } + settings.macs.values
  }

  /// VTEPs and groups that the settings of some VNIs name.
  static func vteps(named vnis: Set<VNI>, in state: DesiredState) -> Set<IPAddress> {
    var named: Set<IPAddress> = []
    for vni in vnis {
      guard let settings = state.vnis[vni] else { continue }
      named.formUnion(settings.flood.destinations)
      named.formUnion(settings.macs.values)
      for destinations in settings.logicalSwitch?.groups.values.map(\.self) ?? [] { named.formUnion(destinations.map(\.address)) }
    }
    return named
  }

  /// All VTEPs and groups that the operator named.
  func configuredVTEPs(_ state: DesiredState) -> Set<IPAddress> {
    Set(state.vnis.values.flatMap { $0.flood.destinations + Array($0.macs.values) } + preparations.values.flatMap(\.vteps))
      .union(controllerDestinations(state))
  }

  /// Joins the groups of VNIs that have a port up or are prepared for one, and leaves the others.
  mutating func updateMemberships() {
    followInterfaces()
    updateMemberships(of: Set(running.vnis.keys).union(joined.keys))
  }

  /// The same where only these VNIs are concerned.
  mutating func updateMemberships(of vnis: Set<VNI>) {
    countVisits(vnis.count)
    for vni in vnis { updateMembership(vni) }
  }

  /// Memberships follow the interfaces that are there.
  func followInterfaces() { effects.setMembershipInterfaces(underlay.devices.compactMap { $0.link?.index }) }

  private mutating func updateMembership(_ vni: VNI) {
    let wanted = wantedGroup(vni)
    guard joined[vni] != wanted else { return }
    if let group = joined[vni] { effects.leave(group, vni: vni) }
    joined[vni] = wanted
    guard let wanted else { return }
    do {
      try effects.join(wanted, vni: vni)
    } catch {
      // Kept and retried with every tick; `show multicast` shows it.
      effects.log.warning("group \(wanted) of VNI \(vni): \(error)")
    }
  }

  private func wantedGroup(_ vni: VNI) -> IPAddress? {
    guard let settings = running.vnis[vni], let domain = domains[vni], case .multicast(let group) = settings.flood else { return nil }
    let isUsed =
      preparations[vni] != nil || model.domains[Int(domain.index)].locals.contains { model.ports[Int($0.port)].isUp }
    return isUsed ? group : nil
  }

  /// The static entries that the operator's state asks for.
  mutating func staticEntries() -> [MACKey: MACLocation] {
    countVisits(domains.withStatics.count)
    var entries: [MACKey: MACLocation] = [:]
    for vni in domains.withStatics {
      guard let settings = running.vnis[vni], let domain = domains[vni] else { continue }
      for (mac, address) in settings.macs {
        guard let vtep = underlay.vteps[address] else { continue }
        entries[MACKey(domain: domain.index, mac: mac)] = .vtep(vtep.index)
      }
    }
    for (router, vni) in routers.present {
      guard let domain = domains[vni], let mac = running.routers[router]?.effectiveMAC else { continue }
      for mac in [mac, model.routing.requestMAC] { entries[MACKey(domain: domain.index, mac: mac)] = .port(Limits.routerPort, vlan: 0) }
    }
    // The addresses of a guest that is down are not entered: they may turn up behind another VTEP.
    for port in ports.values where port.isUp {
      for (vlan, macs) in port.settings.macsByVLAN where !macs.isEmpty {
        guard let domain = port.bound[vlan] else { continue }
        for mac in macs { entries[MACKey(domain: domain, mac: mac)] = .port(port.index, vlan: vlan) }
      }
    }
    return entries
  }

  /// Updates the table's static entries, and the limits of these VNIs. All workers must know every index that they name.
  mutating func updateTable(limitsOf vnis: Set<VNI> = []) {
    let entries = staticEntries()
    let old = installedStatics
    let limits = vnis.compactMap { vni in
      if let settings = running.vnis[vni], let domain = domains[vni] {
        (domain.index, settings.ageingSeconds, settings.macLimit, settings.macMoveAction.map { $0 == .freeze })
      } else {
        nil
      }
    }
    let guarded = running.protection.macMove
    let failures = effects.write { table -> [String] in
      var failures: [String] = []
      table.configureMoveGuard(
        moves: Int(guarded.moves), windowSeconds: guarded.windowSeconds, holdSeconds: guarded.holdSeconds,
        freezes: guarded.action == .freeze)
      for (index, ageSeconds, limit, freezesMoves) in limits {
        table.configureDomain(index, ageSeconds: ageSeconds, limit: limit, freezesMoves: freezesMoves)
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
    for failure in failures { effects.log.error("\(failure)") }
  }
}
