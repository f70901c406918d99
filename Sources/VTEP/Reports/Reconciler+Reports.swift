// Reconciler+Reports: reads the running state. Nothing here changes anything or makes a worker wait.

import CDPDK
import Encap
import MACTable
import MulticastLearn
import Netlink

extension Reconciler {
  public nonisolated var uptimeSeconds: UInt32 { MonotonicClock.seconds() &- startSeconds }

  public nonisolated func macCount() -> Int {
    learner.write { $0.count }
  }

  public func portReports() -> [PortReport] {
    let counters = counters
    return ports.values.sorted { $0.settings.name < $1.settings.name }.map { record in
      let drops = baselines.drops(port: record.index, counters)
      return PortReport(
        settings: record.settings,
        status: record.status, mac: record.device?.mac, mtu: record.status.mtu ?? record.settings.mtu,
        traffic: baselines.traffic(port: record.index, counters),
        drops: drops.reduce(0, &+),
        policyDrops: DropReason.ofPortPolicy.map { ($0, drops[Int($0.rawValue)]) },
        learnedMACs: Int(learner.reader.learnedCount(port: record.index)),
        shutReason: record.fault.flatMap { $0.isDown(at: ticks) ? $0.reason : nil },
        shutSeconds: record.fault.flatMap { $0.isDown(at: ticks) ? $0.secondsLeft(at: ticks) : nil },
        notes: [record.status.remark, puntFaults[record.settings.name]].compactMap(\.self))
    }
  }

  /// By port and VLAN.
  ///
  /// - Parameters:
  ///   - port: only its bindings; nil: all.
  ///   - vni: only bindings to it; nil: all.
  public func bindingReports(port: String? = nil, vni: VNI? = nil) -> [BindingReport] {
    let counters = counters
    return ports.values.filter { port == nil || $0.settings.name == port }.sorted { $0.settings.name < $1.settings.name }.flatMap {
      record in
      record.bound.sorted { $0.key < $1.key }.compactMap { vlan, domain in
        let bound = model.domains[Int(domain)].entry.vni
        guard vni == nil || vni == bound else { return nil }
        return BindingReport(
          port: record.settings.name, vlan: vlan, vni: bound, isController: record.settings.controlledVLANs.contains(vlan),
          traffic: baselines.traffic(port: record.index, vlan: vlan, counters))
      }
    }
  }

  public func vniReports() -> [VNIReport] {
    let counters = counters
    let records = domains.sorted { $0.key < $1.key }
    let macs = learner.write { table in
      records.map { (count: table.count(domain: $0.value.index), refused: table.refusedByLimit(domain: $0.value.index)) }
    }
    let names = portNames
    return zip(records, macs).compactMap { record, macs in
      guard let settings = desired.vnis[record.key] else { return nil }
      let bound = Set(model.domains[Int(record.value.index)].locals.map(\.port))
      return VNIReport(
        settings: settings, ports: bound.compactMap { names[$0] }.sorted(), macs: macs.count,
        traffic: baselines.traffic(domain: record.value.index, counters),
        flooded: baselines.flooded(domain: record.value.index, counters),
        stormDrops: zip(FloodClass.allCases, baselines.stormDrops(domain: record.value.index, counters)).map { ($0.vniReason, $1) },
        learnRefusals: macs.refused,
        preparedSeconds: preparedSeconds(record.key))
    }
  }

  public func vtepReports() -> [VTEPReport] {
    let counters = counters
    let records = underlay.vteps.values.sorted { $0.address < $1.address }
    let indexes = records.map { record in
      [record.index] + controller.tunnels.filter { $0.key.address == record.address }.map(\.value)
    }
    let counts = learner.write { table in indexes.map { $0.reduce(0) { $0 + table.count(vtep: $1) } } }
    let learned = domainsByVTEP()
    return zip(records, zip(indexes, counts)).map { record, found in
      let (indexes, macs) = found
      let vnis = desired.vnis.values.filter { settings in
        settings.flood.destinations.contains(record.address) || settings.macs.values.contains(record.address)
          || domains[settings.vni].map { domain in indexes.contains { learned[$0]?.contains(domain.index) == true } } == true
      }
      let adjacencies = model.vteps[Int(record.index)].adjacencies
      return VTEPReport(
        address: record.address, isGroup: record.isGroup, vnis: vnis.map(\.vni).sorted(), macs: macs,
        nextHops: nextHops(record), obstacle: obstacleText(record),
        mtu: adjacencies.map { Int($0.maxInnerByteCount) + $0.header.byteCount - 14 }.min(),
        traffic: indexes.reduce(TrafficReport()) { $0 + baselines.traffic(vtep: $1, counters) })
    }
  }

  /// The domains that have addresses behind each VTEP.
  private func domainsByVTEP() -> [UInt16: Set<UInt16>] {
    var found: [UInt16: Set<UInt16>] = [:]
    var cursor = 0
    while cursor < learner.slotCount {
      for entry in learner.entries(from: &cursor, limit: 4096) where entry.location.isVTEP {
        found[entry.location.index, default: []].insert(entry.key.domain)
      }
    }
    return found
  }

  private func nextHops(_ record: VTEPRecord) -> [NextHopReport] {
    underlay.usableHops(record).map { hop in
      NextHopReport(
        address: hop.neighbor.address, device: hop.device.name,
        mac: record.isGroup ? record.address.multicastMAC : underlay.neighbors[hop.neighbor],
        isFailed: underlay.failedNeighbors.contains(hop.neighbor))
    }
  }

  /// - Parameter all: also reasons that have not occurred.
  public func dropReports(all: Bool) -> [DropReport] {
    let counters = counters
    let places =
      ports.values.map { ($0.index, $0.settings.name) } + underlay.devices.map { ($0.portIndex, $0.name) }
    return places.sorted { $0.1 < $1.1 }.flatMap { index, name in
      zip(DropReason.allCases, baselines.drops(port: index, counters)).compactMap { reason, count in
        count > 0 || all ? DropReport(reason: reason, place: name, count: count) : nil
      }
    }
  }

  /// As the kernel has it now.
  public func groupReports() -> [GroupReport] {
    verifyMemberships()
    let present = memberships.memberships.map { membership in
      let name = underlay.device(interfaceIndex: membership.interfaceIndex)?.name
      return GroupReport(
        group: membership.group, vnis: membership.vnis, interface: name ?? "#\(membership.interfaceIndex)",
        isJoined: membership.isJoined, error: membership.error.map { "\($0)" })
    }
    let absent = underlay.devices.filter { $0.link == nil }.flatMap { device in
      memberships.groups.map { group, vnis in
        GroupReport(group: group, vnis: vnis.sorted(), interface: device.name, isJoined: false, error: "no such interface")
      }
    }
    return (present + absent).sorted { ($0.group, $0.interface) < ($1.group, $1.interface) }
  }

  public func underlayReport() -> UnderlayReport {
    let counters = counters
    return UnderlayReport(
      settings: desired.underlay, missingAddresses: underlay.missingAddresses,
      devices: underlay.devices.map { device in
        UnderlayReport.Device(
          name: device.name, mtu: device.link?.mtu, isUp: device.isUp, traffic: baselines.traffic(port: device.portIndex, counters),
          ignored: IgnoredCause.allCases.map { cause in
            (cause, counters.reduce(0) { $0 &+ $1.ignored(port: device.portIndex, cause).pointee.value })
          },
          missed: device.missed)
      })
  }

  public func workerReports() -> [WorkerReport] {
    contexts.map { context in
      let index = context.pointee.index
      let counters = context.pointee.counters.activity
      let recent = activity.isEmpty ? WorkerActivity(counters) : activity[index].latest - activity[index].before
      return WorkerReport(
        worker: index, core: dataplane.cores.isEmpty ? nil : dataplane.cores[index],
        queues: model.receiveQueues[index].map { "\(portName($0.port))/\($0.queue)" },
        packets: counters.pointee.packets.value, recent: recent, learnEventsLost: counters.pointee.learnEventsLost.value)
    }
  }

  /// Takes note of what the workers have done, for figures over the time since the look before.
  func sampleActivity() {
    let now = contexts.map { WorkerActivity($0.pointee.counters.activity) }
    activity = now.indices.map { (before: activity.isEmpty ? now[$0] : activity[$0].latest, latest: now[$0]) }
  }

  private func portName(_ index: UInt16) -> String {
    port(at: index)?.settings.name
      ?? underlay.devices.first { $0.portIndex == index }?.name ?? "#\(index)"
  }

  // -- MAC table ---------------------------------------------------------------------------------------------------------

  /// What entries must match; nil: anything.
  public struct MACFilter: Sendable {
    public var vni: VNI?
    public var port: String?
    public var vtep: IPAddress?
    public var mac: MACAddress?
    public var type: MACEntryType?

    public init(
      vni: VNI? = nil, port: String? = nil, vtep: IPAddress? = nil, mac: MACAddress? = nil, type: MACEntryType? = nil
    ) {
      self.vni = vni
      self.port = port
      self.vtep = vtep
      self.mac = mac
      self.type = type
    }
  }

  /// One page of the MAC table. Reads without a lock: forwarding and learning go on.
  ///
  /// - Parameters:
  ///   - start: 0 at first, then `next` of the page before.
  ///   - limit: entries at most.
  /// - Returns: entries, possibly none, and where to go on; nil after the last page.
  public func macReports(_ filter: MACFilter, from start: Int, limit: Int) -> (reports: [MACReport], next: Int?) {
    var position = start
    let names = indexNames
    let now = MonotonicClock.seconds()
    let end = learner.slotCount
    var reports: [MACReport] = []
    // A filter may reject page after page: this call's work is bounded all the same.
    var scans = 0
    while reports.isEmpty, position < end, scans < 16 {
      scans += 1
      for entry in learner.entries(from: &position, limit: limit) {
        guard let vni = names.vnis[entry.key.domain], let place = place(at: entry.location, names) else { continue }
        let report = MACReport(
          vni: vni, mac: entry.key.mac, type: entry.type, place: place,
          ageSeconds: entry.type == .learned ? now &- min(entry.lastSeenSeconds, now) : nil, moves: entry.moves)
        if Self.matches(report, filter) { reports.append(report) }
      }
    }
    return (reports, position < end ? position : nil)
  }

  /// Forgets one learned address.
  ///
  /// - Returns: whether it was there.
  public func forget(_ mac: MACAddress, vni: VNI) -> Bool {
    guard let domain = domains[vni] else { return false }
    return learner.write { $0.flush(MACKey(domain: domain.index, mac: mac)) }
  }

  /// Whether the kernel has an interface of this name, in our network namespace.
  public func interfaceExists(_ name: String) -> Bool {
    ((try? underlay.netlink.link(named: name)) ?? nil) != nil
  }

  private static func matches(_ report: MACReport, _ filter: MACFilter) -> Bool {
    if let vni = filter.vni, vni != report.vni { return false }
    if let mac = filter.mac, mac != report.mac { return false }
    if let type = filter.type, type != report.type { return false }
    switch report.place {
    case .port(let name, _): return filter.vtep == nil && (filter.port ?? name) == name
    case .vtep(let address): return filter.port == nil && (filter.vtep ?? address) == address
    case .vteps(let addresses): return filter.port == nil && filter.vtep.map(addresses.contains) != false
    }
  }
}
