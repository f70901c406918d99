// DryWorker: a worker that forwards one frame at a time and sends nothing (`vtepctl trace`, docs/decisions/0041-trace.md). The code is that
// of all workers; what it writes to is its own:
//
// * counters, sightings, held frames, learn ring and ring to the slow path, and buffers;
// * the "last seen" times of the MAC table (`MACTableReader.untouching`);
// * copies of what workers share and take from: the limits of ports, storm control, the election of uplinks;
// * a view of the current snapshot in which every device is a `FrameRecorder`. While it is in use, RCU keeps the snapshot.
//
// For one thread at a time, which need not be one of DPDK's. The shared state lives as long as the process, as that of all workers.

import CDPDK
import Encap
import MACTable
import Synchronization

final class DryWorker {
  /// Of the real workers.
  private let real: UnsafeMutablePointer<SharedState>
  /// Its own.
  private let shared: UnsafeMutablePointer<SharedState>
  /// The number under which RCU knows it.
  private let reader: UInt32
  /// The table as it is, for what `trace` tells about an entry.
  private let table: MACTableReader
  private let ring: LearnRing
  private let punts: SlowPathRing
  private let counters: WorkerCounters
  private let pool: OpaquePointer
  private let bufferByteCount: Int
  private let ports: UnsafeMutablePointer<PortEntry>
  private let view: UnsafeMutablePointer<ForwardingSnapshot>
  private let recorder: UnsafeMutablePointer<FrameRecorder>
  /// Of the snapshot that `view` is made from; 0: none.
  private var generation: UInt64 = 0
  /// Of the ports in `view`, those with an egress limit.
  private var limitedPorts: [PortIndex] = []
  /// Those whose frames a socket's filter has seen.
  private var sharedUplinks: [PortIndex] = []
  var worker: Worker

  /// Of all, for the names of their rings.
  private static let count = Atomic<Int>(0)
  /// Longest frame, in octets: the longest IP packet and its Ethernet header with a tag.
  static let largestFrame = 65_535 + 18

  /// - Parameters:
  ///   - context: of a worker.
  ///   - reader: a number for RCU that no other thread has.
  init(beside context: WorkerContext, reader: UInt32, runtime: DPDKRuntime) throws(VTEPError) {
    let number = Self.count.add(1, ordering: .relaxed).oldValue
    real = context.shared
    self.reader = reader
    table = context.table
    pool = try runtime.makeTracePool("vtepd-trace-\(number)")
    do throws(VTEPError) {
      ring = try LearnRing(name: "learn-trace-\(number)")
      punts = try SlowPathRing(name: "punt-trace-\(number)")
      counters = try WorkerCounters()
    } catch {
      rte_mempool_free(pool)
      throw error
    }
    bufferByteCount = runtime.maxFrameByteCount
    shared = .allocate(capacity: 1)
    shared.initialize(to: SharedState(learnerEvent: -1, rcu: context.shared.pointee.rcu, daemonID: context.shared.pointee.daemonID))
    shared.pointee.snapshot.store(context.shared.pointee.snapshot.load(ordering: .acquiring), ordering: .relaxed)
    ports = .allocate(capacity: Limits.ports)
    ports.initialize(repeating: PortEntry(), count: Limits.ports)
    view = .allocate(capacity: 1)
    recorder = .allocate(capacity: 1)
    recorder.initialize(to: FrameRecorder())
    // Its own ring is the last: it looks for stations in all, and no other worker looks in this one.
    let rings = UnsafeMutablePointer<LearnRing>.allocate(capacity: context.workers + 1)
    rings.initialize(from: context.learnRings, count: context.workers)
    (rings + context.workers).initialize(to: ring)
    var own = context
    own.index = context.workers
    own.workers = context.workers + 1
    own.shared = shared
    own.table = context.table.untouching()
    own.counters = counters
    own.learnRings = rings
    own.punts = punts
    own.injections = nil
    own.bfdArrivals = punts
    own.bfdDepartures = nil
    own.pool = pool
    own.slicePool = pool
    own.epoll = -1
    own.sleeper = nil
    own.recorder = recorder
    worker = Worker(own)
    cdpdk_rcu_register(real.pointee.rcu, reader)
  }

  deinit {
    cdpdk_rcu_unregister(real.pointee.rcu, reader)
    // The worker holds no frame between two runs.
    rte_mempool_free(pool)
    ring.deallocate()
    punts.deallocate()
    recorder.pointee.deallocate()
    recorder.deallocate()
    ports.deallocate()
    view.deallocate()
    counters.deallocate()
  }

  /// Forwards a frame as if it had just come in at a port, with the current snapshot, and sends nothing.
  ///
  /// - Parameter now: time-stamp counter, for limits.
  /// - Throws: when there is no buffer.
  func run(_ octets: [UInt8], at port: PortIndex, now: UInt64 = cdpdk_cycles()) throws(VTEPError) -> DryRun {
    cdpdk_rcu_online(real.pointee.rcu, reader)
    defer { cdpdk_rcu_offline(real.pointee.rcu, reader) }
    look(at: Worker.current(real))
    guard let mbuf = buffer(of: received(octets, at: port), view.pointee.ports + Int(port)) else {
      throw VTEPError(.environment, "trace", "no packet buffer for a frame of \(octets.count) octets", remedy: "raise dataplane.memory-mb")
    }
    return run(mbuf, octets, at: port, now: now)
  }

  /// The same for a copy of a frame that has come in, with what its driver has said about it.
  func run(copy mbuf: Mbuf, at port: PortIndex) -> DryRun {
    cdpdk_rcu_online(real.pointee.rcu, reader)
    defer { cdpdk_rcu_offline(real.pointee.rcu, reader) }
    look(at: Worker.current(real))
    return run(mbuf, Self.octets(of: mbuf), at: port, now: cdpdk_cycles())
  }

  private func run(_ mbuf: Mbuf, _ octets: [UInt8], at port: PortIndex, now: UInt64) -> DryRun {
    begin(at: port, now: now)
    let entry = view.pointee.ports + Int(port)
    var run = DryRun(
      generation: generation, port: port, isFromOverlay: entry.pointee.isUnderlay, isPortUp: entry.pointee.isUp, octets: octets)
    walk(mbuf, &run)
    end(&run)
    return run
  }

  // -- before and after -------------------------------------------------------------------------------------------------

  /// Makes the view of a snapshot: the same, but for what is behind its ports.
  private func look(at snapshot: UnsafePointer<ForwardingSnapshot>) {
    guard snapshot.pointee.generation != generation else { return }
    generation = snapshot.pointee.generation
    view.initialize(to: snapshot.pointee)
    ports.update(from: snapshot.pointee.ports, count: Limits.ports)
    limitedPorts = []
    sharedUplinks = []
    for index in 0..<Limits.ports where ports[index].isAttached {
      if ports[index].isUnderlay, [.packetSocket, .xdp].contains(ports[index].kind) { sharedUplinks.append(PortIndex(index)) }
      ports[index].kind = .recorder
      if ports[index].features.contains(.limitsEgress) { limitedPorts.append(PortIndex(index)) }
    }
    view.pointee.ports = UnsafePointer(ports)
    worker.snapshot = UnsafePointer(view)
  }

  private func begin(at port: PortIndex, now: UInt64) {
    worker.nowSeconds = MonotonicClock.seconds()
    worker.nowCycles = now
    worker.sightings.forget()
    worker.refillBudgets()
    worker.receivedTagged = BatchSize()
    recorder.pointee.clear()
    for limited in Set(limitedPorts + [port]) {
      shared.pointee.policyStates[Int(limited)].imitate(real.pointee.policyStates + Int(limited))
    }
    if view.pointee.uplinkCount > 1 { shared.pointee.uplinks.imitate(real.pointee.uplinks) }
  }

  /// Storm control of the domain that a frame has been found to belong to.
  func imitateLimits(of domain: DomainIndex) {
    shared.pointee.stormStates[Int(domain)].imitate(real.pointee.stormStates + Int(domain))
  }

  /// What the kernel would hand over: a packet that is not for a shared uplink's MAC address is cut.
  private func received(_ octets: [UInt8], at port: PortIndex) -> [UInt8] {
    let entry = worker.snapshot.pointee.ports + Int(port)
    guard entry.pointee.isUnderlay, sharedUplinks.contains(port) else { return octets }
    return CutFrame.received(octets, at: entry.pointee.mac)
  }

  /// The frame in buffers, as a driver of the port would fill them.
  private func buffer(of octets: [UInt8], _ port: UnsafePointer<PortEntry>) -> Mbuf? {
    var rest = octets[...]
    var head: OpaquePointer?
    repeat {
      guard let raw = cdpdk_mbuf_alloc(pool) else {
        cdpdk_mbuf_free(head)
        return nil
      }
      let room = min(head == nil ? Int(port.pointee.headByteCount) : .max, Int(cdpdk_mbuf_tailroom(raw)))
      let part = rest.prefix(room)
      rest = rest.dropFirst(room)
      if !part.isEmpty, let space = cdpdk_mbuf_append(raw, UInt16(part.count)) {
        part.withUnsafeBytes { space.copyMemory(from: $0.baseAddress.unsafelyUnwrapped, byteCount: $0.count) }
      }
      if let head {
        guard cdpdk_mbuf_chain(head, raw) == 0 else {
          cdpdk_mbuf_free(raw)
          cdpdk_mbuf_free(head)
          return nil
        }
      } else {
        head = raw
      }
    } while !rest.isEmpty
    return head.map(Mbuf.init)
  }

  /// Collects what the worker has left behind, and makes it forget.
  private func end(_ run: inout DryRun) {
    for frame in worker.held.takeAll() {
      run.heldCount += 1
      if frame.station != nil { run.isAwaited = true }
      for index in run.remotes.indices where run.remotes[index].vtep == frame.vtep { run.remotes[index].isHeld = true }
      frame.mbuf.free()
    }
    run.heldCount += worker.awaited.clear()
    run.router = recorder.pointee.router
    for index in run.remotes.indices {
      let traffic = counters.vteps + Int(run.remotes[index].vtep)
      run.remotes[index].sentCount = traffic.pointee.txPackets.value
      traffic.pointee.txPackets.set(0)
    }
    run.sentCount = recorder.pointee.count
    run.sent = recorder.pointee.kept
    var item = SlowPathItem()
    while punts.receive(&item) {
      run.slowPath.append(item.kind)
      if let raw = item.mbuf { cdpdk_mbuf_free(raw) }
      item.mbuf = nil
    }
    if let bound = run.bound {
      counters.neighborAnswers[Int(bound.domain)].set(0)
      counters.neighborPasses[Int(bound.domain)].set(0)
    }
    var event = LearnEvent(key: MACKey(domain: 0, mac: .zero), vtep: IPAddress(high: 0, low: 0))
    while ring.receive(into: &event, capacity: 1) == 1 {
      run.learned.append(event)
      ring.decide(1)
    }
    if !run.learned.isEmpty { ring.forget() }
    worker.sentLearnEvents = false
    collectDrops(&run)
  }

  private func collectDrops(_ run: inout DryRun) {
    for index in 0..<Limits.ports {
      for reason in DropReason.allCases {
        let counter = counters.drop(port: PortIndex(index), reason)
        guard counter.pointee.value != 0 else { continue }
        run.drops.append(DryRun.Drop(port: PortIndex(index), reason: reason, count: counter.pointee.value))
        counter.pointee.set(0)
      }
    }
    for slot in 0..<view.pointee.aclSlotCount {
      let entry = counters.aclEntries + slot
      guard entry.pointee.packets.value != 0 else { continue }
      run.aclEntries.append((UInt32(slot), entry.pointee.packets.value))
      entry.pointee.packets.set(0)
      entry.pointee.bytes.set(0)
    }
    for cause in IgnoredCause.allCases {
      let counter = counters.ignored(port: run.port, cause)
      if counter.pointee.value != 0 { run.ignored = cause }
      counter.pointee.set(0)
    }
  }

  /// The entry of an address as the real table has it.
  func entry(_ found: MACLookup) -> DryRun.Entry? {
    guard found.isHit else { return nil }
    return DryRun.Entry(
      location: found.location, type: found.type, isFrozen: found.isFrozen, moves: found.moves,
      lastSeenSeconds: table.lastSeenSeconds(of: found))
  }
}
