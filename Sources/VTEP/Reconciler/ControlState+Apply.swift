// ControlState+Apply: the operator's changes. What can fail comes first and is undone on failure; then the records change in one step.
// Unchanged ports and VNIs lose no traffic.

import Encap
import MACTable
import Netlink

extension ControlState {
  /// Makes `new` the running state.
  ///
  /// - Throws: `.refused` or `.environment`; the running state is as before.
  mutating func apply(_ new: DesiredState) throws(VTEPError) { try apply(try check(new)) }

  mutating func apply(_ change: Change) throws(VTEPError) {
    let acquired = try acquire(change)
    adopt(change, acquired)
    settle()
    for name in ports.surplus { lose(name) }
    openShutPorts()
    settle()
  }

  /// A change that has been checked.
  struct Change {
    /// What the operator and the controller ask for.
    var desired: DesiredState
    /// Both in one.
    var new: DesiredState
    var conflicts: [ControllerConflict]
    /// The VNIs of `new` that differ, or depend on something that does.
    var vnis: Set<VNI>
    /// The access control lists of `new`.
    var acls: ACLTable
    /// A port whose device cannot be opened goes without, and is retried.
    var isTolerant = false
  }

  /// - Throws: `.refused` for what can be seen without trying.
  mutating func check(_ desired: DesiredState) throws(VTEPError) -> Change {
    let changed = self.desired.changedVNIs(in: desired)
    if let problem = desired.problems(since: self.desired, changedVNIs: changed).first {
      throw VTEPError(.refused, "configuration", "\(problem)")
    }
    try checkOwners(desired)
    var (new, conflicts) = desired.merged()
    let acls = try makeACLs(for: &new, &conflicts)
    // Comparing 10,000 VNIs is most of the work of a small change: once is enough.
    let hasController = new.controller != ControllerLayer() || running.controller != ControllerLayer()
    let change = Change(
      desired: desired, new: new, conflicts: conflicts, vnis: hasController ? running.changedVNIs(in: new) : changed, acls: acls)
    guard domains.hasRoom(for: change.vnis, in: new.vnis) else {
      throw VTEPError(.refused, "vnis", "more than \(Limits.domains) VNIs")
    }
    try checkPolicies(for: new)
    return change
  }

  // -- what can fail -----------------------------------------------------------------------------------------------------

  /// What was opened for a change.
  private struct Acquired {
    var opened: [String: OpenedPort] = [:]
    /// Why other ports could not be opened.
    var unattached: [String: String] = [:]
    /// Interfaces that go on, with other settings.
    var adjusting: [Adjustment] = []
  }

  private struct Adjustment {
    /// As it is before.
    var link: Link
    var settings: PortSettings
  }

  /// Opens the devices that a change needs.
  private mutating func acquire(_ change: Change) throws(VTEPError) -> Acquired {
    var acquired = Acquired()
    let released = releaseDevices(inTheWayOf: change.new)
    do throws(VTEPError) {
      try openDevices(for: change, &acquired)
      try adjust(acquired.adjusting)
      do throws(VTEPError) {
        try attachUnderlay(change.new.underlay)
      } catch {
        restore(acquired.adjusting)
        throw error
      }
    } catch {
      effects.close(
        acquired.opened.map { StaleState.Closing(device: $1.device, hostSide: $1.hostSide, subject: "port \($0)") })
      for name in released { reopen(name) }
      settle()
      throw error
    }
    return acquired
  }

  /// Closes the devices of ports that give way to others at the same place, e.g. with more queues.
  private mutating func releaseDevices(inTheWayOf new: DesiredState) -> [String] {
    let kept = Set(new.ports.values.map(\.deviceIdentity))
    let places = Set(kept.map { $0.attachment.kind.driver.claim($0.attachment).value })
    let leaving = ports.values.filter { record in
      record.device != nil && !kept.contains(record.settings.deviceIdentity)
        && places.contains(record.driver.claim(record.settings.attachment).value)
    }
    for record in leaving { lose(record.settings.name) }
    return leaving.map(\.settings.name)
  }

  /// Adjusts interfaces, all or none.
  private func adjust(_ adjustments: [Adjustment]) throws(VTEPError) {
    for (index, adjustment) in adjustments.enumerated() {
      do throws(VTEPError) {
        try effects.adjust(adjustment.link, adjustment.settings, guestMTU: guestMTU)
      } catch {
        restore(adjustments.prefix(index))
        throw error
      }
    }
  }

  /// Takes back what `adjust` has done.
  private func restore(_ adjustments: some Collection<Adjustment>) {
    for adjustment in adjustments { effects.restore(adjustment.link, port: adjustment.settings.name) }
  }

  /// Opens the devices of ports that have none to take over. At the start of the daemon a port whose device cannot be opened goes without,
  /// and so does a port that has waited for that already: its fault must not stand in the way of all others.
  ///
  /// - Throws: when the device of a new port cannot be opened.
  private mutating func openDevices(for change: Change, _ acquired: inout Acquired) throws(VTEPError) {
    let new = change.new
    effects.opensTogether = true
    defer { effects.opensTogether = false }
    let present = Dictionary(uniqueKeysWithValues: ports.values.map { ($0.settings.deviceIdentity, $0) })
    for settings in new.ports.values.sorted(by: { $0.name < $1.name }) {
      let record = present[settings.deviceIdentity]
      if let record, record.device != nil {
        if let link = record.link { acquired.adjusting.append(Adjustment(link: link, settings: settings)) }
        continue
      }
      if record?.fault?.isHeld(at: ticks) == true || !settings.wantsDevice || staysClosed(settings) {
        continue
      }
      let device: OpenedPort?
      do throws(VTEPError) {
        device = try open(settings)
      } catch {
        guard change.isTolerant || !hasStarted || record?.settings.wantsDevice == true else { throw error }
        acquired.unattached[settings.name] = "\(error)"
        continue
      }
      if let device {
        acquired.opened[settings.name] = device
      } else if record == nil, settings.isEnabled {
        effects.log.warning("port \(settings.name): \(settings.attachment.place) is not there yet; waiting for it")
      }
    }
  }

  /// An earlier run had shut the port, and its kind has no device then.
  private func staysClosed(_ settings: PortSettings) -> Bool {
    guard settings.kind.driver.closesWhenDisabled, !restoredFaults.isEmpty else { return false }
    return restoredFaults[settings.savedAttachment]?.stands(with: settings) == true
  }

  // -- what cannot -------------------------------------------------------------------------------------------------------

  private mutating func adopt(_ change: Change, _ acquired: Acquired) {
    let (old, new) = (running, change.new)
    desired = change.desired
    running = new
    revision += 1
    logConflicts(change.conflicts)
    adoptACLs(change.acls, isChanged: new.acls != old.acls)
    adoptUnderlay(new.underlay, old: old.underlay)
    if new.controller.bfd != old.controller.bfd { adoptTunnels(new.controller.bfd) }
    if old.routers != new.routers || old.underlay.addresses != new.underlay.addresses { stale.routers = true }
    // Bindings may change many times a second, and one VNI of thousands: nothing else is looked at then.
    let replaced = adoptVNIs(change.vnis, new, old: old)
    adoptPorts(new, acquired.opened, rebindsAll: !replaced.isEmpty)
    for (name, reason) in acquired.unattached { markUnattached(name, reason) }
  }

  private mutating func adoptUnderlay(_ new: UnderlaySettings, old: UnderlaySettings) {
    model.decapPolicy = DecapPolicy(udpPort: new.udpPort, acceptsZeroUDP6Checksum: new.acceptsZeroUDP6Checksum)
    model.priorities = new.priorities
    model.repliesTooBig = new.pmtu == .reply
    detachUnderlay(keeping: new.uplinks)
    if old.addresses != new.addresses || old.udpPort != new.udpPort { stale.routes = true }
    if old != new { stale.memberships = true }
    if old != new || underlay.hasNewPolicies { stale.adjacencies = true }
  }

  private mutating func adoptVNIs(_ changed: Set<VNI>, _ new: DesiredState, old: DesiredState) -> DomainTable.Replacement {
    guard !changed.isEmpty else { return DomainTable.Replacement() }
    countVisits(changed.count)
    let replaced = domains.update(changed, to: new.vnis, stale: &stale)
    for index in replaced.gone { model.domains[Int(index)] = ForwardingModel.Domain() }
    for index in replaced.added {
      while model.domains.count <= Int(index) { model.domains.append(ForwardingModel.Domain()) }
      model.domains[Int(index)].entry.serial = UInt32(truncatingIfNeeded: revision)
      baselines.reset(domain: index, counters: effects.counters)
      if let vni = domains.vni(at: index) { effects.events.name(index, vni) }
      effects.resetLimits(domain: index)
    }
    let named = (old: Self.vteps(named: changed, in: old), new: Self.vteps(named: changed, in: new))
    for address in named.new where vtep(address, isConfigured: true) == nil {
      effects.log.error("VTEP \(address): the table of \(Limits.vteps) VTEPs is full")
    }
    if controller.takeUnused() || !named.old.isSubset(of: named.new) { unconfigureVTEPs() }
    stale.controllerEntries = true
    return replaced
  }

  /// Puts the new set of ports in place of the old one.
  ///
  /// - Parameter rebindsAll: VNIs have come or gone: every port's bindings have to be looked at.
  private mutating func adoptPorts(_ new: DesiredState, _ opened: [String: OpenedPort], rebindsAll: Bool) {
    let replacement = ports.replace(with: new.ports, tick: ticks, stale: &stale)
    for (name, old) in replacement.kept {
      follow(name, old)
      if name != old.settings.name { effects.events.name(old.index, name) }
      guard let settings = ports[name]?.settings else { continue }
      if rebindsAll || old.settings.vni != settings.vni || old.settings.vlans != settings.vlans { rebind(name) }
    }
    for name in replacement.added {
      guard let settings = ports[name]?.settings else { continue }
      if let fault = restoredFaults[settings.savedAttachment], fault.stands(with: settings) { ports[name]?.fault = fault }
      guard let record = ports[name] else { continue }
      ports[name]?.status = record.status(of: PortStatus())
      rebind(name)
      baselines.reset(port: record.index, counters: effects.counters)
      effects.events.name(record.index, name)
      effects.resetLimits(port: record.index)
    }
    for (name, port) in opened { use(port, port: name) }
    for record in replacement.gone {
      unbind(record)
      clearEntry(at: record.index)
      model.policies[Int(record.index)] = ForwardingModel.Policy()
      model.aclMaps[Int(record.index)] = nil
      removeQueues(portIndex: record.index)
      stale.closing.append(
        StaleState.Closing(device: record.device, hostSide: record.hostSide, subject: "port \(record.settings.name)"))
    }
  }

  /// A port goes on with other settings.
  private mutating func follow(_ name: String, _ old: PortRecord) {
    guard let record = ports[name] else { return }
    _ = ports.update(name, device: effects.status(of: record), stale: &stale)
    // What the status says may be news.
    updateQueues(name)
    if old.settings.offloads != record.settings.offloads { effects.setOffloads(record) }
    if old.settings.isEnabled != record.settings.isEnabled { effects.setCarrier(record, isOn: record.settings.isEnabled) }
    // Addresses learned before sources were checked may be spoofed.
    if record.settings.policy.antiSpoofing && !old.settings.policy.antiSpoofing { stale.silentPorts.insert(record.index) }
    if let now = ports[name], now.isUp != old.isUp { effects.log.notice("port \(name): \(now.status.state)") }
  }

  /// VTEPs that are no longer configured stay as long as addresses are known behind them.
  mutating func unconfigureVTEPs() {
    countVisits(running.vnis.count)
    for index in underlay.vteps.unconfigure(allBut: configuredVTEPs(running), stale: &stale) { forgetVTEP(index: index) }
  }

  // -- flushing --------------------------------------------------------------------------------------------------------

  /// Flushes learned addresses: all, or those that match every given name.
  ///
  /// - Throws: `.refused` when a name is unknown.
  func flush(vni: VNI? = nil, port: String? = nil, vtep: IPAddress? = nil) throws(VTEPError) {
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
    if location == nil { effects.neighborTable?.forgetLearned(domain) }
    let limited = limitedPorts
    effects.write { table in
      switch (domain, location) {
      case (nil, nil):
        table.flushAll()
        for index in limited { table.reclaim(port: index) }
      case (let domain?, nil):
        table.flush(domain: domain)
        for index in limited { table.reclaim(port: index) }
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

  /// A domain's flush leaves entries in the ports' counts until the sweep; these must not wait for that.
  var limitedPorts: [PortIndex] { ports.values.filter { $0.settings.policy.macLimit > 0 }.map(\.index) }
}
