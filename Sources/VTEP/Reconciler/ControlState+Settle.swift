// ControlState+Settle: brings the data plane in line with the records, once for any number of changes. The only place that knows the order.

import Encap
import MACTable

extension ControlState {
  /// Carries out all that has become stale.
  mutating func settle() {
    guard !stale.isEmpty else { return }
    var work = stale
    stale = StaleState()

    // 1. What the kernel says.
    if work.routes {
      // An address may be a local route, and goes with its interface without a word.
      checkOwnAddresses()
      findAllRoutes()
    }

    // 2. The model.
    if !work.vnis.isEmpty {
      rebuildDomains(of: work.vnis)
      // That may have given VTEPs an index.
      work.adjacencies = work.adjacencies || stale.adjacencies
      work.hasNewIndexes = work.hasNewIndexes || stale.hasNewIndexes
      (stale.adjacencies, stale.hasNewIndexes) = (false, false)
    }
    if work.ports {
      announcePorts()
      rebuildPorts()
    }
    if work.routers || !work.vnis.isEmpty || !work.goneDomains.isEmpty, rebuildRouters() { work.hasNewIndexes = true }
    if work.routes || work.adjacencies { rebuildAdjacencies() }
    if work.routes || work.adjacencies || !work.goneVTEPs.isEmpty { reachabilityVersion += 1 }
    if work.changesSnapshot { updateBFD() }

    // 3. The workers.
    if work.changesSnapshot { effects.publish(model) }
    if work.mustWait { effects.waitForWorkers() }

    // 4. The MAC table.
    forget(work)
    if work.ports || work.routers || !work.vnis.isEmpty || !work.goneDomains.isEmpty { updateTable(limitsOf: work.vnis) }
    if work.controllerEntries { updateControllerEntries(goneVNIs: work.goneDomains) }

    // 5. What nothing names any more.
    for index in work.goneDomains {
      forgetNeighbors(of: index)
      domains.giveBack(index)
    }
    routers.giveBack()
    for index in work.goneVTEPs { underlay.vteps.giveBack(index) }
    if !work.closing.isEmpty { effects.close(work.closing) }
    for index in work.gonePorts { ports.giveBack(index) }
    if work.hasGoneACLs { acls.giveBackLeftovers() }
    if !work.goneVTEPs.isEmpty { updateNeighborRequests() }

    // 6. Groups in the kernel, taps and probes.
    if work.memberships {
      updateMemberships()
    } else {
      updateMemberships(of: work.vnis.union(work.domains.compactMap { domains.vni(at: $0) }))
    }
    effects.steer(underlay.devices, running.underlay)
    if work.ports || work.slowPath {
      effects.updateSlowPath(ports, probeIntervalSeconds: running.protection.loopProbe.intervalSeconds)
    }
  }

  /// Takes out of the table what nothing may name any more.
  private mutating func forget(_ work: StaleState) {
    guard work.mustWait else { return }
    let limited = work.goneDomains.isEmpty ? [] : limitedPorts
    let released = effects.write { table -> [MACMove] in
      for index in work.goneDomains { table.removeAll(domain: index) }
      for index in work.gonePorts { table.removeAll(port: index) }
      for index in work.silentPorts { table.flush(port: index) }
      Self.flush(work.unbound, in: table)
      for index in work.goneVTEPs { table.removeAll(vtep: index) }
      for index in limited { table.reclaim(port: index) }
      return work.silentPorts.union(work.gonePorts).flatMap { table.releaseFrozen(seenAt: $0) }
    }
    if !released.isEmpty { effects.post(released: released) }
    guard !work.goneDomains.isEmpty || !work.gonePorts.isEmpty else { return }
    installedStatics = installedStatics.filter { key, location in
      !work.goneDomains.contains(key.domain) && (location.isVTEP || !work.gonePorts.contains(location.port))
    }
  }
}
