// MetricsCollector: makes a page of metrics from the data plane's reports. It reads what workers count and waits for none of them.

import Encap
import VTEP
import VTEPControl

/// Pages of metrics, one after the other.
actor MetricsCollector {
  private let daemon: Daemon
  private var ports = CounterSeries<String>(width: 4)
  private var vnis = CounterSeries<UInt32>(width: 8)
  private var routers = CounterSeries<String>(width: 4)
  private var acls = CounterSeries<String>(width: 2)
  private var aclEntries = ACLTotals()
  private var vteps = CounterSeries<IPAddress>(width: 4)
  /// Of all sessions, those that are gone included.
  private var bfdFlaps = CounterSeries<IPAddress>(width: 1)
  private var underlay = CounterSeries<String>(width: 5)
  private var ignored = CounterSeries<Pair>(width: 1)
  private var drops = CounterSeries<Pair>(width: 1)

  /// Two labels.
  private struct Pair: Hashable, Comparable, Sendable {
    var first: String
    var second: String

    static func < (left: Pair, right: Pair) -> Bool { (left.first, left.second) < (right.first, right.second) }
  }

  init(daemon: Daemon) {
    self.daemon = daemon
  }

  /// Of the daemon.
  var state: DaemonStatus.State { get async { await daemon.state } }

  /// - Returns: a complete page, in UTF-8.
  func page(_ format: MetricsFormat) async -> [UInt8] {
    let configuration = await daemon.configuration
    let current = try? await daemon.running().running
    let (remotes, replica) = await daemon.ovsdb.status()
    let groups = await (try? daemon.running())?.groupReports() ?? []
    var page = MetricsPage(format)
    page.begin(.build)
    page.add(.build, [Version.text, configuration.name], 1 as UInt64)
    page.begin(.ready)
    page.add(.ready, [], (current == nil ? 0 : 1) as UInt64)
    if let current {
      page.begin(.problems)
      page.add(.problems, [], UInt64(current.problems().count))
      addPorts(current, &page)
      addVNIs(current, limit: configuration.metrics.vnis, &page)
      addRouters(current, limit: configuration.metrics.vnis, &page)
      addACLs(current, limit: configuration.metrics.vnis, &page)
      addVTEPs(current, limit: configuration.metrics.vteps, &page)
      addDrops(current, &page)
      addMACTable(current, &page)
      addWorkers(current, &page)
      addUnderlay(current, &page)
      Self.addStates(.groups, groups.map { $0.isJoined ? "joined" : "failed" }, ["joined", "failed"], &page)
    }
    Self.addController(remotes.map { ("\($0.remote)", $0.state == .active || $0.state == .idle) }, &page)
    if let replica {
      page.begin(.ovsdbRows)
      for table in ["Logical_Switch", "Ucast_Macs_Local", "Ucast_Macs_Remote"] {
        page.add(.ovsdbRows, [table], UInt64(replica.rows(table).count))
      }
    }
    if let current { Self.addBuffers(current, &page) }
    Self.addProcess(&page)
    page.end()
    return page.bytes
  }

  // -- by object --------------------------------------------------------------------------------------------------------

  private func addPorts(_ current: RunningState, _ page: inout MetricsPage) {
    let reports = current.portReports()
    ports.update(reports.map { ($0.settings.name, $0.traffic.counters) })
    Self.addGauge(.portUp, reports.map { ([$0.settings.name], $0.status.state == .up ? 1 : 0) }, &page)
    Self.addGauge(.portShut, reports.map { ([$0.settings.name], $0.shutReason == nil ? 0 : 1) }, &page)
    Self.addGauge(.portAddresses, reports.map { ([$0.settings.name], UInt64($0.learnedMACs)) }, &page)
    Self.addCounters(
      [.portReceivePackets, .portTransmitPackets, .portReceiveBytes, .portTransmitBytes],
      ports.busiest.map { ([$0], ports.own($0)) }, &page)
  }

  private func addVNIs(_ current: RunningState, limit: Int, _ page: inout MetricsPage) {
    let reports = current.vniReports(0..<Int.max).reports
    page.begin(.vnis)
    page.add(.vnis, [], UInt64(reports.count))
    let counts = reports.map {
      ($0.settings.vni.rawValue, $0.traffic.counters + [$0.flooded, $0.neighborAnswers, $0.neighborPasses, $0.learnRefusals])
    }
    vnis.update(counts, limit: limit)
    Self.addCounters(
      [
        .vniReceivePackets, .vniTransmitPackets, .vniReceiveBytes, .vniTransmitBytes, .vniFlooded, .vniNeighborAnswers, .vniNeighborPasses,
        .vniLearnRefusals,
      ],
      vnis.series(hasOthers: reports.count > limit), &page)
    let addresses = Dictionary(uniqueKeysWithValues: reports.map { ($0.settings.vni.rawValue, UInt64($0.macs)) })
    let own = vnis.busiest.map { (["\($0)"], addresses[$0] ?? 0) }
    let rest = addresses.values.reduce(0, +) - own.map(\.1).reduce(0, +)
    Self.addGauge(.vniAddresses, own + (reports.count > limit ? [(["other"], rest)] : []), &page)
    let neighbors = current.neighborTotals()
    Self.addGauge(.neighbors, [([], UInt64(neighbors.known))], &page)
    Self.addGauge(.neighborsContested, [([], UInt64(neighbors.contested))], &page)
  }

  private func addRouters(_ current: RunningState, limit: Int, _ page: inout MetricsPage) {
    let traffic = Dictionary(current.routerReports().map { ($0.router, $0.traffic) }, uniquingKeysWith: +)
    routers.update(traffic.map { ($0.key, $0.value.counters) }, limit: limit)
    Self.addCounters(
      [.routerReceivePackets, .routerTransmitPackets, .routerReceiveBytes, .routerTransmitBytes],
      routers.series(hasOthers: traffic.count > limit), &page)
    Self.addGauge(.routerUnresolved, [([], current.awaitedNextHops())], &page)
  }

  private func addACLs(_ current: RunningState, limit: Int, _ page: inout MetricsPage) {
    let reports = current.aclReports()
    acls.update(aclEntries.update(reports), limit: limit)
    Self.addCounters([.aclPermits, .aclDenies], acls.series(hasOthers: reports.count > limit), &page)
  }

  private func addVTEPs(_ current: RunningState, limit: Int, _ page: inout MetricsPage) {
    let reports = current.vtepReports().reports
    let reachability = reports.map { $0.obstacle == nil ? ReachabilityState($0.nextHops) : .unreachable }
    Self.addStates(.vteps, reachability.map(\.rawValue), ReachabilityState.allCases.map(\.rawValue), &page)
    vteps.update(reports.map { ($0.address, $0.traffic.counters) }, limit: limit)
    let reachable = Dictionary(uniqueKeysWithValues: zip(reports.map(\.address), reachability.map { $0 == .resolved }))
    let sessions = reports.compactMap(\.bfd)
    Self.addStates(.bfdSessions, sessions.map(\.state.name), BFDState.allCases.map(\.name), &page)
    let states = Dictionary(uniqueKeysWithValues: sessions.map { ($0.address, $0.state) })
    Self.addGauge(.bfdUp, vteps.busiest.compactMap { vtep in states[vtep].map { (["\(vtep)"], $0 == .up ? 1 : 0) } }, &page)
    bfdFlaps.update(sessions.map { ($0.address, [$0.counts.flaps]) }, limit: 0)
    Self.addCounters([.bfdFlaps], [([], bfdFlaps.others)], &page)
    Self.addGauge(.vtepReachable, vteps.busiest.map { (["\($0)"], reachable[$0] == true ? 1 : 0) }, &page)
    Self.addCounters(
      [.vtepReceivePackets, .vtepTransmitPackets, .vtepReceiveBytes, .vtepTransmitBytes],
      vteps.series(hasOthers: reports.count > limit), &page)
    let nextHops = Set(
      reports.flatMap(\.nextHops).map { Pair(first: "\($0.address)%\($0.device)", second: ReachabilityState([$0]).rawValue) })
    Self.addStates(.nextHops, nextHops.map(\.second), ReachabilityState.allCases.map(\.rawValue), &page)
  }

  private func addUnderlay(_ current: RunningState, _ page: inout MetricsPage) {
    let devices = current.underlayReport().devices
    Self.addGauge(.underlayUp, devices.map { ([$0.name], $0.isUp ? 1 : 0) }, &page)
    underlay.update(devices.map { ($0.name, $0.traffic.counters + [$0.missed]) })
    Self.addCounters(
      [.underlayReceivePackets, .underlayTransmitPackets, .underlayReceiveBytes, .underlayTransmitBytes, .underlayMissed],
      underlay.busiest.map { ([$0], underlay.own($0)) }, &page)
    ignored.update(devices.flatMap { device in device.ignored.map { (Pair(first: device.name, second: $0.cause.name), [$0.count]) } })
    Self.addCounters([.underlayIgnored], ignored.busiest.map { ([$0.first, $0.second], ignored.own($0)) }, &page)
  }

  private func addDrops(_ current: RunningState, _ page: inout MetricsPage) {
    drops.update(current.dropReports(all: false).map { (Pair(first: $0.reason.name, second: $0.place), [$0.count]) })
    Self.addCounters([.drops], drops.busiest.map { ([$0.first, $0.second], drops.own($0)) }, &page)
    Self.addCounters([.dropsByReason], zip(DropReason.allCases, current.dropTotals()).map { ([$0.name], [$1]) }, &page)
  }

  private func addMACTable(_ current: RunningState, _ page: inout MetricsPage) {
    let report = current.macTableReport()
    Self.addGauge(.macEntries, [([], UInt64(report.entries))], &page)
    Self.addGauge(.macLimit, [([], UInt64(report.capacity))], &page)
    Self.addGauge(.macFrozen, [([], UInt64(report.frozen))], &page)
    Self.addCounters([.macInserts, .macMoves, .macEvictions], [([], [report.inserts, report.moves, report.evictions])], &page)
  }

  private func addWorkers(_ current: RunningState, _ page: inout MetricsPage) {
    let workers = current.workerReports()
    Self.addCounters(
      [.workerPackets, .workerBursts, .workerCycles, .learnEventsLost],
      workers.map { ([$0.label], [$0.total.packets, $0.total.bursts, $0.total.busyCycles, $0.learnEventsLost]) }, &page)
    Self.addGauge(.workerStuck, workers.map { ([$0.label], $0.isStuck ? 1 : 0) }, &page)
    page.begin(.workerBusy)
    for worker in workers { page.add(.workerBusy, [worker.label], worker.total.busySeconds) }
  }

  // -- of the whole daemon ------------------------------------------------------------------------------------------------

  private static func addController(_ remotes: [(name: String, isConnected: Bool)], _ page: inout MetricsPage) {
    addGauge(.ovsdbConnected, remotes.map { ([$0.name], $0.isConnected ? 1 : 0) }, &page)
  }

  private static func addBuffers(_ current: RunningState, _ page: inout MetricsPage) {
    let buffers = current.bufferReports()
    addGauge(.bufferLimit, buffers.map { ([$0.pool], UInt64($0.count)) }, &page)
    addGauge(.buffersFree, buffers.map { ([$0.pool], UInt64($0.free)) }, &page)
  }

  private static func addProcess(_ page: inout MetricsPage) {
    let figures = ProcessFigures()
    page.begin(.processCPU)
    page.add(.processCPU, [], figures.cpuSeconds)
    page.begin(.processStart)
    page.add(.processStart, [], figures.startSeconds)
    addGauge(.processResident, [([], figures.residentByteCount)], &page)
    addGauge(.processVirtual, [([], figures.virtualByteCount)], &page)
    addGauge(.processDescriptors, [([], figures.descriptorCount)], &page)
    addGauge(.processDescriptorLimit, [([], figures.descriptorLimit)], &page)
  }

  // -- families -----------------------------------------------------------------------------------------------------------

  private static func addGauge(_ family: MetricFamily, _ samples: [(labels: [String], value: UInt64)], _ page: inout MetricsPage) {
    guard !samples.isEmpty else { return }
    page.begin(family)
    for sample in samples { page.add(family, sample.labels, sample.value) }
  }

  /// One family after the other, each with one of the samples' values.
  private static func addCounters(
    _ families: [MetricFamily], _ samples: [(labels: [String], values: [UInt64])], _ page: inout MetricsPage
  ) {
    guard !samples.isEmpty else { return }
    for (position, family) in families.enumerated() {
      page.begin(family)
      for sample in samples { page.add(family, sample.labels, sample.values[position]) }
    }
  }

  /// How many are in each state.
  private static func addStates(_ family: MetricFamily, _ states: [String], _ all: [String], _ page: inout MetricsPage) {
    page.begin(family)
    for state in all { page.add(family, [state], UInt64(states.count { $0 == state })) }
  }
}

extension WorkerReport {
  /// Its number; that of an io-core stands behind `io`.
  fileprivate var label: String { isIOCore ? "io\(worker)" : "\(worker)" }
}

extension TrafficReport {
  /// Packets first.
  fileprivate var counters: [UInt64] { [rxPackets, txPackets, rxBytes, txBytes] }
}
