// Reconciler+Start: what the reconciler is made of: DPDK, shared state, MAC table, rings, and a context for each worker.

import CDPDK
import Encap
import Logging
import MACTable
import Netlink

/// Queues between workers and the other threads.
struct MessageQueues {
  var learn: [LearnRing] = []
  var punts: [SlowPathRing] = []
  let injections: SlowPathRing
  var bfdArrivals: [SlowPathRing] = []
  let bfdDepartures: SlowPathRing

  init(workers: Int) throws(VTEPError) {
    for worker in 0..<workers {
      learn.append(try LearnRing(worker: worker))
      punts.append(try SlowPathRing(name: "punt-\(worker)"))
      bfdArrivals.append(try SlowPathRing(name: "bfd-\(worker)"))
    }
    injections = try SlowPathRing(name: "inject")
    bfdDepartures = try SlowPathRing(name: "bfd-out")
  }
}

extension Reconciler {
  static func startDPDK(
    _ dataplane: DataplaneSettings, _ desired: DesiredState, _ netlink: NetlinkSocket, _ log: Logger
  ) throws(VTEPError) -> DPDKRuntime {
    var mtus = try portMTUs(desired, netlink)
    for uplink in desired.underlay.uplinks {
      let link = try VTEPError.wrap(uplink.subject) { () throws(NetlinkError) in try netlink.link(named: uplink.device) }
      // A tap that is not there yet will have the NIC's MTU, and longer frames come in several buffers.
      guard link != nil || uplink.nic != nil else {
        throw VTEPError(.environment, uplink.subject, "no such interface", remedy: "create it or name another")
      }
      if let link { mtus.append(link.mtu) }
    }
    let runtime = try DPDKRuntime(
      settings: dataplane, maxFrameByteCount: EthernetDevice.bufferByteCount(mtu: mtus.max() ?? 1500), nics: nics(desired),
      owned: desired.underlay.uplinks.compactMap { $0.nic == nil ? nil : nic($0.nicName) }, log: { log.notice("\($0)") })
    for warning in runtime.placement.warnings { log.warning("placement: \(warning)") }
    return runtime
  }

  /// Those that the configuration names, of the underlay first.
  private static func nics(_ desired: DesiredState) -> [Machine.NIC] {
    let ports = desired.ports.values.sorted { $0.name < $1.name }
    let names = desired.underlay.uplinks.map(\.nicName) + ports.compactMap(\.nicName)
    return names.map(nic)
  }

  private static func nic(_ name: String) -> Machine.NIC { Machine.NIC(name: name, socket: Machine.socket(ofDevice: name)) }

  /// MTUs that ports have by their settings, or by interfaces that exist by now.
  private static func portMTUs(_ desired: DesiredState, _ netlink: NetlinkSocket) throws(VTEPError) -> [Int] {
    // Taps have chains of buffers for whatever their MTU is.
    var mtus = desired.ports.values.compactMap { $0.kind == .tap ? nil : $0.mtu }
    for port in desired.ports.values where port.kind == .netdev {
      guard let name = port.attachment.device else { continue }
      let link = try VTEPError.wrap("port \(port.name)", { () throws(NetlinkError) in try netlink.link(named: name) })
      if let link { mtus.append(link.mtu) }
    }
    return mtus
  }

  /// - Parameter readers: threads that use snapshots.
  static func makeSharedState(readers: Int) throws(VTEPError) -> UnsafeMutablePointer<SharedState> {
    guard let rcu = cdpdk_rcu_create(UInt32(readers)) else {
      throw VTEPError(.environment, "RCU state", VTEPError.errnoText(cdpdk_errno()))
    }
    MemifInterrupts.begin(rcu)
    let shared = UnsafeMutablePointer<SharedState>.allocate(capacity: 1)
    shared.initialize(to: SharedState(learnerEvent: cdpdk_event_create(), rcu: rcu))
    return shared
  }

  /// The memory that takes time, which needs nothing of DPDK: the MAC table, and the counters of each worker.
  static func makeMemory(_ dataplane: DataplaneSettings) -> Result<(table: MACTable, counters: [WorkerCounters]), VTEPError> {
    Result { () throws(VTEPError) in
      let table = try makeTable(dataplane)
      return (table, try (0..<dataplane.workers).map { _ throws(VTEPError) in try WorkerCounters() })
    }
  }

  private static func makeTable(_ dataplane: DataplaneSettings) throws(VTEPError) -> MACTable {
    do {
      return try MACTable(
        capacity: dataplane.macTableSize, portCount: Limits.ports, vtepCount: Limits.vteps, domainCount: Limits.domains)
    } catch {
      throw VTEPError(
        .environment, "MAC table of \(dataplane.macTableSize) entries", "\(error)", remedy: "lower dataplane.mac-table-size")
    }
  }

  /// The workers' contexts. They live as long as the process.
  static func makeContexts(
    _ dataplane: DataplaneSettings, _ shared: UnsafeMutablePointer<SharedState>, _ learner: Learner, _ queues: MessageQueues,
    _ counters: [WorkerCounters], _ runtime: DPDKRuntime
  ) -> [UnsafeMutablePointer<WorkerContext>] {
    let locks = UnsafeMutablePointer<UInt32>.allocate(capacity: Limits.ports * Limits.workers)
    locks.initialize(repeating: 0, count: Limits.ports * Limits.workers)
    let rings = UnsafeMutablePointer<LearnRing>.allocate(capacity: queues.learn.count)
    rings.initialize(from: queues.learn, count: queues.learn.count)
    return (0..<dataplane.workers).map { index in
      let context = UnsafeMutablePointer<WorkerContext>.allocate(capacity: 1)
      context.initialize(
        to: WorkerContext(
          index: index, shared: shared, table: learner.reader, counters: counters[index], learnRings: rings,
          workers: queues.learn.count, punts: queues.punts[index], injections: index == 0 ? queues.injections : nil,
          bfdArrivals: queues.bfdArrivals[index], bfdDepartures: index == 0 ? queues.bfdDepartures : nil,
          pool: runtime.pool, largePool: runtime.largePool, slicePool: runtime.slicePool, transmitLocks: locks,
          sleepsWhenIdle: dataplane.polling == .adaptive,
          epoll: cdpdk_epoll_create(), wakeEvent: cdpdk_event_create(), neighbors: learner.neighbors?.reader))
      _ = cdpdk_epoll_add(context.pointee.epoll, context.pointee.wakeEvent, Readiness.wakeEvent | UInt64(context.pointee.wakeEvent), 0)
      if !dataplane.ioCores.isEmpty { context.pointee.sleeper = Sleeper.make(event: context.pointee.wakeEvent) }
      return context
    }
  }

  /// The same of io-cores.
  static func makeIOContexts(
    _ dataplane: DataplaneSettings, _ shared: UnsafeMutablePointer<SharedState>
  ) throws(VTEPError) -> [UnsafeMutablePointer<IOContext>] {
    try dataplane.ioCores.indices.map { index throws(VTEPError) in
      let context = UnsafeMutablePointer<IOContext>.allocate(capacity: 1)
      context.initialize(
        to: try IOContext(index: index, workers: dataplane.workers, shared: shared, sleepsWhenIdle: dataplane.polling == .adaptive))
      return context
    }
  }
}
