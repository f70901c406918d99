// IOThread: an io-core. It takes frames from queues of NICs and gives each to the ring of a worker, chosen by a hash of the outer flow, so
// that a flow stays in order; and it sends what workers put into their rings. Before step D1 and after E7; docs/decisions/0037-io-cores.md.

import CDPDK
import Encap
import MACTable

struct IOThread: ~Copyable {
  /// The current burst. The first field, as in `Worker`.
  private let frames: UnsafeMutablePointer<OpaquePointer?>
  private let index: Int
  private let shared: UnsafeMutablePointer<SharedState>
  private let counters: WorkerCounters
  /// The burst by ring, `Limits.burst` places for each.
  private let sorted: UnsafeMutablePointer<OpaquePointer?>
  private let counts: UnsafeMutablePointer<Int>
  /// Its number among the threads of captures.
  private let captureRing: Int
  private let captureBeginning: UnsafeMutableRawPointer
  /// It had a NIC's queue in the last round.
  private(set) var hasQueues = false

  init(_ context: borrowing IOContext) {
    index = context.index
    shared = context.shared
    counters = context.counters
    captureRing = Int(context.reader)
    captureBeginning = .allocate(byteCount: CaptureLook.filterByteCount, alignment: 64)
    frames = .allocate(capacity: Limits.burst)
    sorted = .allocate(capacity: Limits.workers * Limits.burst)
    counts = .allocate(capacity: Limits.workers)
    counts.initialize(repeating: 0, count: Limits.workers)
  }

  deinit {
    frames.deallocate()
    sorted.deallocate()
    counts.deallocate()
    captureBeginning.deallocate()
  }

  /// One round: a burst from each queue of a NIC, and one from each ring of a worker that is sent by it. No reference to the snapshot
  /// or a queue remains afterwards.
  ///
  /// - Returns: the number of frames.
  mutating func runOnce() -> Int {
    let snapshot = Worker.current(shared)
    var total = 0
    var position = Int(snapshot.pointee.ioQueueStarts[index])
    let end = Int(snapshot.pointee.ioQueueStarts[index &+ 1])
    hasQueues = position < end
    while position < end {
      let queue = snapshot.pointee.ioQueues[position]
      total &+= receive(queue) &+ send(queue)
      position &+= 1
    }
    return total
  }

  // -- from the NIC -----------------------------------------------------------------------------------------------------

  private mutating func receive(_ queue: UnsafeMutablePointer<IOQueue>) -> Int {
    let count = Int(cdpdk_rx_burst(queue.pointee.nic, queue.pointee.number, frames, UInt16(Limits.burst)))
    if count == 0 { return 0 }
    let rings = queue.pointee.ringCount
    guard rings > 1 else {
      put(frames, count, ring: 0, queue)
      return count
    }
    if queue.pointee.isHardware, cdpdk_mbuf_has_hash(frames[0]) == 0 {
      for position in 0..<count { cdpdk_prefetch(cdpdk_mbuf_data(frames[position])) }
    }
    for position in 0..<count {
      let mbuf = Mbuf(frames[position].unsafelyUnwrapped)
      let ring = IOQueue.ring(of: Self.hash(mbuf), count: rings)
      sorted[ring &* Limits.burst &+ counts[ring]] = mbuf.raw
      counts[ring] &+= 1
    }
    for ring in 0..<rings where counts[ring] != 0 {
      put(sorted + ring &* Limits.burst, counts[ring], ring: ring, queue)
      counts[ring] = 0
    }
    return count
  }

  /// Of the outer flow: the NIC's, or else as the inner flow's (`InnerFlow`): 5-tuple; addresses of fragments; all else that tells frames
  /// of one sender from others.
  @inline(always)
  private static func hash(_ mbuf: Mbuf) -> UInt32 {
    if cdpdk_mbuf_has_hash(mbuf.raw) != 0 { return cdpdk_mbuf_hash(mbuf.raw) }
    let bytes = mbuf.bytes
    return bytes.byteCount >= 14 ? InnerFlow(frame: bytes).hash : 0
  }

  /// Gives frames to a worker. Those for which there is no room are dropped, control frames last.
  @inline(always)
  private mutating func put(
    _ batch: UnsafeMutablePointer<OpaquePointer?>, _ count: Int, ring: Int, _ queue: UnsafeMutablePointer<IOQueue>
  ) {
    let pair = queue.pointee.rings + ring
    let room = Int(cdpdk_packets_room(pair.pointee.toWorker))
    let kept = room >= count &+ RingDevice.reserve ? count : relieve(batch, count, room: room, port: queue.pointee.port)
    let taken = Int(cdpdk_packets_put(pair.pointee.toWorker, batch, UInt32(truncatingIfNeeded: kept)))
    // Another io-core has been faster.
    if taken < kept { drop(batch + taken, kept &- taken, port: queue.pointee.port) }
    pair.pointee.worker?.pointee.wake()
  }

  /// Drops from a batch what must not take the last places in a ring.
  ///
  /// - Returns: how many frames are left, in order.
  @inline(never)
  private mutating func relieve(_ batch: UnsafeMutablePointer<OpaquePointer?>, _ count: Int, room: Int, port: PortIndex) -> Int {
    var kept = 0
    for position in 0..<count {
      let mbuf = Mbuf(batch[position].unsafelyUnwrapped)
      let needed = HostFrameClass(mbuf.bytes) == .host ? kept &+ RingDevice.reserve : kept
      if needed < room {
        batch[kept] = mbuf.raw
        kept &+= 1
      } else {
        drop(batch + position, 1, port: port)
      }
    }
    return kept
  }

  @inline(never)
  private mutating func drop(_ batch: UnsafeMutablePointer<OpaquePointer?>, _ count: Int, port: PortIndex) {
    var byteCount: UInt64 = 0
    let look = CaptureLook(
      snapshot: Worker.current(shared), captures: shared.pointee.currentCaptures, beginning: captureBeginning, ring: captureRing)
    for position in 0..<count {
      let mbuf = Mbuf(batch[position].unsafelyUnwrapped)
      byteCount &+= UInt64(truncatingIfNeeded: mbuf.byteCount)
      counters.countDrop(mbuf, port: port, .receiveFull, look)
    }
    cdpdk_mbuf_free_bulk(batch, UInt32(truncatingIfNeeded: count))
    counters.ports[Int(port)].addReceived(packets: UInt64(truncatingIfNeeded: count), bytes: byteCount)
  }

  // -- to the NIC -------------------------------------------------------------------------------------------------------

  /// Frames that the NIC does not take stay, and so do those behind them: workers find their rings full then, and drop what comes next.
  private mutating func send(_ queue: UnsafeMutablePointer<IOQueue>) -> Int {
    if queue.pointee.unsentCount != 0, !transmit(queue) { return 0 }
    var total = 0
    var left = queue.pointee.ringCount
    while left > 0 {
      left &-= queue.pointee.step
      let ring = queue.pointee.rings[queue.pointee.nextRing].fromWorker
      queue.pointee.nextRing &+= queue.pointee.step
      if queue.pointee.nextRing >= queue.pointee.ringCount { queue.pointee.nextRing = Int(queue.pointee.number) }
      let count = Int(cdpdk_packets_take(ring, queue.pointee.unsent, UInt32(Limits.burst)))
      if count == 0 { continue }
      total &+= count
      queue.pointee.unsentStart = 0
      queue.pointee.unsentCount = count
      if !transmit(queue) { break }
    }
    return total
  }

  /// - Returns: whether the NIC has taken everything.
  @inline(always)
  private mutating func transmit(_ queue: UnsafeMutablePointer<IOQueue>) -> Bool {
    let sent = Int(
      cdpdk_tx_burst(
        queue.pointee.nic, queue.pointee.number, queue.pointee.unsent + queue.pointee.unsentStart,
        UInt16(truncatingIfNeeded: queue.pointee.unsentCount)))
    queue.pointee.unsentStart &+= sent
    queue.pointee.unsentCount &-= sent
    return queue.pointee.unsentCount == 0
  }
}
