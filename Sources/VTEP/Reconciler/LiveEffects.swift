// LiveEffects: the reconciler's effects on DPDK, workers, MAC table and kernel. Aspects: +Kernel, +PuntTaps.

import CDPDK
import Encap
import Logging
import MACTable
import MulticastLearn
import Netlink

/// For the reconciler's thread only.
final class LiveEffects: ReconcilerEffects {
  let log: Logger
  let runtime: DPDKRuntime
  let dataplane: DataplaneSettings
  let shared: UnsafeMutablePointer<SharedState>
  let contexts: [UnsafeMutablePointer<WorkerContext>]
  let ioContexts: [UnsafeMutablePointer<IOContext>]
  let learner: Learner
  let mailbox: Mailbox
  let slowPath: SlowPath
  let bfd: BFDService
  let netlink: NetlinkSocket
  /// Nil when the kernel has no IPsec.
  let ipsec: IPsecPolicies?
  var memberships = GroupMembership() { didSet { groupVersion += 1 } }
  /// Grows with each group that is joined or left.
  var groupVersion = 0
  var reservation: UDPPortReservation
  /// Makes the addresses of taps the same after a restart.
  let hostName: String
  /// Folder of ports' sockets.
  let runDirectory: String
  let tapStore: TapStore
  /// Workers have begun. Until then a start may fail, and the next one wants the taps.
  var hasBegun = false
  private var publisher: SnapshotPublisher
  var followsNamespaces = false
  var opensTogether = false {
    didSet { interfaceUsers = opensTogether ? InterfaceUsersOnce(netlink) : nil }
  }
  private var interfaceUsers: InterfaceUsersOnce?

  /// What self-tests have found, by the NICs' names: a NIC that is opened again has the workers' traffic beside it.
  var offloadFindings: [String: NICOffloads.Finding] = [:]

  /// By the taps' names.
  var puntTaps: [String: TapInterface] = [:]
  /// Why ports have no punt tap, by their names.
  var puntFaults: [String: String] = [:]

  init(
    log: Logger, runtime: DPDKRuntime, dataplane: DataplaneSettings, shared: UnsafeMutablePointer<SharedState>,
    contexts: [UnsafeMutablePointer<WorkerContext>], ioContexts: [UnsafeMutablePointer<IOContext>], learner: Learner,
    mailbox: Mailbox, slowPath: SlowPath, bfd: BFDService, publisher: SnapshotPublisher,
    netlink: NetlinkSocket, reservation: UDPPortReservation, hostName: String, runDirectory: String,
    tapStore: TapStore
  ) throws(VTEPError) {
    self.log = log
    self.runtime = runtime
    self.dataplane = dataplane
    self.shared = shared
    self.contexts = contexts
    self.ioContexts = ioContexts
    self.learner = learner
    self.mailbox = mailbox
    self.slowPath = slowPath
    self.bfd = bfd
    self.publisher = publisher
    self.netlink = netlink
    ipsec = try VTEPError.wrap("IPsec policies") { () throws(NetlinkError) in try IPsecPolicies() }
    self.reservation = reservation
    self.hostName = hostName
    self.runDirectory = runDirectory
    self.tapStore = tapStore
  }

  var nowSeconds: UInt32 { MonotonicClock.seconds() }
  var events: EventLog { learner.events }
  var neighborTable: NeighborTable? { learner.neighbors }

  // -- workers and MAC table ---------------------------------------------------------------------------------------------

  func publish(_ model: ForwardingModel) {
    publisher.publish(model)
    log.debug("snapshot \(publisher.generation)")
    wakeWorkers()
  }

  func waitForWorkers() {
    publisher.waitForWorkers()
    learner.drain()
  }

  func followBFD(_ targets: [IPAddress: BFDTarget], on uplinks: Set<BFDUplink>) {
    for error in bfd.follow(targets, on: uplinks) { log.warning("\(error); BFD frames share the queues of data") }
  }

  var bfdSessions: [IPAddress: BFDTarget] { bfd.targets }

  func continueBFD(_ earlier: [IPAddress: BFDCounts]) { bfd.continueCounts(earlier) }

  func wakeWorkers() {
    for context in contexts { cdpdk_event_signal(context.pointee.wakeEvent) }
    for context in ioContexts { cdpdk_event_signal(context.pointee.sleeper.pointee.event) }
  }

  func write<Result>(_ body: (MACTable) -> sending Result) -> Result { learner.write(body) }

  func enter(_ entries: [(key: MACKey, index: VTEPIndex)]) {
    let now = nowSeconds
    learner.write { table in
      for (key, index) in entries { learner.learn(key, at: .vtep(index), in: table, now: now) }
    }
  }

  /// The log tells of them as of all others, when the reconciler takes its messages.
  func post(released moves: [MACMove]) {
    for move in moves { mailbox.post(.macMove(.released(move))) }
  }

  func resetLimits(port: PortIndex) { shared.pointee.policyStates[Int(port)].reset(now: cdpdk_cycles()) }

  func resetLimits(domain: DomainIndex) { shared.pointee.stormStates[Int(domain)] = StormState(now: cdpdk_cycles()) }

  var counters: [WorkerCounters] {
    contexts.map(\.pointee.counters) + [slowPath.counters, bfd.counters] + ioContexts.map(\.pointee.counters)
  }

  // -- devices -----------------------------------------------------------------------------------------------------------

  /// What drivers of ports need.
  func portHost(guestMTU: Int = 1500, ownSockets: Set<String> = []) -> PortHost {
    PortHost(
      runtime: runtime, netlink: netlink, hostName: hostName, runDirectory: runDirectory, guestMTU: guestMTU, ownSockets: ownSockets,
      mailbox: mailbox, rcu: shared.pointee.rcu, interfaceUsers: interfaceUsers ?? InterfaceUsersOnce(netlink),
      tapStore: tapStore)
  }

  func open(_ settings: PortSettings, guestMTU: Int, ownSockets: Set<String>) throws(VTEPError) -> OpenedPort? {
    let count = settings.kind.driver.descriptorCount(settings.attachment)
    guard DescriptorLimit.free >= count else {
      throw VTEPError(
        .refused, "port \(settings.name): attach",
        "too few of \(DescriptorLimit.soft) file descriptors are free for the \(count) that it needs",
        remedy: "delete other ports, or raise the limit on open files (systemd: LimitNOFILE=, shell: ulimit -n) and restart")
    }
    return try settings.kind.driver.open(settings, on: portHost(guestMTU: guestMTU, ownSockets: ownSockets))
  }

  func open(_ backEnd: BackEnd) throws(VTEPError) -> FrameDevice { .ethdev(try backEnd.open(runtime)) }

  func adjust(_ link: Link, _ settings: PortSettings, guestMTU: Int) throws(VTEPError) {
    try settings.kind.driver.adjust(link, settings, on: portHost(guestMTU: guestMTU))
  }

  func restore(_ link: Link, port: String) {
    do {
      guard let now = try netlink.link(index: link.index), now.mtu != link.mtu else { return }
      try netlink.setMTU(index: link.index, mtu: link.mtu)
    } catch {
      log.error("port \(port): the interface's earlier MTU of \(link.mtu) could not be restored: \(error)")
    }
  }

  func close(_ closings: [StaleState.Closing]) {
    guard hasBegun else { return closeAtEnd(closings) }
    for case .tap(let tap)? in closings.map(\.device) { tapStore.forget(tap) }
    remove(closings)
  }

  /// The same at the end of the process, which taps that the service manager keeps outlive. Until the next run the host stays off them.
  func closeAtEnd(_ closings: [StaleState.Closing]) {
    remove(
      closings.map { closing in
        guard case .tap(let tap)? = closing.device, tap.outlivesProcess else { return closing }
        return StaleState.Closing(device: closing.device, hostSide: HostSide(claim: closing.hostSide.claim), subject: closing.subject)
      })
  }

  private func remove(_ closings: [StaleState.Closing]) {
    // The kernel lets go of an interface after some milliseconds, in which others can go, too.
    func waits(_ closing: StaleState.Closing) -> Bool { closing.device?.kind == .tap || closing.device?.packetSockets != nil }
    BackgroundThread.forEach(closings.filter(waits)) { [log] in Self.remove($0, log) }
    for closing in closings where !waits(closing) { Self.remove(closing, log) }
    for closing in closings {
      release(closing.hostSide, subject: closing.subject)
    }
  }

  private static func remove(_ closing: StaleState.Closing, _ log: Logger) {
    do {
      try closing.device?.remove(subject: closing.subject)
    } catch {
      log.error("\(error)")
    }
  }

  func status(of record: PortRecord) -> PortStatus {
    record.device.map { record.driver.status($0, link: record.link ?? record.away?.link, settings: record.settings) } ?? PortStatus()
  }

  func states(ofTaps descriptors: [Int32]) -> [TapDevice.State] { TapDevice.states(of: descriptors) }

  func place(of tap: TapQueues) -> TapPlace {
    do {
      return try netlink.place(ofTap: tap.descriptors[0])
    } catch {
      log.warning("tap \(TapDevice.interfaceName(of: tap.descriptors[0]) ?? ""): \(error)")
      return .hidden
    }
  }

  func setOffloads(_ record: PortRecord) {
    if let device = record.device { record.driver.setOffloads(device, isOn: record.settings.offloads == .auto) }
  }

  func setCarrier(_ record: PortRecord, isOn: Bool) {
    if let device = record.device { record.driver.setCarrier(device, isOn: isOn) }
  }

  func socket(ofDevice name: String) -> Int? { Machine.socket(ofDevice: name) }

  func watch(_ queue: ReceiveQueue, worker: Int) {
    guard !queue.isPolled else { return }
    _ = cdpdk_epoll_add(contexts[worker].pointee.epoll, queue.descriptor, UInt64(queue.slot.rawValue), 1)
  }

  func unwatch(_ queue: ReceiveQueue, worker: Int) {
    if !queue.isPolled { _ = cdpdk_epoll_remove(contexts[worker].pointee.epoll, queue.descriptor) }
  }
}
