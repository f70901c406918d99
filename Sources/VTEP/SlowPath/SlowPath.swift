// SlowPath: the thread for everything that workers leave aside: it writes punted frames to the ports' taps, reads the frames that
// daemons send there, sends loop probes, and reports events that may require shutting a port to the reconciler.

import CDPDK
import Encap
import Glibc
import MACTable
import Netlink
import Synchronization

final class SlowPath: Sendable {
  private struct State {
    /// By port.
    var taps: [PortIndex: TapInterface] = [:]
    var targets: [ProbeTarget] = []
    /// Beside `targets`.
    var probes: [LoopProbe] = []
    var tokens: [ProbeKey: UInt64] = [:]
    var intervalSeconds: UInt32 = 1
  }

  /// Where probes are sent, as a key.
  private struct ProbeKey: Hashable {
    var port: PortIndex
    var vlan: UInt16
    var vni: VNI
  }

  /// Frames lost here, not in a worker.
  private let drops: ThreadDrops
  var counters: WorkerCounters { drops.counters }
  private let state = Mutex(State())
  private nonisolated(unsafe) let shared: UnsafeMutablePointer<SharedState>
  private nonisolated(unsafe) let pool: OpaquePointer
  /// One from each worker.
  private let punts: [SlowPathRing]
  private let injections: SlowPathRing
  private let mailbox: Mailbox
  /// Wakes the worker that sends what is in `injections`.
  private let wakeWorker: @Sendable () -> Void

  /// Frames taken from one tap before turning to the next.
  private static let tapBatch = 16
  /// Probes leave room for frames from daemons, and vice versa.
  private static let reserve = SlowPathRing.capacity / 4
  private static let slotMilliseconds: Int32 = 50

  /// - Parameter reader: a number for RCU that no other thread has.
  init(
    shared: UnsafeMutablePointer<SharedState>, reader: UInt32, pool: OpaquePointer, punts: [SlowPathRing], injections: SlowPathRing,
    mailbox: Mailbox, wakeWorker: @escaping @Sendable () -> Void
  ) throws(VTEPError) {
    drops = try ThreadDrops(shared: shared, reader: reader)
    self.shared = shared
    self.pool = pool
    self.punts = punts
    self.injections = injections
    self.mailbox = mailbox
    self.wakeWorker = wakeWorker
  }

  // -- what the reconciler says ------------------------------------------------------------------------------------------

  /// Sets the taps of ports that punt.
  func setTaps(_ taps: [PortIndex: TapInterface]) {
    state.withLock { $0.taps = taps }
    wake()
  }

  /// Sets the places to probe; each keeps its token.
  func setProbes(_ targets: [ProbeTarget], intervalSeconds: UInt32) {
    let isNew = state.withLock { state in
      state.intervalSeconds = intervalSeconds
      guard state.targets != targets else { return false }
      let old = state.tokens
      state.targets = targets
      state.tokens = [:]
      state.probes = targets.map { target in
        let place = ProbeKey(port: target.port, vlan: target.vlan, vni: target.vni)
        let token = old[place] ?? .random(in: .min ... .max)
        state.tokens[place] = token
        return LoopProbe(
          daemon: shared.pointee.daemonID, token: token, port: target.port.rawValue, vlan: target.vlan, vni: target.vni)
      }
      return true
    }
    if isNew { wake() }
  }

  func wake() { cdpdk_event_signal(shared.pointee.slowPathEvent) }

  // -- the thread --------------------------------------------------------------------------------------------------------

  /// The thread's function: returns when the shared stop flag is set.
  func run() {
    var cycle = ProbeCycle()
    while !shared.pointee.stops.load(ordering: .relaxed) {
      wait()
      takePunts()
      readTaps()
      sendProbes(&cycle)
    }
  }

  /// Waits until a worker or the reconciler signals, a tap is readable, or probes are due.
  private func wait() {
    // Keeps a reference to each, so that no descriptor is reused for another file meanwhile.
    let (taps, isProbing) = state.withLock { (Array($0.taps), !$0.targets.isEmpty) }
    let hasRoom = injections.freeCount > Self.reserve
    var descriptors = [pollfd(fd: shared.pointee.slowPathEvent, events: Int16(POLLIN), revents: 0)]
    if hasRoom { descriptors += taps.map { pollfd(fd: $0.value.descriptor, events: Int16(POLLIN), revents: 0) } }
    guard poll(&descriptors, nfds_t(descriptors.count), isProbing || !hasRoom ? Self.slotMilliseconds : 1000) > 0 else { return }
    if descriptors[0].revents != 0 { cdpdk_event_clear(shared.pointee.slowPathEvent) }
    for (tap, descriptor) in zip(taps, descriptors.dropFirst()) where Int32(descriptor.revents) & POLLERR != 0 {
      // Somebody has deleted the interface.
      state.withLock { state in
        if state.taps[tap.key] === tap.value { state.taps[tap.key] = nil }
      }
      mailbox.post(.puntTapLost(tap.value.name))
    }
  }

  // -- from the workers --------------------------------------------------------------------------------------------------

  func takePunts() {
    let taps = state.withLock { $0.taps }
    var item = SlowPathItem()
    for ring in punts {
      for _ in 0..<SlowPathRing.capacity {
        guard ring.receive(&item) else { break }
        switch item.kind {
        case .frame: deliver(item, taps[item.port])
        case .bpdu: mailbox.post(.alarm(.bpdu(port: item.port)))
        case .returnedProbe: postLoop(item)
        // It has rings of its own.
        case .bfd: cdpdk_mbuf_free(item.mbuf)
        }
      }
    }
  }

  private func deliver(_ item: SlowPathItem, _ tap: TapInterface?) {
    guard let raw = item.mbuf else { return }
    let mbuf = Mbuf(raw)
    if tap?.write(mbuf.start, byteCount: mbuf.byteCount) != true {
      drops.count(mbuf, port: item.port, .puntTapDown)
    }
    mbuf.free()
  }

  /// Only a frame with the token came from the port, so that a guest cannot cause another guest's port to be shut.
  private func postLoop(_ item: SlowPathItem) {
    let probe = item.probe
    let token = state.withLock { $0.tokens[ProbeKey(port: PortIndex(probe.port), vlan: probe.vlan, vni: probe.vni)] }
    guard token == probe.token else { return }
    let place: PortAlarm.ReturnPlace =
      item.port == .absent ? .overlay(item.vni, sender: item.vtep) : .port(item.port, vlan: item.vlan)
    mailbox.post(.alarm(.loop(probe, place)))
  }

  // -- to the workers ----------------------------------------------------------------------------------------------------

  /// Sends frames that daemons wrote to the taps out of the ports. If the workers are behind, the frames wait in the kernel.
  private func readTaps() {
    var isSent = false
    for (port, tap) in state.withLock({ $0.taps }) {
      for _ in 0..<Self.tapBatch {
        guard injections.freeCount > Self.reserve, let raw = cdpdk_mbuf_alloc(pool) else { break }
        let mbuf = Mbuf(raw)
        let byteCount = tap.read(into: mbuf.start, capacity: Int(cdpdk_mbuf_tailroom(raw)))
        guard byteCount > 0, cdpdk_mbuf_append(raw, UInt16(byteCount)) != nil else {
          mbuf.free()
          break
        }
        guard !ControlFrame.isGeneralTraffic(mbuf.bytes) else {
          drops.count(mbuf, port: port, .puntNotControl)
          mbuf.free()
          continue
        }
        isSent = inject(mbuf, port: port) || isSent
      }
    }
    if isSent { wakeWorker() }
  }

  private func inject(_ mbuf: Mbuf, port: PortIndex) -> Bool {
    var item = SlowPathItem()
    item.port = port
    item.mbuf = mbuf.raw
    if injections.send(item) { return true }
    mbuf.free()
    return false
  }

  // -- loop probes -------------------------------------------------------------------------------------------------------

  /// Progress of the round over all places, which is spread over the interval.
  private struct ProbeCycle {
    var start = 0.0
    var sent = 0
  }

  private func sendProbes(_ cycle: inout ProbeCycle) {
    let (targets, probes, interval) = state.withLock { ($0.targets, $0.probes, Double($0.intervalSeconds)) }
    guard !targets.isEmpty else { return }
    let now = MonotonicClock.preciseSeconds()
    if cycle.sent >= targets.count, now >= cycle.start + interval { cycle = ProbeCycle(start: now) }
    let due = min(Int((now - cycle.start) / interval * Double(targets.count)) + 1, targets.count)
    var isSent = false
    while cycle.sent < due, injections.freeCount > Self.reserve, let raw = cdpdk_mbuf_alloc(pool) {
      let mbuf = Mbuf(raw)
      guard cdpdk_mbuf_append(raw, UInt16(LoopProbe.frameByteCount)) != nil else {
        mbuf.free()
        break
      }
      let target = targets[cycle.sent]
      mbuf.withMutableBytes { probes[cycle.sent].write(into: &$0, source: target.source, tpid: target.tpid) }
      isSent = inject(mbuf, port: target.port) || isSent
      cycle.sent += 1
    }
    if isSent { wakeWorker() }
  }
}
