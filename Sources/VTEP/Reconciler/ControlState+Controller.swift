// ControlState+Controller: applies what a controller configures. Logical switches and bindings become a new desired state, like an
// operator's change; remote addresses go straight into the MAC table, one by one.

import Encap
import MACTable

extension ControlState {
  /// Table entries written at once: the learner must get its turn.
  private static let batch = 4096
  /// Waiting addresses that are retried at once.
  private static let retries = 16_384

  /// Enters changed remote addresses. Those that cannot be entered now are in the reconciler's `controllerReport`, and are retried.
  mutating func enter(_ edit: ControllerEdit) {
    var addresses = edit.addresses
    if !edit.complete.isEmpty { addresses += controller.missing(in: addresses, of: edit.complete) }
    place(addresses.compactMap { controller.enter($0) ? $0.placed : nil })
    settle()
    enterNeighbors(addresses)
  }

  /// Puts a controller's layer in place.
  mutating func follow(_ layer: ControllerLayer) {
    controller.waitingLayer = nil
    controller.keepVNIs(of: layer)
    guard layer != desired.controller else { return }
    // A VNI that another logical switch has now is another network: nothing of the old one may be left when the new one comes.
    let taken = desired.controller.switches.filter { vni, old in layer.switches[vni].map { $0.name != old.name } ?? false }
    var steps = [layer]
    if !taken.isEmpty {
      steps.insert(desired.controller.without(Set(taken.keys)), at: 0)
      controller.keepVNIs(of: steps[0])
    }
    do throws(VTEPError) {
      for step in steps {
        var new = desired
        new.controller = step
        try apply(new)
      }
    } catch {
      // The controller's part itself is valid, since conflicts are left out: the cause is elsewhere, and may pass.
      controller.waitingLayer = layer
      effects.log.error("controller: \(error); retrying")
    }
  }

  /// Once a second: retries what could not be done.
  mutating func retryController() {
    if let layer = controller.waitingLayer { follow(layer) }
    guard !controller.waiting.isEmpty else { return }
    let waiting = Array(controller.waiting.prefix(Self.retries))
    controller.waiting.subtract(waiting)
    place(waiting.filter { controller.addresses[$0.vni]?[$0.mac] == $0.destination })
  }

  /// Refuses to take a VNI away from the controller while it runs.
  func checkOwners(_ new: DesiredState) throws(VTEPError) {
    if new.controller.switches.isEmpty { return }
    for (vni, settings) in running.vnis where new.vnis[vni] != nil && new.controller.switches[vni] != nil {
      guard let logicalSwitch = settings.logicalSwitch else { continue }
      throw VTEPError(
        .refused, "vni \(vni)", "it belongs to the controller's logical switch '\(logicalSwitch.name)'",
        remedy: "choose another, or have the controller delete it")
    }
  }

  /// Logs new conflicts, and those that are resolved.
  mutating func logConflicts(_ conflicts: [ControllerConflict]) {
    for conflict in conflicts where !controller.conflicts.contains(conflict) {
      effects.log.warning("conflict with the controller: \(conflict)")
      effects.events.note(.controllerRefused, "\(conflict)")
    }
    for conflict in controller.conflicts where !conflicts.contains(conflict) {
      effects.log.notice("conflict resolved: \(conflict)")
      effects.events.note(.controllerResolved, "\(conflict)")
    }
    controller.conflicts = conflicts
  }

  // -- remote addresses --------------------------------------------------------------------------------------------------

  /// A change of the table. No location: the controller's entry goes.
  private struct Placement {
    var address: ControllerEdit.Address
    var key: MACKey
    var location: MACLocation?
  }

  private mutating func place(_ addresses: [ControllerEdit.Address]) {
    guard !addresses.isEmpty else { return }
    var placements: [Placement] = []
    placements.reserveCapacity(addresses.count)
    for address in addresses {
      guard running.vnis[address.vni]?.logicalSwitch != nil, let domain = domains[address.vni] else { continue }
      let key = MACKey(domain: domain.index, mac: address.mac)
      var placement = Placement(address: address, key: key)
      if let destination = address.destination {
        if running.underlay.reasonAgainst(destination) != nil {
          // Our own address needs no entry; for others see `controllerReport`.
          placement.location = nil
        } else if let index = index(of: destination) {
          placement.location = .vtep(index)
        } else {
          controller.waiting.insert(address)
        }
      }
      placements.append(placement)
    }
    settle()
    for start in stride(from: 0, to: placements.count, by: Self.batch) {
      write(placements[start..<min(start + Self.batch, placements.count)])
    }
    if controller.takeUnused() || placements.count < addresses.count { unconfigureVTEPs() }
  }

  private mutating func write(_ placements: ArraySlice<Placement>) {
    let refused = effects.write { table -> [ControllerEdit.Address] in
      var refused: [ControllerEdit.Address] = []
      for placement in placements {
        guard let location = placement.location else {
          table.removeController(placement.key)
          continue
        }
        do throws(MACTableError) {
          try table.setStatic(placement.key, at: location, type: .controller)
        } catch {
          // An operator's entry stands as long as it is there, see `restoreControllerEntries`.
          if error.code == .tableFull { refused.append(placement.address) }
        }
      }
      return refused
    }
    controller.waiting.formUnion(refused)
  }

  /// After a change of VNIs: writes the entries of those that the controller now owns.
  mutating func updateControllerEntries(goneVNIs: Set<DomainIndex>) {
    controller.installedGroups = controller.installedGroups.filter { !goneVNIs.contains($0.key.domain) }
    updateGroupEntries()
    var addresses: [ControllerEdit.Address] = []
    for (vni, entries) in controller.addresses {
      guard let domain = domains[vni], !domain.hasControllerEntries, running.vnis[vni]?.logicalSwitch != nil else { continue }
      domains.markControllerEntries(of: vni)
      restateNeighbors(of: vni)
      addresses += entries.map { ControllerEdit.Address(vni: vni, mac: $0.key, destination: $0.value) }
    }
    place(addresses)
  }

  /// Static entries are gone: the controller may have entries for the same addresses.
  mutating func restoreControllerEntries(_ keys: [MACKey]) {
    guard !controller.addresses.isEmpty, !keys.isEmpty else { return }
    place(
      keys.compactMap { key in
        guard let vni = domains.vni(at: key.domain), let destination = controller.addresses[vni]?[key.mac] else { return nil }
        return ControllerEdit.Address(vni: vni, mac: key.mac, destination: destination)
      })
  }

  // -- destinations ------------------------------------------------------------------------------------------------------

  /// All VTEPs that the controller named.
  func controllerDestinations(_ state: DesiredState) -> [IPAddress] {
    controller.uses.keys.map(\.address) + state.controller.bfd.keys
      + state.vnis.values.flatMap { $0.logicalSwitch?.groups.values.flatMap { $0.map(\.address) } ?? [] }
  }

  /// The VTEP index of a destination, made if there is none. Nil when the table of VTEPs is full.
  mutating func index(of destination: TunnelDestination) -> VTEPIndex? {
    guard let record = vtep(destination.address, isConfigured: true) else {
      controller.withoutIndex.insert(destination)
      return nil
    }
    guard let key = destination.key else {
      controller.withoutIndex.remove(destination)
      return record.index
    }
    if let index = controller.tunnels[destination] { return index }
    guard let index = takeIndex(VTEPEntry(address: destination.address, tunnelKey: key)) else {
      controller.withoutIndex.insert(destination)
      return nil
    }
    controller.withoutIndex.remove(destination)
    controller.tunnels[destination] = index
    return index
  }

  /// An index beside those of the VTEPs proper.
  private mutating func takeIndex(_ entry: VTEPEntry) -> VTEPIndex? {
    guard let index = underlay.vteps.takeIndex(stale: &stale) else { return nil }
    while model.vteps.count <= Int(index) { model.vteps.append(ForwardingModel.VTEP()) }
    model.vteps[Int(index)] = ForwardingModel.VTEP(entry: entry)
    baselines.reset(vtep: index, counters: effects.counters)
    effects.events.name(index, entry.address)
    return index
  }

  /// Indexes that flooded frames go to. Of service nodes one is chosen: the first that can be reached, of those that BFD thinks best of.
  mutating func indexes(of destinations: [TunnelDestination], _ replication: LogicalSwitchSettings.Replication) -> [VTEPIndex] {
    let all = destinations.compactMap { destination in index(of: destination).map { (address: destination.address, index: $0) } }
    guard replication == .serviceNode else { return all.filter { !underlay.hasFailed($0.address) }.map(\.index) }
    func rank(_ node: (address: IPAddress, index: VTEPIndex)) -> Int {
      let isReachable = model.vteps[Int(node.index)].adjacencies.contains(where: \.isResolved)
      let byBFD = underlay.rank(ofServiceNode: node.address, hasSession: bfdTargets[node.address] != nil)
      return isReachable ? 1 + byBFD : 0
    }
    var best = all.first.map { (index: $0.index, rank: rank($0)) }
    for node in all.dropFirst() {
      let rank = rank(node)
      if rank > best?.rank ?? -1 { best = (node.index, rank) }
    }
    return [best?.index].compactMap(\.self)
  }

  /// Chooses again among service nodes, after a change of what can be reached.
  mutating func chooseServiceNodes() {
    countVisits(running.controller.switches.count)
    for vni in running.controller.switches.keys {
      guard let settings = running.vnis[vni], let logicalSwitch = settings.logicalSwitch, logicalSwitch.replication == .serviceNode,
        let domain = domains[vni]
      else { continue }
      model.domains[Int(domain.index)].flood = indexes(of: logicalSwitch.flood, .serviceNode)
      for (mac, destinations) in logicalSwitch.groups {
        guard let list = controller.lists[ControllerStore.Group(vni: settings.vni, mac: mac)] else { continue }
        model.vteps[Int(list)].members = indexes(of: destinations, .serviceNode)
      }
    }
  }

  /// Gives indexes back that no address refers to any more.
  mutating func forgetIdleTunnels() {
    let flooded = Set(
      running.vnis.values.flatMap { settings in
        (settings.logicalSwitch?.flood ?? []) + (settings.logicalSwitch?.groups.values.flatMap(\.self) ?? [])
      })
    controller.withoutIndex.formIntersection(flooded.union(controller.uses.keys))
    let idle = controller.tunnels.filter { controller.uses[$0.key] == nil && !flooded.contains($0.key) }
    for destination in idle.keys { controller.tunnels[destination] = nil }
    for index in idle.values { forgetVTEP(index: index) }
  }

  // -- multicast addresses -----------------------------------------------------------------------------------------------

  /// Rebuilds the lists of VTEPs behind multicast addresses. Deleted lists stay until no table entry names them.
  mutating func rebuildLists(of vnis: Set<VNI>) {
    for vni in vnis {
      guard let settings = running.vnis[vni], let logicalSwitch = settings.logicalSwitch else { continue }
      for (mac, destinations) in logicalSwitch.groups {
        let group = ControllerStore.Group(vni: settings.vni, mac: mac)
        guard let list = controller.lists[group] ?? takeIndex(VTEPEntry()) else { continue }
        controller.lists[group] = list
        model.vteps[Int(list)].members = indexes(of: destinations, logicalSwitch.replication)
      }
    }
  }

  /// Updates the table's multicast entries from the lists, which every worker must know by now.
  private mutating func updateGroupEntries() {
    var entries: [MACKey: MACLocation] = [:]
    var gone: [VTEPIndex] = []
    for (group, list) in controller.lists {
      if let domain = domains[group.vni], running.vnis[group.vni]?.logicalSwitch?.groups[group.mac] != nil {
        entries[MACKey(domain: domain.index, mac: group.mac)] = .list(list)
      } else {
        controller.lists[group] = nil
        gone.append(list)
      }
    }
    let old = controller.installedGroups
    controller.installedGroups = effects.write { table in
      for key in old.keys where entries[key] == nil { table.removeController(key) }
      // Frames to addresses without room are flooded to all.
      return entries.filter { (try? table.setStatic($0.key, at: $0.value, type: .controller)) != nil }
    }
    for list in gone { forgetVTEP(index: list) }
  }
}

extension MACTable {
  /// Removes an entry if it is a controller's.
  fileprivate func removeController(_ key: MACKey) {
    let found = reader.lookup(key, hash: reader.hash(key))
    if found.isHit, found.type == .controller { remove(key) }
  }
}
