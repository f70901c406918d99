// Reconciler: the one writer of the data plane. Every change, from the operator or from the kernel, comes through this actor. It starts and
// stops the threads, and feeds `ControlState` (the records and what follows from them) with what has happened; that acts through
// `LiveEffects`. Aspects: +Changes (operator and controller), +Messages (everybody else), +Periodic, +HostSides, +Stations, +Inquiries, +Moves.

import CDPDK
import Encap
import Glibc
import Logging
import MACTable
import MulticastLearn
import Netlink
import Synchronization

public actor Reconciler {
  private let thread: ReconcilerThread
  public nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

  let log: Logger
  public nonisolated let dataplane: DataplaneSettings
  nonisolated(unsafe) let shared: UnsafeMutablePointer<SharedState>
  nonisolated(unsafe) let contexts: [UnsafeMutablePointer<WorkerContext>]
  nonisolated(unsafe) let ioContexts: [UnsafeMutablePointer<IOContext>]
  nonisolated let learner: Learner
  nonisolated let mailbox: Mailbox
  nonisolated let slowPath: SlowPath
  nonisolated let bfd: BFDService
  nonisolated let tracer: Tracer
  nonisolated let captures: Captures
  nonisolated let startSeconds = MonotonicClock.seconds()
  /// The counters count since then, on the monotonic clock: an earlier run's go on.
  nonisolated let countingSinceSeconds: UInt32

  var state: ControlState
  let effects: LiveEffects
  /// What an earlier run has left; nil: nothing, or it was entered.
  private var earlier: SavedState?
  /// For reports.
  nonisolated let published = Mutex<RunningState?>(nil)
  var doubtfulAtLastTick: Set<NeighborKey> = []
  /// What each worker and then each io-core had done at the last two looks.
  var activity: [(before: WorkerActivity, latest: WorkerActivity)] = []
  /// Lines about moving addresses in this second of the monotonic clock: a loop freezes hundreds at once.
  var moveLines: (second: UInt32, count: Int) = (0, 0)
  var observer = EventObserver()
  var limitObserver = LimitObserver()

  private var threads: [BackgroundThread] = []
  nonisolated let watchdog: Watchdog
  private let watchStop: Int32
  private var tasks: [Task<Void, Never>] = []
  private var hasStopped = false

  /// Starts DPDK, attaches the underlay, and applies `desired`. Nothing is forwarded before `begin`: what comes in meanwhile waits.
  ///
  /// - Parameters:
  ///   - runDirectory: folder of sockets whose path is relative.
  ///   - loading: gives what an earlier run has left, to be entered by `begin`.
  ///   - tapStore: who keeps taps while no daemon runs.
  /// - Throws: `.environment` when the machine lacks something; nothing is left behind but DPDK's environment.
  public init(
    dataplane: DataplaneSettings, desired: DesiredState, hostName: String, runDirectory: String,
    loading: Task<SavedState?, Never>? = nil, tapStore: TapStore = TapStore(), log: Logger
  ) async throws(VTEPError) {
    thread = try ReconcilerThread()
    self.dataplane = dataplane
    self.log = log
    let netlink = try VTEPError.wrap("netlink") { () throws(NetlinkError) in try NetlinkSocket() }
    // DPDK mostly waits while it starts: it measures the clock for a tenth of a second.
    let preparing = Task.detached { Self.makeMemory(dataplane) }
    let runtime = try Self.startDPDK(dataplane, desired, netlink, log)
    let (table, counters) = try await preparing.value.get()
    let saved = await loading?.value
    earlier = saved
    // Workers and io-cores by their numbers, then the slow path, BFD's thread and the dry worker.
    let slowPathReader = dataplane.workers + dataplane.ioCores.count
    let shared = try Self.makeSharedState(readers: slowPathReader + 3)
    self.shared = shared
    captures = Captures(shared: shared, threads: slowPathReader + 2)
    // Workers want a snapshot from the start.
    var publisher = SnapshotPublisher(shared: shared)
    publisher.publish(ForwardingModel(workers: dataplane.workers, ioCores: dataplane.ioCores.count))

    let queues = try MessageQueues(workers: dataplane.workers)
    let mailbox = Mailbox()
    self.mailbox = mailbox
    let learner = Learner(
      table: table, neighbors: try NeighborTable(capacity: dataplane.macTableSize), shared: shared, rings: queues.learn,
      reportUnknownVTEP: { mailbox.post(.unknownVTEP($0)) }, reportMove: { mailbox.post(.macMove($0)) })
    self.learner = learner
    learner.events.setLog(log)
    learner.events.name(Limits.routerPort, RouterReport.place)
    let contexts = Self.makeContexts(dataplane, shared, learner, queues, counters, runtime)
    self.contexts = contexts
    let ioContexts = try Self.makeIOContexts(dataplane, shared)
    self.ioContexts = ioContexts
    tracer = Tracer(beside: contexts[0], reader: UInt32(slowPathReader + 2), runtime: runtime)
    let wakeEvent = contexts[0].pointee.wakeEvent
    slowPath = try SlowPath(
      shared: shared, reader: UInt32(slowPathReader), pool: runtime.pool, punts: queues.punts, injections: queues.injections,
      mailbox: mailbox
    ) {
      cdpdk_event_signal(wakeEvent)
    }
    bfd = try BFDService(
      shared: shared, reader: UInt32(slowPathReader + 1), pool: runtime.pool, arrivals: queues.bfdArrivals,
      departures: queues.bfdDepartures, workerCounters: counters, mailbox: mailbox
    ) {
      cdpdk_event_signal(wakeEvent)
    }
    let reservation = try VTEPError.wrap("underlay.udp-port") { () throws(NetlinkError) in
      try UDPPortReservation(port: desired.underlay.udpPort)
    }
    effects = try LiveEffects(
      log: log, runtime: runtime, dataplane: dataplane, shared: shared, contexts: contexts, ioContexts: ioContexts, learner: learner,
      mailbox: mailbox, slowPath: slowPath, bfd: bfd, publisher: publisher, netlink: netlink, reservation: reservation, hostName: hostName,
      runDirectory: runDirectory, tapStore: tapStore)
    countingSinceSeconds = saved?.countingSinceSeconds ?? startSeconds
    state = ControlState(desired.underlay, workers: dataplane.workers, effects: effects, placement: runtime.placement)
    watchdog = Watchdog(
      contexts.map { ("worker \($0.pointee.index)", $0.pointee.counters.activity) }
        + ioContexts.map { ("io-core \($0.pointee.index)", $0.pointee.counters.activity) }, learner.events)
    watchStop = cdpdk_event_create()

    // Changes from here on are noticed; what was before is read next.
    let monitor = try VTEPError.wrap("netlink") { () throws(NetlinkError) in try NetlinkMonitor() }
    effects.followsNamespaces = monitor.followsNamespaces
    try startThreads(monitor)
    do throws(VTEPError) {
      if let saved { state.restoreFaults(saved) }
      try state.attachUnderlay(desired.underlay)
      try apply(desired)
    } catch {
      await stop()
      throw error
    }
    state.hasStarted = true
  }

  /// Enters what an earlier run has left, and begins to forward.
  ///
  /// - Returns: what became of the addresses in it.
  /// - Throws: when a thread cannot be started; everything is stopped then.
  public func begin() async throws(VTEPError) -> Restoration? {
    let result = earlier.map { state.restore($0) }
    earlier = nil
    publishReports()
    do throws(VTEPError) {
      try startWorkers()
    } catch {
      await stop()
      throw error
    }
    effects.hasBegun = true
    for name in effects.tapStore.discardRest() { log.notice("tap \(name): no port has it any more; removed") }
    releaseLeftGuards()
    startTasks()
    return result
  }

  private func startThreads(_ monitor: NetlinkMonitor) throws(VTEPError) {
    let stop = watchStop
    let mailbox = mailbox
    // Handed over: only the thread uses them from here on.
    nonisolated(unsafe) let monitor = monitor
    nonisolated(unsafe) let icmp = openPathMTUSockets()
    threads.append(
      try BackgroundThread(name: "vtepd-netlink") {
        Self.watch(monitor, icmp, stop: stop, mailbox: mailbox)
      })
    let slowPath = slowPath
    threads.append(try BackgroundThread(name: "vtepd-slowpath") { slowPath.run() })
  }

  private func startWorkers() throws(VTEPError) {
    let learner = learner
    threads.append(try BackgroundThread(name: "vtepd-learn") { learner.run() })
    for context in contexts {
      let worker = context.pointee.index
      try VTEPError.check(
        rte_eal_remote_launch(WorkerLoop.entry, context, UInt32(worker + 1)), "start worker \(worker)")
    }
    for context in ioContexts {
      try VTEPError.check(
        rte_eal_remote_launch(IOLoop.entry, context, context.pointee.reader + 1), "start io-core \(context.pointee.index)")
    }
    let watchdog = watchdog
    let bfd = bfd
    threads.append(try BackgroundThread(name: "vtepd-bfd") { bfd.run() })
    threads.append(try BackgroundThread(name: "vtepd-watchdog") { watchdog.run() })
  }

  /// Without them everything works but that.
  private func openPathMTUSockets() -> PathMTUSockets? {
    do {
      return try PathMTUSockets()
    } catch {
      log.warning(
        "path MTU: \(error): routers that report a smaller MTU on the way to a VTEP are not heard; give vtepd CAP_NET_RAW and restart it")
      return nil
    }
  }

  /// Follows the kernel until told to stop.
  private static func watch(_ monitor: NetlinkMonitor, _ icmp: PathMTUSockets?, stop: Int32, mailbox: Mailbox) {
    // Anybody may send ICMP errors: after some, the sockets have a rest.
    var icmpRests = false
    while true {
      let own = [monitor.fileDescriptor, stop, monitor.foreignDescriptor]
      let errors = icmpRests ? [] : icmp?.descriptors ?? []
      var descriptors = (own + errors).map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
      let count = poll(&descriptors, nfds_t(descriptors.count), icmpRests ? icmpRestMilliseconds : -1)
      icmpRests = false
      guard count > 0 else { continue }
      if descriptors[1].revents != 0 { return }
      if let icmp, descriptors[own.count...].contains(where: { $0.revents != 0 }) {
        let reports = icmp.read()
        if !reports.isEmpty { mailbox.post(.pathMTU(reports)) }
        icmpRests = true
      }
      do {
        try monitor.read { mailbox.post(.kernel($0)) }
      } catch {
        mailbox.post(.kernel(.resync))
        usleep(100_000)
      }
    }
  }

  private static let icmpRestMilliseconds: Int32 = 50

  private func startTasks() {
    let signals = mailbox.signals
    tasks.append(
      Task { [weak self] in
        for await _ in signals { await self?.handleMessages() }
      })
    tasks.append(
      Task { [weak self] in
        while !Task.isCancelled {
          try? await Task.sleep(for: .milliseconds(200))
          await self?.tick()
        }
      })
    tasks.append(
      Task { [weak self] in
        var milliseconds = 200
        while !Task.isCancelled {
          try? await Task.sleep(for: .milliseconds(milliseconds))
          milliseconds = await self?.followLinks() ?? 200
        }
      })
  }

  /// What the next run has to know. Neither workers nor the learner wait.
  public nonisolated func saved() -> SavedState { running.saved(countingSince: countingSinceSeconds) }

  /// Stops forwarding, removes taps that nobody keeps, leaves groups. Idempotent.
  ///
  /// - Parameter save: receives what the next run has to know, once nothing is forwarded any more.
  public func stop(save: (@Sendable (SavedState) -> Void)? = nil) async {
    guard !hasStopped else { return }
    hasStopped = true
    mailbox.close()
    for task in tasks { task.cancel() }
    watchdog.stop()
    shared.pointee.stops.store(true, ordering: .sequentiallyConsistent)
    effects.wakeWorkers()
    cdpdk_event_signal(shared.pointee.learnerEvent)
    cdpdk_event_signal(watchStop)
    slowPath.wake()
    bfd.wake()
    for context in contexts { _ = rte_eal_wait_lcore(UInt32(context.pointee.index + 1)) }
    for context in ioContexts { _ = rte_eal_wait_lcore(context.pointee.reader + 1) }
    for thread in threads { thread.join() }
    var saving: BackgroundThread?
    if let save {
      learner.drain()
      publishReports()
      let state = saved()
      // While devices are closed, for which the kernel takes its time.
      saving = try? BackgroundThread(name: "vtepd-save") { save(state) }
      if saving == nil { save(state) }
    }
    effects.closeAtEnd(
      state.ports.values.map {
        StaleState.Closing(device: $0.device, hostSide: $0.hostSide, subject: "port \($0.settings.name)")
      } + state.underlay.devices.flatMap(\.closings))
    // A tick or a message may come late.
    state.ports = PortTable()
    state.underlay.devices = []
    effects.closePuntTaps()
    // Its sockets hold the memberships.
    effects.memberships = GroupMembership()
    state.releaseNeighbors()
    saving?.join()
  }
}
