// RunningState+Saved: the running state as the next run wants to find it. The MAC table is read without a lock, as reports read it: neither
// workers nor the learner wait.

import Encap
import MACTable

extension RunningState {
  /// - Parameter countingSince: seconds of the monotonic clock.
  func saved(countingSince: UInt32) -> SavedState {
    var saved = SavedState()
    saved.savedSeconds = MonotonicClock.seconds()
    saved.countingSinceSeconds = countingSince
    var positions = Positions()
    for port in ports.values.sorted(by: { $0.settings.savedAttachment < $1.settings.savedAttachment }) {
      positions.ports[port.index] = saved.ports.count
      saved.ports.append(self.saved(port, nowSeconds: saved.savedSeconds))
    }
    let records = domains.sorted { $0.key < $1.key }
    let refusals = learner.write { table in records.map { table.refusedByLimit(domain: $0.value.index) } }
    for (record, refused) in zip(records, refusals) {
      positions.vnis[Int(record.value.index)] = UInt32(saved.vnis.count)
      saved.vnis.append(
        SavedState.VNICounts(
          vni: record.key, traffic: baselines.traffic(domain: record.value.index, counters),
          flooded: baselines.flooded(domain: record.value.index, counters),
          stormDrops: Self.counts(FloodClass.allCases.map(\.vniReason.name), baselines.stormDrops(domain: record.value.index, counters)),
          learnRefusals: refused, drops: Self.counts(drops: baselines.drops(domain: record.value.index, counters)),
          neighbors: baselines.neighbors(domain: record.value.index, counters)))
    }
    saveUnderlay(&saved)
    var routed = awaitsController ? routers.earlier : [:]
    for report in routerReports() where report.traffic != TrafficReport() {
      routed[RouterTable.Key(router: report.router, vni: report.vni)] = report.traffic
    }
    saved.routers = routed.sorted { ($0.key.router, $0.key.vni) < ($1.key.router, $1.key.vni) }.map {
      SavedState.RouterInterface(router: $0.key.router, vni: $0.key.vni, traffic: $0.value)
    }
    saved.acls = acls.records.sorted { $0.key < $1.key }.map { SavedState.ACL(name: $0.key, entries: counts(of: $0.value)) }
      .filter { !$0.entries.isEmpty }
    saved.dropTotals = Self.counts(drops: dropTotals())
    saveTable(&saved, &positions)
    return saved
  }

  /// What an earlier run has counted of objects that are not there yet is saved again: the controller may not have answered yet. For as long as
  /// a saved state is of use.
  private var awaitsController: Bool { ticks < Int(SavedState.oldestSeconds) * PortFault.ticksPerSecond }

  /// Names of the data plane's indexes, as positions in the lists of a saved state.
  private struct Positions {
    var ports: [PortIndex: Int] = [:]
    /// By index of the domain.
    var vnis = [UInt32?](repeating: nil, count: Limits.domains)
    var vteps: [VTEPIndex: IPAddress] = [:]
    /// Of VTEPs, by index: most addresses are behind one.
    var vtepPlaces = [UInt32?](repeating: nil, count: Limits.vteps)
    var portPlaces: [MACLocation: UInt32] = [:]
  }

  private func saved(_ port: Port, nowSeconds: UInt32) -> SavedState.Port {
    var saved = SavedState.Port(attachment: port.settings.savedAttachment)
    saved.traffic = baselines.traffic(port: port.index, counters)
    saved.drops = Self.counts(drops: baselines.drops(port: port.index, counters))
    for vlan in port.bound.keys {
      let traffic = baselines.traffic(port: port.index, vlan: vlan, counters)
      if traffic != TrafficReport() { saved.bindings[vlan] = traffic }
    }
    if let fault = port.fault, fault.isShut, fault.isHeld(at: ticks) {
      saved.shut = SavedState.Shut(
        isLoop: fault.cause == .loopProbe, reason: fault.reason, endSeconds: nowSeconds &+ UInt32(fault.secondsLeft(at: ticks)))
    }
    return saved
  }

  private func saveUnderlay(_ saved: inout SavedState) {
    var ownKeys: [IPAddress: [VTEPIndex]] = [:]
    var sessions = awaitsController ? bfd.awaitedCounts : [:]
    for report in bfd.reports() { sessions[report.address] = report.counts }
    for (destination, index) in tunnels { ownKeys[destination.address, default: []].append(index) }
    for record in underlay.vteps.values.sorted(by: { $0.address < $1.address }) {
      let indexes = [record.index] + (ownKeys[record.address] ?? [])
      var counts = SavedState.VTEPCounts(address: record.address, traffic: TrafficReport())
      counts.traffic = indexes.reduce(counts.traffic) { $0 + baselines.traffic(vtep: $1, counters) }
      let drops = indexes.map { Self.counts(drops: baselines.drops(vtep: $0, counters)) }
      counts.drops = drops.reduce(into: counts.drops) { $0.merge($1, uniquingKeysWith: &+) }
      counts.bfd = sessions.removeValue(forKey: record.address)
      if counts != SavedState.VTEPCounts(address: record.address, traffic: TrafficReport()) { saved.vteps.append(counts) }
    }
    saved.vteps += sessions.sorted { $0.key < $1.key }.map {
      SavedState.VTEPCounts(address: $0.key, traffic: TrafficReport(), bfd: $0.value)
    }
    for device in underlay.devices {
      for (index, name) in device.places {
        var uplink = SavedState.Uplink(name: name)
        uplink.traffic = baselines.traffic(port: index, counters)
        uplink.drops = Self.counts(drops: baselines.drops(port: index, counters))
        uplink.ignored = Self.counts(
          IgnoredCause.allCases.map(\.name), IgnoredCause.allCases.map { baselines.ignored(port: index, $0, counters) })
        uplink.passed = Self.counts(
          HostFrameClass.allCases.map(\.name), HostFrameClass.allCases.map { baselines.passed(port: index, $0, counters) })
        uplink.limited = Self.counts(
          HostFrameClass.allCases.map(\.name), HostFrameClass.allCases.map { baselines.limited(port: index, $0, counters) })
        if index == device.portIndex { uplink.missed = device.missed &+ (baselines.earlierUplinks[index]?.missed ?? 0) }
        saved.uplinks.append(uplink)
      }
    }
  }

  // -- MAC table ---------------------------------------------------------------------------------------------------------

  private func saveTable(_ saved: inout SavedState, _ positions: inout Positions) {
    positions.vteps = indexNames.vteps
    let now = saved.savedSeconds
    let (frozen, moving) = learner.write { table -> ([MACMove], [MACMoveRecord]) in
      (table.moves(nowSeconds: now).filter { $0.frozenSinceSeconds != nil }, table.moveRecords(nowSeconds: now))
    }
    let totals = macTableReport()
    (saved.inserts, saved.moves, saved.evictions) = (totals.inserts, totals.moves, totals.evictions)
    saved.addresses.reserveCapacity(totals.entries)
    var cursor = 0
    while cursor < learner.slotCount {
      for entry in learner.entries(from: &cursor, limit: 4096) where entry.type == .learned {
        guard let vni = positions.vnis[Int(entry.key.domain)], let place = place(entry.location, &positions, &saved) else { continue }
        saved.addresses.append(
          SavedState.Address(
            mac: entry.key.mac, vni: vni, place: place, lastSeenSeconds: entry.lastSeenSeconds, moves: entry.moves,
            since: entry.sinceSeconds))
      }
    }
    for move in frozen {
      guard let vni = positions.vnis[Int(move.key.domain)], let first = place(move.first, &positions, &saved),
        let second = place(move.second, &positions, &saved), let since = move.frozenSinceSeconds
      else { continue }
      saved.frozen.append(
        SavedState.Frozen(mac: move.key.mac, vni: vni, first: first, second: second, moves: move.moves, sinceSeconds: since))
    }
    for record in moving {
      guard let vni = positions.vnis[Int(record.key.domain)], let latest = place(record.place, &positions, &saved) else { continue }
      let moves = record.moves.map { move in
        place(move.from, &positions, &saved).map { SavedState.Moving.Move(seconds: move.seconds, from: $0) }
      }
      guard !moves.contains(where: { $0 == nil }) else { continue }
      saved.moving.append(SavedState.Moving(mac: record.key.mac, vni: vni, moves: moves.compactMap(\.self), place: latest))
    }
  }

  /// The position of a place; nil: what it was is gone.
  private func place(_ location: MACLocation, _ positions: inout Positions, _ saved: inout SavedState) -> UInt32? {
    if let known = location.isVTEP ? positions.vtepPlaces[Int(location.vtep)] : positions.portPlaces[location] { return known }
    let place: SavedState.Place?
    if location.isVTEP {
      place = positions.vteps[location.vtep].map { .vtep($0) }
    } else {
      place = positions.ports[location.port].map { .port($0, vlan: location.vlan) }
    }
    guard let place else { return nil }
    let position = UInt32(saved.places.count)
    saved.places.append(place)
    if location.isVTEP { positions.vtepPlaces[Int(location.vtep)] = position } else { positions.portPlaces[location] = position }
    return position
  }

  /// What the entries of a list have matched; without those that have matched nothing.
  private func counts(of acl: ACLTable.Record) -> [String: ACLCount] {
    let matched = acl.entries.map { ($0.identity, baselines.matched(aclEntry: $0.slot, counters)) }
    return Dictionary(matched.filter { $1.packets > 0 }.map { ($0, ACLCount(packets: $1.packets, bytes: $1.bytes)) }) { $1 }
  }

  /// By reason.
  private static func counts(drops: [UInt64]) -> SavedState.Counts { counts(DropReason.allCases.map(\.name), drops) }

  /// By name, without those that are 0.
  private static func counts(_ names: [String], _ values: [UInt64]) -> SavedState.Counts {
    Dictionary(zip(names, values).filter { $1 > 0 }) { $1 }
  }
}
