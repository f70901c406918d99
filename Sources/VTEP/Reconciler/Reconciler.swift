// Reconciler: the one writer of the data plane. Every change, from the operator or from the kernel, comes through this
// actor: it keeps the records behind the forwarding model, publishes snapshots, and owns devices, group memberships and
// neighbour requests. Aspects: +Apply (operator's changes), +Messages (everybody else's), +Ports, +VNIs, +Underlay, +Guards
// (ports that are shut), +SlowPath, +Reports.

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
  let runtime: DPDKRuntime
  nonisolated(unsafe) let shared: UnsafeMutablePointer<SharedState>
  nonisolated(unsafe) let contexts: [UnsafeMutablePointer<WorkerContext>]
  nonisolated let learner: Learner
  nonisolated let mailbox: Mailbox
  nonisolated let slowPath: SlowPath
  nonisolated let startSeconds = MonotonicClock.seconds()

  var publisher: SnapshotPublisher
  var model: ForwardingModel
  /// See `settle`.
  var stale = StaleState()
  /// For reports.
  nonisolated let published = Mutex<RunningState?>(nil)
  /// What the operator wants, and the controller beside it.
  public internal(set) var configured: DesiredState
  /// What runs now: `configured`, both parts in one.
  public internal(set) var desired: DesiredState
  var controller = ControllerStore()
  /// Goes up with every change of `configured` and `desired`.
  public internal(set) var revision: UInt64 = 0
  /// Used to make the addresses of taps stable over restarts.
  let hostName: String
  /// Folder of ports' sockets.
  let runDirectory: String

  var ports: [String: PortRecord] = [:]
  var portIndexes = IndexPool<PortIndex>(limit: Limits.ports)
  /// Receive queues that workers cannot wait for.
  var queuesWithoutDescriptor: Set<ReceiveQueue> = []
  var domains: [VNI: DomainRecord] = [:]
  var domainIndexes = IndexPool<DomainIndex>(limit: Limits.domains)
  /// Domains that take link-local control frames from the overlay.
  var tunnellingDomains: Set<DomainIndex> = []
  /// VNIs with static remote addresses.
  var vnisWithStatics: Set<VNI> = []
  var underlay: UnderlayState
  var memberships: GroupMembership
  var reservation: UDPPortReservation
  /// The group that each VNI with a port up has joined.
  var joined: [VNI: IPAddress] = [:]
  /// Static entries that the table has.
  var installedStatics: [MACKey: MACLocation] = [:]
  var ticks = 0
  var doubtfulAtLastTick: Set<NeighborKey> = []
  var baselines = CounterBaselines()
  /// What each worker had done at the last two looks.
  var activity: [(before: WorkerActivity, latest: WorkerActivity)] = []
  var announcementSerial: UInt64 = 0
  /// When the latest announcement was made, on the monotonic clock.
  var lastAnnouncement: UInt32 = 0
  var preparations: [VNI: Preparation] = [:]
  /// Lines about moving addresses in this second of the monotonic clock: a loop freezes hundreds at once.
  var moveLines: (second: UInt32, count: Int) = (0, 0)

  /// By the taps' names.
  var puntTaps: [String: TapInterface] = [:]
  /// Why ports have no punt tap, by their names.
  var puntFaults: [String: String] = [:]
  /// By the index of the port whose probes come back.
  var overlayReturns: [PortIndex: OverlayReturns] = [:]
  /// Told to the operator: VNIs that something outside joins.
  var joinedVNIs: Set<[VNI]> = []

  private var threads: [BackgroundThread] = []
  private let watchStop: Int32
  private var tasks: [Task<Void, Never>] = []
  /// The first configuration runs.
  private(set) var hasStarted = false
  private var hasStopped = false

  /// Starts DPDK, attaches the underlay, starts workers, and applies `desired`.
  ///
  /// - Parameter runDirectory: folder of sockets whose path is relative.
  /// - Throws: `.environment` when the machine lacks something; nothing is left behind but DPDK's environment.
  public init(
    dataplane: DataplaneSettings, desired: DesiredState, hostName: String, runDirectory: String, log: Logger
  ) async throws(VTEPError) {
    thread = try ReconcilerThread()
    self.dataplane = dataplane
    self.hostName = hostName
    self.runDirectory = runDirectory
    self.log = log
    let netlink = try VTEPError.wrap("netlink") { () throws(NetlinkError) in try NetlinkSocket() }

    var links: [Link] = []
    for name in desired.underlay.devices {
      guard let link = try VTEPError.wrap("underlay.device \(name)", { () throws(NetlinkError) in try netlink.link(named: name) })
      else {
        throw VTEPError(
          .environment, "underlay.device \(name)", "no such interface", remedy: "create it or name another")
      }
      links.append(link)
    }
    let mtus = links.map(\.mtu) + (try Self.portMTUs(desired, netlink))
    runtime = try DPDKRuntime(
      settings: dataplane, maxFrameByteCount: EthernetDevice.bufferByteCount(mtu: mtus.max() ?? 1500),
      log: { log.notice("\($0)") })

    guard let rcu = cdpdk_rcu_create(UInt32(dataplane.workers)) else {
      throw VTEPError(.environment, "RCU state", VTEPError.errnoText(cdpdk_errno()))
    }
    let shared = UnsafeMutablePointer<SharedState>.allocate(capacity: 1)
    shared.initialize(to: SharedState(learnerEvent: cdpdk_event_create(), rcu: rcu))
    self.shared = shared
    publisher = SnapshotPublisher(shared: shared)
    model = ForwardingModel(
      receiveQueues: Array(repeating: [], count: dataplane.workers),
      decapPolicy: DecapPolicy(udpPort: 4789, acceptsZeroUDP6Checksum: false))
    publisher.publish(model)

    let table: MACTable
    do {
      table = try MACTable(
        capacity: dataplane.macTableSize, portCount: Limits.ports, vtepCount: Limits.vteps,
        domainCount: Limits.domains)
    } catch {
      throw VTEPError(
        .environment, "MAC table of \(dataplane.macTableSize) entries", "\(error)",
        remedy: "lower dataplane.mac-table-size")
    }
    var rings: [LearnRing] = []
    var punts: [SlowPathRing] = []
    for worker in 0..<dataplane.workers {
      rings.append(try LearnRing(worker: worker))
      punts.append(try SlowPathRing(name: "punt-\(worker)"))
    }
    let injections = try SlowPathRing(name: "inject")
    let mailbox = Mailbox()
    self.mailbox = mailbox
    let learner = Learner(
      table: table, shared: shared, rings: rings, reportUnknownVTEP: { mailbox.post(.unknownVTEP($0)) },
      reportMove: { mailbox.post(.macMove($0)) })
    self.learner = learner

    let locks = UnsafeMutablePointer<UInt32>.allocate(capacity: Limits.ports * Limits.workers)
    locks.initialize(repeating: 0, count: Limits.ports * Limits.workers)
    let pool = runtime.pool
    let learnRings = UnsafeMutablePointer<LearnRing>.allocate(capacity: rings.count)
    learnRings.initialize(from: rings, count: rings.count)
    contexts = (0..<dataplane.workers).map { index in
      let context = UnsafeMutablePointer<WorkerContext>.allocate(capacity: 1)
      let naps = UnsafeMutablePointer<Bool>.allocate(capacity: 1)
      naps.initialize(to: false)
      context.initialize(
        to: WorkerContext(
          index: index, shared: shared, table: learner.reader, counters: WorkerCounters(), learnRings: learnRings,
          workers: rings.count, punts: punts[index], injections: index == 0 ? injections : nil,
          pool: pool, transmitLocks: locks, sleepsWhenIdle: dataplane.polling == .adaptive,
          epoll: cdpdk_epoll_create(),
          wakeEvent: cdpdk_event_create(), napsOnly: naps))
      _ = cdpdk_epoll_add(context.pointee.epoll, context.pointee.wakeEvent, UInt64(context.pointee.wakeEvent), 0)
      return context
    }

    let wakeEvent = contexts[0].pointee.wakeEvent
    slowPath = SlowPath(shared: shared, pool: pool, punts: punts, injections: injections, mailbox: mailbox) {
      cdpdk_event_signal(wakeEvent)
    }

    let ipsec = try VTEPError.wrap("IPsec policies") { () throws(NetlinkError) in try IPsecPolicies() }
    underlay = UnderlayState(netlink: netlink, ipsec: ipsec)
    memberships = GroupMembership()
    reservation = try VTEPError.wrap("underlay.udp-port") { () throws(NetlinkError) in
      try UDPPortReservation(port: desired.underlay.udpPort)
    }
    watchStop = cdpdk_event_create()
    self.desired = DesiredState(underlay: desired.underlay)
    configured = self.desired

    // Changes from here on are noticed; what was before is read next.
    let monitor = try VTEPError.wrap("netlink") { () throws(NetlinkError) in try NetlinkMonitor() }
    try startThreads(monitor)
    do throws(VTEPError) {
      try attachUnderlay(desired.underlay)
      stale.routes = true
      stale.memberships = true
      try apply(desired)
    } catch {
      await stop()
      throw error
    }
    hasStarted = true
    releaseLeftGuards()
    startTasks()
  }

  /// MTUs that ports have by their settings, or by interfaces that exist by now.
  private static func portMTUs(_ desired: DesiredState, _ netlink: NetlinkSocket) throws(VTEPError) -> [Int] {
    var mtus = desired.ports.values.compactMap(\.mtu)
    for port in desired.ports.values where port.kind == .netdev {
      guard let name = port.attachment.device else { continue }
      let link = try VTEPError.wrap("port \(port.name)", { () throws(NetlinkError) in try netlink.link(named: name) })
      if let link { mtus.append(link.mtu) }
    }
    return mtus
  }

  private func startThreads(_ monitor: NetlinkMonitor) throws(VTEPError) {
    let stop = watchStop
    let mailbox = mailbox
    // Handed over: only the thread uses it from here on.
    nonisolated(unsafe) let monitor = monitor
    threads.append(
      try BackgroundThread(name: "vtepd-netlink") {
        Self.watch(monitor, stop: stop, mailbox: mailbox)
      })
    let learner = learner
    threads.append(try BackgroundThread(name: "vtepd-learn") { learner.run() })
    let slowPath = slowPath
    threads.append(try BackgroundThread(name: "vtepd-slowpath") { slowPath.run() })
    for context in contexts {
      let worker = context.pointee.index
      try VTEPError.check(
        rte_eal_remote_launch(WorkerLoop.entry, context, UInt32(worker + 1)), "start worker \(worker)")
    }
  }

  /// Follows the kernel until told to stop.
  private static func watch(_ monitor: NetlinkMonitor, stop: Int32, mailbox: Mailbox) {
    while true {
      var descriptors = [
        pollfd(fd: monitor.fileDescriptor, events: Int16(POLLIN), revents: 0),
        pollfd(fd: stop, events: Int16(POLLIN), revents: 0),
      ]
      guard poll(&descriptors, 2, -1) > 0 else { continue }
      if descriptors[1].revents != 0 { return }
      do {
        try monitor.read { mailbox.post(.kernel($0)) }
      } catch {
        mailbox.post(.kernel(.resync))
        usleep(100_000)
      }
    }
  }

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
  }

  /// Stops forwarding, removes taps, leaves groups. Idempotent.
  public func stop() async {
    guard !hasStopped else { return }
    hasStopped = true
    mailbox.close()
    for task in tasks { task.cancel() }
    shared.pointee.stops.store(true, ordering: .sequentiallyConsistent)
    wakeWorkers()
    cdpdk_event_signal(shared.pointee.learnerEvent)
    cdpdk_event_signal(watchStop)
    slowPath.wake()
    for context in contexts { _ = rte_eal_wait_lcore(UInt32(context.pointee.index + 1)) }
    for thread in threads { thread.join() }
    for record in ports.values { remove(record, subject: "port \(record.settings.name)") }
    for device in underlay.devices { try? device.device?.remove(subject: "underlay.device \(device.name)") }
    ports = [:]
    updateSlowPath()
    underlay.devices = []
    // Its sockets hold the memberships.
    memberships = GroupMembership()
    releaseNeighbors()
  }

  /// Makes the model current. Workers see it with their next round.
  func publish() {
    publisher.publish(model)
    log.debug("snapshot \(publisher.generation)")
    wakeWorkers()
  }

  /// As `publish`, and returns when no worker uses anything older; events that workers sent before are applied.
  func publishAndWait() {
    publish()
    publisher.waitForWorkers()
    learner.drain()
  }

  /// Those of the workers and of the slow path.
  var counters: [WorkerCounters] { contexts.map(\.pointee.counters) + [slowPath.counters] }

  private func wakeWorkers() {
    for context in contexts { cdpdk_event_signal(context.pointee.wakeEvent) }
  }
}
