// Tracer+Live: `vtepctl trace --live`: arms the workers' tap (LiveTap), and runs each copy that they have taken through the dry worker. One
// trace at a time; one that nobody asks for any more is ended by the next.

import CDPDK
import Encap
import MACTable

/// Which frames a live trace takes; nil: any.
public struct LiveTraceFilter: Sendable {
  /// Port or uplink that they come in at.
  public var port: String?
  public var vni: VNI?
  /// As in a capture: of the frame as it is on the wire, or of the one inside a packet.
  public var filter: PacketFilter?

  public init(port: String? = nil, vni: VNI? = nil, filter: PacketFilter? = nil) {
    self.port = port
    self.vni = vni
    self.filter = filter
  }
}

/// A frame that came by.
public struct LiveTraceReport: Sendable {
  /// Of a copy, which the dry worker forwarded a moment later; nil: there was no buffer for one.
  public var report: TraceReport?
  /// What the worker did with the frame itself.
  public var happened: String
  /// Both came to the same.
  public var agrees: Bool?
  public var worker: Int
}

/// A trace that is armed.
struct LiveTrace {
  var serial: Int
  var wanted: Int
  /// Workers run its program.
  var filter: PacketFilter?
  /// Frames that were handed over.
  var read = 0
  /// On `MonotonicClock`, when somebody last asked.
  var askedSeconds: UInt32
}

extension Tracer {
  /// A trace that nobody has asked for this long is nobody's.
  static let idleSeconds: UInt32 = 5

  /// - Returns: the number of the trace.
  func arm(_ filter: LiveTraceFilter, port: PortIndex, count: Int) throws(VTEPError) -> Int {
    try state.withLock { state throws(VTEPError) -> Int in
      let now = MonotonicClock.seconds()
      if let live = state.live, now &- live.askedSeconds < Self.idleSeconds {
        throw VTEPError(.refused, "live trace", "another one is running", remedy: "wait until it ends, or end it")
      }
      disarm(&state)
      if shared.pointee.liveTap.pool.pointee == nil {
        shared.pointee.liveTap.pool.pointee = try runtime.makeTracePool("vtepd-trace-live")
      }
      shared.pointee.liveTap.filter.pointee = LiveFilter(port: port, vni: filter.vni, program: filter.filter?.program)
      shared.pointee.liveTap.taken.store(0, ordering: .relaxed)
      // Only who has started a trace knows its number, and only that gives its frames away.
      state.serial = Int.random(in: 1...1 << 53)
      state.live = LiveTrace(serial: state.serial, wanted: count, filter: filter.filter, askedSeconds: now)
      shared.pointee.liveTap.wanted.store(count, ordering: .releasing)
      return state.serial
    }
  }

  /// Ends a trace; one that has ended already, nothing.
  func end(_ serial: Int) {
    state.withLock { if $0.live?.serial == serial { disarm(&$0) } }
  }

  /// Ends a trace that nobody asks for.
  ///
  /// - Returns: whether it has ended, now or before.
  func endIfIdle(_ serial: Int) -> Bool {
    state.withLock { state in
      guard let live = state.live, live.serial == serial else { return true }
      guard MonotonicClock.seconds() &- live.askedSeconds >= Self.idleSeconds else { return false }
      disarm(&state)
      return true
    }
  }

  /// What has come since the last call.
  ///
  /// - Returns: nil when there is no such trace.
  func next(_ serial: Int) throws(VTEPError) -> (frames: [(run: DryRun?, frame: TakenFrame)], isDone: Bool)? {
    try state.withLock { state throws(VTEPError) -> (frames: [(run: DryRun?, frame: TakenFrame)], isDone: Bool)? in
      guard var live = state.live, live.serial == serial else { return nil }
      live.askedSeconds = MonotonicClock.seconds()
      var frames: [(run: DryRun?, frame: TakenFrame)] = []
      while live.read < live.wanted, (shared.pointee.liveTap.frames + live.read).pointee.isReady.load(ordering: .acquiring) {
        let entry = shared.pointee.liveTap.frames + live.read
        let frame = TakenFrame(
          port: entry.pointee.port, worker: entry.pointee.worker, generation: entry.pointee.generation, outcome: entry.pointee.outcome)
        let copy = entry.pointee.copy
        entry.pointee.copy = nil
        live.read += 1
        state.live = live
        frames.append((try copy.map { raw throws(VTEPError) in try worker(&state).run(copy: Mbuf(raw), at: frame.port) }, frame))
      }
      state.live = live
      let isDone = live.read >= live.wanted
      if isDone { disarm(&state) }
      return (frames, isDone)
    }
  }

  /// A frame of the tap, and what a worker did with it.
  struct TakenFrame {
    var port: PortIndex
    var worker: Int
    var generation: UInt64
    var outcome: LiveOutcome
  }

  private var shared: UnsafeMutablePointer<SharedState> { context.pointee.shared }

  /// Takes the tap away from the workers, and waits until none can still be writing to it.
  private func disarm(_ state: inout State) {
    guard let live = state.live else { return }
    shared.pointee.liveTap.wanted.store(0, ordering: .sequentiallyConsistent)
    cdpdk_rcu_wait(shared.pointee.rcu)
    // And with it the filter, which no worker runs any more.
    state.live = nil
    for index in 0..<live.wanted {
      let entry = shared.pointee.liveTap.frames + index
      if let raw = entry.pointee.copy { cdpdk_mbuf_free(raw) }
      entry.pointee.copy = nil
      entry.pointee.isReady.store(false, ordering: .relaxed)
    }
  }
}

extension Reconciler {
  /// Takes copies of the next frames that match.
  ///
  /// - Returns: the number of the trace.
  public nonisolated func startLiveTrace(_ filter: LiveTraceFilter, count: Int) throws(VTEPError) -> Int {
    guard (1...LiveTap.capacity).contains(count) else {
      throw VTEPError(.refused, "count \(count)", "a live trace takes from 1 to \(LiveTap.capacity) frames", remedy: "give another count")
    }
    let state = running
    var port = PortIndex.absent
    if let name = filter.port {
      if let uplink = state.underlay.devices.first(where: { $0.name == name }) {
        port = uplink.portIndex
      } else {
        port = try state.traceablePort(name)
      }
    }
    if let vni = filter.vni, state.domains[vni] == nil {
      throw VTEPError(.refused, "VNI \(vni)", "there is no such VNI", remedy: "vtepctl show vnis lists them")
    }
    return try tracer.arm(filter, port: port, count: count)
  }

  /// What has come since the last call; nil: there is no such trace, or it has ended.
  public nonisolated func nextLiveTraces(_ serial: Int) throws(VTEPError) -> (reports: [LiveTraceReport], isDone: Bool)? {
    guard let (frames, isDone) = try tracer.next(serial) else { return nil }
    let state = running
    return (frames.map { run, frame in state.report(on: run, frame) }, isDone)
  }

  public nonisolated func endLiveTrace(_ serial: Int) { tracer.end(serial) }

  /// Ends a trace that nobody asks for.
  ///
  /// - Returns: whether it has ended, now or before.
  public nonisolated func endIdleLiveTrace(_ serial: Int) -> Bool { tracer.endIfIdle(serial) }
}

extension RunningState {
  fileprivate func report(on run: DryRun?, _ frame: Tracer.TakenFrame) -> LiveTraceReport {
    let outcome = frame.outcome
    let count = min(outcome.usedPorts, LiveOutcome.portCount)
    let ports = (0..<count).map { outcome.ports[$0] }
    var parts = ports.map { "\($0.frames) by \(portName($0.port))" }
    if outcome.usedPorts > count { parts.append("and by \(outcome.usedPorts - count) more ports") }
    var text = parts.isEmpty ? "" : "sent " + parts.joined(separator: ", ")
    func add(_ part: String) { text += (text.isEmpty ? "" : "; ") + part }
    if outcome.refused > 0 { add("\(outcome.refused) not taken by their port: see show drops") }
    if let reason = outcome.reason { add("dropped: \(reason.name)") }
    if outcome.held > 0 { add("held until the next hop's MAC address is resolved") }
    return LiveTraceReport(
      report: run.map(report), happened: text.isEmpty ? "taken, and nothing left" : text, agrees: run.map { agrees($0, ports, outcome) },
      worker: frame.worker)
  }

  /// Whether the copy came to the same as the frame.
  private func agrees(_ run: DryRun, _ ports: [LiveOutcome.Port], _ outcome: LiveOutcome) -> Bool {
    var sent: [PortIndex: UInt32] = [:]
    for frame in run.sent { sent[frame.port, default: 0] += 1 }
    let really = Dictionary(ports.map { ($0.port, $0.frames) }) { $1 }
    return sent == really && run.heldCount == outcome.held && run.drops.first { $0.port == run.port }?.reason == outcome.reason
  }
}
