// RunningState+Reports: what `vtepctl show` and metrics say. Nothing here changes anything, waits for the reconciler, or walks the MAC
// table but for those who ask for its entries.

import CDPDK
import Encap
import MACTable
import MulticastLearn
import Netlink

extension RunningState {
  public func macCount() -> Int { learner.write { $0.count } }

  /// Ports that ought to be attached and cannot be.
  public func unattachedPorts() -> [String] { ports.values.filter(\.isUnattached).map(\.settings.name).sorted() }

  public func portReports() -> [PortReport] {
    return ports.values.sorted { $0.settings.name < $1.settings.name }.map { record in
      let drops = baselines.drops(port: record.index, counters)
      return PortReport(
        settings: record.settings, number: Int(record.index.rawValue),
        status: record.status, mac: record.mac, mtu: record.status.mtu ?? record.settings.mtu,
        traffic: baselines.traffic(port: record.index, counters),
        drops: drops.reduce(0, &+),
        policyDrops: DropReason.ofPortPolicy.map { ($0, drops[Int($0.rawValue)]) },
        learnedMACs: Int(learner.reader.learnedCount(port: record.index)),
        shutReason: record.fault.flatMap { $0.isDown(at: ticks) ? $0.reason : nil },
        shutSeconds: record.fault.flatMap { $0.isDown(at: ticks) ? $0.secondsLeft(at: ticks) : nil },
        notes: [record.status.remark, puntFaults[record.settings.name], refusalNote(port: record.index)].compactMap(\.self))
    }
  }

  /// When and why the kernel last refused a frame on its way out, in the last ten minutes.
  private func refusalNote(port: PortIndex) -> String? {
    guard let last = counters.compactMap({ $0.refusal(port: port) }).max(by: { $0.second < $1.second }) else { return nil }
    let age = MonotonicClock.seconds() &- last.second
    guard age < 600 else { return nil }
    let name = cdpdk_error_name(last.errorNumber).map { String(cString: $0) } ?? "error \(last.errorNumber)"
    return "the kernel last refused a frame \(age) s ago: \(name), \(VTEPError.errnoText(last.errorNumber)) (show drops)"
  }

  /// By port and VLAN.
  ///
  /// - Parameters:
  ///   - port: only its bindings; nil: all.
  ///   - vni: only bindings to it; nil: all.
  public func bindingReports(port: String? = nil, vni: VNI? = nil) -> [BindingReport] {
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

  /// A part of the list of VNIs, in ascending order.
  ///
  /// - Parameter range: positions in it; what is beyond the end is left out.
  /// - Returns: the reports, and how many VNIs there are in all.
  public func vniReports(_ range: Range<Int>) -> (reports: [VNIReport], total: Int) {
    let records = domains.sorted { $0.key < $1.key }
    let part = records[range.clamped(to: 0..<records.count)]
    let macs = learner.write { table in
      part.map { (count: table.count(domain: $0.value.index), refused: table.refusedByLimit(domain: $0.value.index)) }
    }
    let names = portNames
    let reports = zip(part, macs).compactMap { record, macs -> VNIReport? in
      guard let settings = configuration.vnis[record.key] else { return nil }
      let bound = Set(model.domains[Int(record.value.index)].locals.map(\.port))
      let neighbors = baselines.neighbors(domain: record.value.index, counters)
      return VNIReport(
        settings: settings, ports: bound.compactMap { names[$0] }.sorted(), macs: macs.count,
        traffic: baselines.traffic(domain: record.value.index, counters),
        flooded: baselines.flooded(domain: record.value.index, counters),
        neighborAnswers: neighbors.answers, neighborPasses: neighbors.passes,
        stormDrops: zip(FloodClass.allCases, baselines.stormDrops(domain: record.value.index, counters)).map { ($0.vniReason, $1) },
        learnRefusals: macs.refused,
        preparedSeconds: preparations[record.key]?.secondsLeft)
    }
    return (reports, records.count)
  }

  /// A part of the list of VTEPs, and of groups, in ascending order of their addresses.
  ///
  /// - Parameters:
  ///   - groups: the groups, and not the VTEPs.
  ///   - range: positions in the list; what is beyond the end is left out.
  /// - Returns: the reports, and how many there are in all.
  public func vtepReports(groups: Bool = false, _ range: Range<Int> = 0..<Int.max) -> (reports: [VTEPReport], total: Int) {
    let records = underlay.vteps.values.filter { $0.isGroup == groups }.sorted { $0.address < $1.address }
    let part = records[range.clamped(to: 0..<records.count)]
    var ownKeys: [IPAddress: [VTEPIndex]] = [:]
    for (destination, index) in tunnels { ownKeys[destination.address, default: []].append(index) }
    let indexes = part.map { [$0.index] + (ownKeys[$0.address] ?? []) }
    let behind = learner.write { table in
      indexes.map { indexes in
        (macs: indexes.reduce(0) { $0 + table.count(vtep: $1) }, domains: indexes.flatMap { table.domains(vtep: $0) })
      }
    }
    let (named, vnis) = (vnisByVTEP(Set(part.map(\.address))), vnisByIndex)
    let sessions = Dictionary(uniqueKeysWithValues: bfd.reports().map { ($0.address, $0) })
    let reports = zip(part, zip(indexes, behind)).map { record, found -> VTEPReport in
      let (indexes, behind) = found
      let adjacencies = model.vteps[Int(record.index)].adjacencies
      return VTEPReport(
        address: record.address, isGroup: record.isGroup,
        vnis: Set(behind.domains.compactMap { vnis[$0] }).union(named[record.address] ?? []).sorted(), macs: behind.macs,
        nextHops: nextHops(record), obstacle: underlay.obstacleText(record, configuration.underlay),
        mtu: adjacencies.map { Int($0.maxInnerByteCount) + $0.header.byteCount - 14 }.min(), pathMTU: pathMTUReason(record),
        traffic: indexes.reduce(TrafficReport()) { $0 + baselines.traffic(vtep: $1, counters) },
        bfd: sessions[record.address], bfdIgnored: baselines.drops(vtep: record.index, counters)[Int(DropReason.bfdOff.rawValue)])
    }
    return (reports, records.count)
  }

  /// All BFD sessions, in ascending order of addresses.
  public func bfdReports() -> [BFDReport] { bfd.reports() }

  private func pathMTUReason(_ record: VTEPRecord) -> PathMTUReason? {
    guard let device = underlay.usableHops(record).compactMap({ $0.device.link?.mtu }).min() else { return nil }
    let route = min(record.route?.mtu ?? device, device)
    if let path = underlay.pathMTUs[record.address], path.mtu < route {
      return .icmp(reporter: path.reporter, secondsLeft: Int(path.endSeconds) - Int(MonotonicClock.seconds()))
    }
    return route < device ? .route : nil
  }

  /// The VNIs whose settings name some of these VTEPs and groups.
  private func vnisByVTEP(_ addresses: Set<IPAddress>) -> [IPAddress: Set<VNI>] {
    var named: [IPAddress: Set<VNI>] = [:]
    for (vni, settings) in configuration.vnis {
      for address in settings.flood.destinations where addresses.contains(address) { named[address, default: []].insert(vni) }
      for address in settings.macs.values where addresses.contains(address) { named[address, default: []].insert(vni) }
    }
    return named
  }

  func nextHops(_ record: VTEPRecord) -> [NextHopReport] {
    underlay.usableHops(record).map { hop in
      NextHopReport(
        address: hop.neighbor.address, device: hop.device.name,
        mac: record.isGroup ? record.address.multicastMAC : underlay.neighbors[hop.neighbor],
        isFailed: underlay.failedNeighbors.contains(hop.neighbor))
    }
  }

  public func macTableReport() -> MACTableReport {
    learner.write {
      MACTableReport(
        entries: $0.count, capacity: $0.capacity, frozen: $0.frozenCount, inserts: $0.inserts, moves: $0.moves, evictions: $0.evictions)
    }
  }

  public func bufferReports() -> [BufferReport] { runtime.bufferReports }

  public func underlayReport() -> UnderlayReport {
    return UnderlayReport(
      settings: configuration.underlay, missingAddresses: underlay.missingAddresses,
      devices: underlay.devices.map { device in
        UnderlayReport.Device(
          name: device.name, mtu: device.link?.mtu, isUp: device.isUp, traffic: baselines.traffic(port: device.portIndex, counters),
          ignored: IgnoredCause.allCases.map { ($0, baselines.ignored(port: device.portIndex, $0, counters)) },
          missed: device.missed &+ (baselines.earlierUplinks[device.portIndex]?.missed ?? 0), driver: device.driverName,
          devargs: device.devargs,
          features: device.features(configuration.underlay), offloads: device.offloadTexts,
          notes: device.indexes.compactMap(refusalNote) + [device.driverText, device.filterNote].compactMap(\.self),
          classes: device.tapIndex.map { hostClassReports(nic: device.portIndex, tap: $0) })
      })
  }

  public func placementReport() -> PlacementReport {
    let queues = model.receiveQueues.map { queues in
      queues.compactMap { queue in
        placedQueues[queue.serial].map {
          PlacementReport.Queue(device: portName(queue.port), queue: queue.queue, kind: queue.kind.name, place: $0)
        }
      }
    }
    let ioQueues = model.ioQueues.map { queues in
      queues.map { PlacementReport.Queue(device: portName($0.port), queue: $0.number, kind: FrameDeviceKind.ethdev.name, place: $0.place) }
    }
    return PlacementReport(placement: placement, queues: queues, ioQueues: ioQueues)
  }

  private func hostClassReports(nic: PortIndex, tap: PortIndex) -> [HostClassReport] {
    HostFrameClass.allCases.map { kind in
      HostClassReport(
        kind: kind, limit: kind.limit, toHost: baselines.passed(port: nic, kind, counters),
        fromHost: baselines.passed(port: tap, kind, counters),
        dropped: baselines.limited(port: nic, kind, counters) &+ baselines.limited(port: tap, kind, counters))
    }
  }

  /// Those of io-cores last.
  public func workerReports() -> [WorkerReport] {
    let workers = contexts.map { context in
      let index = context.pointee.index
      let counters = context.pointee.counters.activity
      return WorkerReport(
        worker: index, core: dataplane.cores.isEmpty ? nil : dataplane.cores[index],
        queues: model.receiveQueues[index].map { "\(portName($0.port))/\($0.queue)" },
        total: WorkerActivity(counters), recent: recent(counters, index), learnEventsLost: counters.pointee.learnEventsLost.value,
        isStuck: watchdog.isStuck(index))
    }
    return workers
      + ioContexts.map { context in
        let index = context.pointee.index
        let counters = context.pointee.counters.activity
        return WorkerReport(
          worker: index, isIOCore: true, core: dataplane.ioCores[index],
          queues: model.ioQueues[index].map { "\(portName($0.port))/\($0.number)" },
          total: WorkerActivity(counters), recent: recent(counters, contexts.count + index), learnEventsLost: 0,
          isStuck: watchdog.isStuck(contexts.count + index))
      }
  }

  /// What a thread has done lately, by its place in `activity`.
  private func recent(_ counters: UnsafeMutablePointer<ActivityCounters>, _ place: Int) -> WorkerActivity {
    activity.isEmpty ? WorkerActivity(counters) : activity[place].latest - activity[place].before
  }

  func portName(_ index: PortIndex) -> String {
    ports.values.first { $0.index == index }?.settings.name
      ?? underlay.devices.lazy.flatMap(\.places).first { $0.0 == index }?.1 ?? "#\(index)"
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
