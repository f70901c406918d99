// Reconciler+Settle: brings the data plane in line with the records. Whoever changes records says here what has become stale; `settle`
// does the rest, once for any number of changes, and is the only place that knows the order.

import Encap
import MACTable

/// What has changed in the records and has not reached the data plane yet.
struct StaleState {
  /// Addresses of the host may have changed.
  var addresses = false
  /// Routes to VTEPs may have changed.
  var routes = false
  /// Next hops or the headers towards them may have changed.
  var adjacencies = false
  /// Settings or states of ports have changed.
  var ports = false
  /// What taps and probes of the slow path follow has changed, without any port.
  var slowPath = false
  /// VNIs whose settings have changed.
  var vnis: Set<VNI> = []
  /// Domains that got or lost a port, or a port that is up.
  var domains: Set<DomainIndex> = []
  /// Nobody knows which VNIs have to join or leave a group: all are looked at.
  var memberships = false
  /// Static or controller entries may have to change though no port and no VNI has.
  var controllerEntries = false

  // What follows leaves something behind that no worker may use any more.

  /// Indexes of ports behind which nothing is known any more.
  var silentPorts: Set<PortIndex> = []
  var unbound: Set<Reconciler.Unbound> = []
  var goneDomains: Set<DomainIndex> = []
  var gonePorts: Set<PortIndex> = []
  var goneVTEPs: Set<VTEPIndex> = []
  /// The table is about to name VTEPs, ports or domains that no worker knows yet.
  var hasNewIndexes = false
  var closing: [Closing] = []

  /// A device, and what is held for it, that goes when no worker uses it any more.
  struct Closing {
    var device: EthernetDevice?
    var hostSide = HostSide()
    var subject: String
  }

  /// Workers have to be done with an earlier snapshot before the rest can follow.
  var mustWait: Bool {
    hasNewIndexes || !silentPorts.isEmpty || !unbound.isEmpty || !goneDomains.isEmpty || !gonePorts.isEmpty || !goneVTEPs.isEmpty
      || !closing.isEmpty
  }

  var changesSnapshot: Bool { routes || adjacencies || ports || !vnis.isEmpty || !domains.isEmpty || mustWait }

  var isEmpty: Bool { !changesSnapshot && !addresses && !slowPath && !memberships && !controllerEntries }
}

extension Reconciler {
  /// Carries out all that has become stale.
  func settle() {
    defer { publishReports() }
    guard !stale.isEmpty else { return }
    var work = stale
    stale = StaleState()

    // 1. What the kernel says.
    if work.addresses { updateHostSides() }
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
    if work.routes || work.adjacencies { rebuildAdjacencies() }

    // 3. The workers.
    if work.mustWait {
      publishAndWait()
    } else if work.changesSnapshot {
      publish()
    }

    // 4. The MAC table.
    forget(work)
    if work.ports || !work.vnis.isEmpty || !work.goneDomains.isEmpty { updateTable(limitsOf: work.vnis) }
    if work.controllerEntries { updateControllerEntries(goneVNIs: work.goneDomains) }

    // 5. What nothing names any more.
    for index in work.goneDomains { domainIndexes.giveBack(index) }
    for index in work.goneVTEPs { underlay.vtepIndexes.giveBack(index) }
    for closing in work.closing {
      remove(closing.device, subject: closing.subject)
      release(closing.hostSide, subject: closing.subject)
    }
    for index in work.gonePorts { portIndexes.giveBack(index) }
    if !work.goneVTEPs.isEmpty { updateNeighborRequests() }

    // 6. Groups in the kernel, taps and probes.
    if work.memberships {
      updateMemberships()
    } else {
      updateMemberships(of: work.vnis.union(work.domains.map { model.domains[Int($0)].entry.vni }))
    }
    if work.ports || work.slowPath { updateSlowPath() }
  }

  /// Takes out of the table what nothing may name any more.
  private func forget(_ work: StaleState) {
    guard work.mustWait else { return }
    let released = learner.write { table -> [MACMove] in
      for index in work.goneDomains { table.removeAll(domain: index) }
      for index in work.gonePorts { table.removeAll(port: index) }
      for index in work.silentPorts { table.flush(port: index) }
      flush(work.unbound, in: table)
      for index in work.goneVTEPs { table.removeAll(vtep: index) }
      if !work.goneDomains.isEmpty { reclaimLimited(table) }
      return work.silentPorts.union(work.gonePorts).flatMap { table.releaseFrozen(seenAt: $0) }
    }
    if !released.isEmpty { tell(released.map { .released($0) }) }
    guard !work.goneDomains.isEmpty || !work.gonePorts.isEmpty else { return }
    installedStatics = installedStatics.filter { key, location in
      !work.goneDomains.contains(key.domain) && (location.isVTEP || !work.gonePorts.contains(location.port))
    }
  }

  /// A port's state has changed.
  ///
  /// - Parameter isSilent: nothing is known behind it any more.
  func touch(_ record: PortRecord, isSilent: Bool = false) {
    stale.ports = true
    stale.domains.formUnion(record.bound.values)
    if isSilent { stale.silentPorts.insert(record.index) }
  }
}
