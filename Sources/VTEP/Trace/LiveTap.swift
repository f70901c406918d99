// LiveTap: `vtepctl trace --live`: workers take copies of the next frames that match, and note what they do with each. Steps E1 and D1.
// A worker asks once per burst whether a trace is armed. If so, a burst with a frame that matches is forwarded frame by frame, so that what
// becomes of each shows in the batches and counters between them.

import CDPDK
import Encap
import MACTable
import Synchronization

/// What a frame must be; absent and nil: anything.
struct LiveFilter {
  var port = PortIndex.absent
  var vni: VNI?
  /// Of a `PacketFilter`, which must live as long as the trace is armed. As in a capture, it may match the frame inside a packet, too.
  var program: OpaquePointer?
}

/// What a worker did with a frame.
struct LiveOutcome {
  static let portCount = 8

  /// Frames that a port has taken.
  struct Port {
    var port = PortIndex.absent
    var frames: UInt32 = 0
  }

  /// The first ones of `usedPorts`.
  var ports = InlineArray<8, Port>(repeating: Port())
  var usedPorts = 0
  /// Frames that a port had no room for, or that exceeded its limit.
  var refused: UInt64 = 0
  /// Counted at the port that it came in at; the first one.
  var reason: DropReason?
  /// Frames that wait for a next hop.
  var held = 0
}

/// A frame that was taken.
struct LiveFrame: ~Copyable {
  /// The rest is written.
  let isReady = Atomic<Bool>(false)
  /// Nil: there was no buffer for a copy.
  var copy: OpaquePointer?
  var port = PortIndex.absent
  var worker = 0
  /// Of the snapshot that it was forwarded with.
  var generation: UInt64 = 0
  var outcome = LiveOutcome()
}

/// The place where workers and whoever traces meet. One trace at a time.
struct LiveTap: ~Copyable {
  /// Frames that one trace may take.
  static let capacity = 256

  /// Frames that the trace wants; 0: none is armed.
  let wanted = Atomic<Int>(0)
  /// Frames that workers have taken, or tried to.
  let taken = Atomic<Int>(0)
  /// Written while no worker looks.
  let filter: UnsafeMutablePointer<LiveFilter>
  let frames: UnsafeMutablePointer<LiveFrame>
  /// For the copies.
  let pool: UnsafeMutablePointer<OpaquePointer?>

  init() {
    filter = .allocate(capacity: 1)
    filter.initialize(to: LiveFilter())
    frames = .allocate(capacity: Self.capacity)
    for index in 0..<Self.capacity { (frames + index).initialize(to: LiveFrame()) }
    pool = .allocate(capacity: 1)
    pool.initialize(to: nil)
  }
}

extension Worker {
  /// Forwards a burst frame by frame if a frame of it matches the armed trace.
  ///
  /// - Returns: false: none matches; the burst is still to be forwarded.
  @inline(never)
  mutating func forwardTapped(_ count: Int, _ queue: UnsafePointer<ReceiveQueue>, _ port: UnsafePointer<PortEntry>) -> Bool {
    var matching: UInt32 = 0
    for index in 0..<count where isWanted(Mbuf(frames[index].unsafelyUnwrapped), queue.pointee.port) {
      matching |= 1 &<< UInt32(truncatingIfNeeded: index)
    }
    guard matching != 0 else { return false }
    tapped.update(from: frames, count: count)
    for index in 0..<count {
      frames[0] = tapped[index]
      if matching & 1 &<< UInt32(truncatingIfNeeded: index) == 0 {
        forwardReceived(1, queue, port)
      } else {
        forwardNoted(queue, port)
      }
    }
    return true
  }

  private mutating func isWanted(_ mbuf: Mbuf, _ portIndex: PortIndex) -> Bool {
    let filter = shared.pointee.liveTap.filter.pointee
    if filter.port != .absent, filter.port != portIndex { return false }
    guard filter.vni != nil || filter.program != nil else { return true }
    let look = look()
    var record = CaptureRecord()
    record.port = portIndex
    let inner = look.describe(mbuf, &record)
    if let vni = filter.vni, vni.rawValue != record.vni { return false }
    guard let program = filter.program else { return true }
    return look.matches(mbuf, inner: inner, program)
  }

  /// Takes a copy of the frame in `frames[0]`, forwards it alone, and notes what became of it.
  private mutating func forwardNoted(_ queue: UnsafePointer<ReceiveQueue>, _ port: UnsafePointer<PortEntry>) {
    let wanted = shared.pointee.liveTap.wanted.load(ordering: .acquiring)
    let slot = shared.pointee.liveTap.taken.add(1, ordering: .relaxed).oldValue
    guard slot < wanted else {
      // Enough: the next burst is nobody's business.
      shared.pointee.liveTap.wanted.store(0, ordering: .relaxed)
      forwardReceived(1, queue, port)
      return
    }
    let portIndex = queue.pointee.port
    let entry = shared.pointee.liveTap.frames + slot
    entry.pointee.port = portIndex
    entry.pointee.worker = index
    entry.pointee.generation = snapshot.pointee.generation
    entry.pointee.copy = shared.pointee.liveTap.pool.pointee.flatMap { cdpdk_mbuf_copy(frames[0].unsafelyUnwrapped, $0) }
    flushBatches()
    noteCounters(portIndex)
    let heldBefore = held.count
    forwardReceived(1, queue, port)
    entry.pointee.outcome = outcome(portIndex, heldBefore: heldBefore)
    entry.pointee.isReady.store(true, ordering: .releasing)
  }

  /// What the counters say since `noteCounters`. Sends the rest.
  private mutating func outcome(_ portIndex: PortIndex, heldBefore: Int) -> LiveOutcome {
    var given: UInt64 = 0
    for batch in 0..<batchCount { given &+= UInt64(batchSizes[batch].frames) &+ sentSince(Int(batchPorts[batch])) }
    flushBatches()
    var outcome = LiveOutcome()
    var sent: UInt64 = 0
    for port in 0..<Limits.ports {
      let count = sentSince(port)
      guard count != 0 else { continue }
      sent &+= count
      if outcome.usedPorts < LiveOutcome.portCount {
        outcome.ports[outcome.usedPorts] = LiveOutcome.Port(port: PortIndex(port), frames: UInt32(truncatingIfNeeded: count))
      }
      outcome.usedPorts &+= 1
    }
    outcome.refused = given > sent ? given &- sent : 0
    outcome.held = held.count &- heldBefore
    outcome.reason = firstNewReason(portIndex)
    return outcome
  }

  private mutating func sentSince(_ port: Int) -> UInt64 { counters.ports[port].txPackets.value &- tappedSent[port] }

  private mutating func noteCounters(_ portIndex: PortIndex) {
    for port in 0..<Limits.ports { tappedSent[port] = counters.ports[port].txPackets.value }
    for reason in 0..<DropReason.count { tappedDrops[reason] = (counters.drop(port: portIndex, .runtFrame) + reason).pointee.value }
  }

  private mutating func firstNewReason(_ port: PortIndex) -> DropReason? {
    for reason in 0..<DropReason.count where (counters.drop(port: port, .runtFrame) + reason).pointee.value != tappedDrops[reason] {
      return DropReason(rawValue: UInt8(truncatingIfNeeded: reason))
    }
    return nil
  }
}
