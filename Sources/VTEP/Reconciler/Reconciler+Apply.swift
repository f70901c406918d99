// Reconciler+Apply: the operator's changes. What can fail comes first and is undone on failure; then the running state
// changes in one step. Traffic that the change does not concern loses nothing.

import CDPDK
import Encap
import MACTable
import MulticastLearn
import Netlink

extension Reconciler {
  /// Makes `new` the running state.
  ///
  /// - Throws: `.refused` or `.environment`; the running state is as before.
  public func apply(_ new: DesiredState) throws(VTEPError) {
    let configured = new
    let changedByOperator = self.configured.changedVNIs(in: configured)
    if let problem = configured.problems(since: self.configured, changedVNIs: changedByOperator).first {
      throw VTEPError(.refused, "configuration", "\(problem)")
    }
    try checkOwners(configured)
    let (new, conflicts) = configured.merged()
    // Comparing 10,000 VNIs is most of the work of a small change: once is enough.
    let hasController = new.controller != ControllerLayer() || desired.controller != ControllerLayer()
    let changedVNIs = hasController ? desired.changedVNIs(in: new) : changedByOperator
    guard domains.count + changedVNIs.count(where: { domains[$0] == nil && new.vnis[$0] != nil }) <= Limits.domains else {
      throw VTEPError(.refused, "vnis", "more than \(Limits.domains) VNIs")
    }

    try checkPolicies(for: new)

    let old = desired
    let newReservation = try reserve(new.underlay, old: old.underlay)
    let (opened, unattached) = try openDevices(for: new)
    let openedTaps: [TapInterface]
    do throws(VTEPError) {
      openedTaps = try openPuntTaps(for: new)
      try attachUnderlay(new.underlay)
    } catch {
      for (name, device) in opened { remove(device, subject: "port \(name)") }
      throw error
    }

    self.configured = configured
    desired = new
    revision += 1
    note(conflicts)
    if let newReservation { reservation = newReservation }
    for tap in openedTaps { puntTaps[tap.name] = tap }
    model.decapPolicy = DecapPolicy(
      udpPort: new.underlay.udpPort, acceptsZeroUDP6Checksum: new.underlay.acceptsZeroUDP6Checksum)
    model.priorities = new.underlay.priorities
    detachUnderlay(keeping: new.underlay.devices)

    if old.underlay.addresses != new.underlay.addresses || old.underlay.udpPort != new.underlay.udpPort { stale.routes = true }
    if old.underlay != new.underlay { stale.memberships = true }
    if old.underlay != new.underlay || underlay.hasNewPolicies { stale.adjacencies = true }
    // Bindings may change many times a second, and one VNI of thousands: nothing else is looked at then.
    let hasOtherDomains = replaceDomains(changedVNIs, new)
    vnisWithStatics.subtract(changedVNIs)
    vnisWithStatics.formUnion(changedVNIs.filter { new.vnis[$0]?.macs.isEmpty == false })
    if !changedVNIs.isEmpty {
      let named = (old: Self.vteps(named: changedVNIs, in: old), new: Self.vteps(named: changedVNIs, in: new))
      for address in named.new where vtep(address, isConfigured: true) == nil {
        log.error("VTEP \(address): the table of \(Limits.vteps) VTEPs is full")
      }
      if !named.old.isSubset(of: named.new) { unconfigureVTEPs() }
      stale.vnis.formUnion(changedVNIs)
      stale.controllerEntries = true
    }
    replacePorts(new, opened: opened, rebindsAll: hasOtherDomains)
    for (name, reason) in unattached { noteUnattached(name, reason) }
    settle()
    for (name, record) in ports where record.device != nil && !record.settings.wantsDevice { lose(name) }
    openShutPorts()
    settle()
  }

  /// The UDP port held against the kernel's answers, when it changes.
  private func reserve(_ new: UnderlaySettings, old: UnderlaySettings) throws(VTEPError) -> UDPPortReservation? {
    guard new.udpPort != old.udpPort else { return nil }
    let made = try VTEPError.wrap("underlay.udp-port") { () throws(NetlinkError) in
      try UDPPortReservation(port: new.udpPort)
    }
    for device in underlay.devices {
      for descriptor in device.device?.descriptors ?? [] {
        try VTEPError.wrap("underlay.device \(device.name)") { () throws(NetlinkError) in
          try UnderlayFilter(udpPort: new.udpPort).attach(toSocket: descriptor)
        }
      }
    }
    return made
  }

  /// Opens the devices of ports that have none to take over.
  ///
  /// - Returns: devices, and why others could not be opened: at the start of the daemon, and of ports that have waited for that
  ///   already. A fault of theirs must not stand in the way of all others.
  /// - Throws: when the device of a new port cannot be opened.
  private func openDevices(for new: DesiredState) throws(VTEPError) -> (opened: [String: OpenedPort], unattached: [String: String]) {
    let present = Dictionary(uniqueKeysWithValues: ports.values.map { ($0.settings.deviceIdentity, $0) })
    var opened: [String: OpenedPort] = [:]
    var unattached: [String: String] = [:]
    let released = releaseDevices(inTheWayOf: new)
    do throws(VTEPError) {
      for settings in new.ports.values.sorted(by: { $0.name < $1.name }) {
        let record = present[settings.deviceIdentity]
        if record?.device != nil {
          if let link = record?.link { try settings.kind.driver.adjust(link, settings, on: portHost) }
          continue
        }
        if record?.fault?.isHeld(at: ticks) == true || !settings.wantsDevice {
          continue
        }
        let device: OpenedPort?
        do throws(VTEPError) {
          device = try open(settings)
        } catch {
          guard !hasStarted || record?.settings.wantsDevice == true else { throw error }
          unattached[settings.name] = "\(error)"
          continue
        }
        if let device {
          opened[settings.name] = device
        } else if record == nil, settings.isEnabled {
          log.warning("port \(settings.name): \(settings.attachment.place) is not there yet; waiting for it")
        }
      }
    } catch {
      for (name, device) in opened { remove(device, subject: "port \(name)") }
      for name in released { reopen(name) }
      settle()
      throw error
    }
    return (opened, unattached)
  }

  /// Closes the devices of ports that give way to others at the same place, e.g. with more queues.
  private func releaseDevices(inTheWayOf new: DesiredState) -> [String] {
    let kept = Set(new.ports.values.map(\.deviceIdentity))
    let places = Set(kept.map { $0.attachment.kind.driver.claim($0.attachment).value })
    let leaving = ports.values.filter { record in
      record.device != nil && !kept.contains(record.settings.deviceIdentity)
        && places.contains(record.driver.claim(record.settings.attachment).value)
    }
    for record in leaving { lose(record.settings.name) }
    return leaving.map(\.settings.name)
  }

  /// Takes the records of VNIs that are no longer wanted away and makes those of new ones.
  ///
  /// - Returns: whether there were any.
  private func replaceDomains(_ changed: Set<VNI>, _ new: DesiredState) -> Bool {
    let gone = changed.filter { new.vnis[$0] == nil }
    for vni in gone {
      guard let record = domains.removeValue(forKey: vni) else { continue }
      stale.goneDomains.insert(record.index)
      model.domains[Int(record.index)] = ForwardingModel.Domain()
    }
    let added = changed.filter { new.vnis[$0] != nil && domains[$0] == nil }
    for vni in added {
      // The limit was checked before anything changed.
      guard let index = domainIndexes.take() else { continue }
      while model.domains.count <= Int(index) { model.domains.append(ForwardingModel.Domain()) }
      model.domains[Int(index)].entry.serial = UInt32(truncatingIfNeeded: revision)
      domains[vni] = DomainRecord(index: index)
      stale.hasNewIndexes = true
      baselines.reset(domain: index, counters: counters)
      shared.pointee.stormStates[Int(index)] = StormState(now: cdpdk_cycles())
    }
    return !gone.isEmpty || !added.isEmpty
  }

  /// Puts the new set of ports in place of the old one; a port that keeps its device keeps its index.
  ///
  /// - Parameter rebindsAll: VNIs have changed: every port's bindings have to be looked at.
  private func replacePorts(_ new: DesiredState, opened: [String: OpenedPort], rebindsAll: Bool) {
    var byDevice: [PortSettings.DeviceIdentity: PortRecord] = [:]
    for record in ports.values { byDevice[record.settings.deviceIdentity] = record }
    stale.ports = true
    ports = [:]
    for settings in new.ports.values {
      if var record = byDevice.removeValue(forKey: settings.deviceIdentity) {
        let old = record.settings
        record.settings = settings
        if let fault = record.fault, !fault.stands(with: settings) { record.fault?.end(at: ticks) }
        let wasUp = record.isUp
        record.status = record.readStatus()
        if record.isUp { record.wasUp = true }
        // What the status says may be news.
        updateQueues(&record)
        if let device = record.device, old.isEnabled != settings.isEnabled {
          record.driver.setCarrier(device, isOn: settings.isEnabled)
        }
        // What the guest claimed before sources were checked, it need not be.
        let isStricter = settings.policy.hasAntiSpoofing && !old.policy.hasAntiSpoofing
        if isStricter || wasUp && !record.isUp { stale.silentPorts.insert(record.index) }
        if wasUp != record.isUp {
          log.notice("port \(settings.name): \(record.status.state)")
          touch(record)
        }
        if rebindsAll || old.vni != settings.vni || old.vlans != settings.vlans { rebind(&record) }
        ports[settings.name] = record
      } else {
        // `problems()` has checked that there are fewer ports than indexes.
        guard let index = portIndexes.take() else { continue }
        var record = PortRecord(settings: settings, index: index)
        stale.hasNewIndexes = true
        record.status = record.readStatus()
        rebind(&record)
        ports[settings.name] = record
        baselines.reset(port: index, counters: counters)
        shared.pointee.policyStates[Int(index)].reset(now: cdpdk_cycles())
      }
      if let device = opened[settings.name] { use(device, port: settings.name) }
    }
    for record in byDevice.values {
      unbind(record)
      model.ports[Int(record.index)] = PortEntry()
      model.policies[Int(record.index)] = ForwardingModel.Policy()
      removeQueues(portIndex: record.index, device: record.device)
      stale.gonePorts.insert(record.index)
      stale.closing.append(
        StaleState.Closing(device: record.device, hostSide: record.hostSide, subject: "port \(record.settings.name)"))
    }
  }

  /// VTEPs that the operator no longer names live on as long as something is known behind them.
  func unconfigureVTEPs() {
    let configured = configuredVTEPs(desired)
    var groups: [IPAddress] = []
    for (address, record) in underlay.vteps where record.isConfigured && !configured.contains(address) {
      underlay.vteps[address]?.isConfigured = false
      if record.isGroup { groups.append(address) }
    }
    forgetVTEPs(groups)
  }

  // -- flushing --------------------------------------------------------------------------------------------------------

  /// Forgets learned addresses, of everything or of what is named (all names must fit).
  ///
  /// - Throws: `.refused` when a name is unknown.
  public func flush(vni: VNI? = nil, port: String? = nil, vtep: IPAddress? = nil) throws(VTEPError) {
    var domain: DomainIndex?
    if let vni {
      guard let record = domains[vni] else { throw VTEPError(.refused, "mac flush", "no VNI \(vni)") }
      domain = record.index
    }
    var location: MACLocation?
    if let port {
      guard let record = ports[port] else { throw VTEPError(.refused, "mac flush", "no port \(port)") }
      location = .port(record.index, vlan: 0)
    } else if let vtep {
      guard let record = underlay.vteps[vtep] else { throw VTEPError(.refused, "mac flush", "no VTEP \(vtep)") }
      location = .vtep(record.index)
    }
    learner.write { table in
      switch (domain, location) {
      case (nil, nil):
        table.flushAll()
        reclaimLimited(table)
      case (let domain?, nil):
        table.flush(domain: domain)
        reclaimLimited(table)
      case (nil, let place?): if place.isVTEP { table.flush(vtep: place.vtep) } else { table.flush(port: place.port) }
      case (let domain?, let place?):
        if place.isVTEP {
          table.flush(domain: domain, vtep: place.vtep)
        } else {
          table.flush(domain: domain, port: place.port)
        }
      }
    }
  }

  /// A domain's flush leaves entries in the ports' counts until the sweep; ports with a limit must not wait for that.
  func reclaimLimited(_ table: MACTable) {
    for record in ports.values where record.settings.policy.macLimit > 0 { table.reclaim(port: record.index) }
  }

  // -- periodic work -----------------------------------------------------------------------------------------------------

  /// Five times a second: what no event tells.
  func tick() {
    ticks += 1
    pollPorts()
    checkRings()
    openShutPorts()
    // Those that were in doubt at the last tick already, so that each has had a moment.
    giveUpDoubtfulNeighbors(doubtfulAtLastTick)
    doubtfulAtLastTick = underlay.doubtfulNeighbors
    memberships.retry()
    forgetAnnouncements()
    endPreparations()
    runtime.freeRetiredPools()
    if ticks % 5 == 0 {
      retryNeighbors()
      verifyMemberships()
      followPolicies()
      countMissedPackets()
      remakeSockets()
      retryPorts()
      retryPuntTaps()
      retryController()
      sampleActivity()
    }
    if ticks % 50 == 0 {
      forgetIdleTunnels()
      forgetIdleVTEPs()
    }
    settle()
  }
}

extension Reconciler {
  /// Replaces the running state by what `edit` makes of it; no other change comes between.
  ///
  /// - Returns: whether anything changed.
  /// - Throws: what `edit` throws, or as `apply`; the running state is as before.
  @discardableResult
  public func change(_ edit: @Sendable (DesiredState) throws -> DesiredState) throws -> Bool {
    let new = try edit(configured)
    guard new != configured else { return false }
    try apply(new)
    return true
  }
}
