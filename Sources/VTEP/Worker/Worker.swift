// Worker: one forwarding thread. It owns everything that it writes: scratch arrays, transmit batches, held frames and counters.
// It only reads the snapshot and the MAC table. Frames pass through the extensions in this order:
// Worker+Access (from a port) or Worker+Underlay (from the wire), Worker+Learn, Worker+LookUp, Worker+Dispatch,
// Worker+Deliver, Worker+Flood or Worker+Encapsulate, Worker+Transmit.
// All methods are mutating, also those that change nothing: before a call of one that only borrows, Swift 6.3 copies the whole
// struct, although it is noncopyable (750 bytes per burst or per packet, until 2026-11-29).

import CDPDK
import Encap
import MACTable

struct Worker: ~Copyable {
  /// The current burst; nil where a step has dropped or taken a frame. Room for as many buckets follows (`bucket`). The first field, since
  /// ThreadSanitizer builds want a pointer there (scripts/sanitize).
  let frames: UnsafeMutablePointer<OpaquePointer?>
  let index: Int
  let shared: UnsafeMutablePointer<SharedState>
  let table: MACTableReader
  let counters: WorkerCounters
  /// One per worker.
  let learnRings: UnsafeMutablePointer<LearnRing>
  let workers: Int
  let punts: SlowPathRing
  /// Nil: another worker sends the control side's frames.
  let injections: SlowPathRing?
  let bfdArrivals: SlowPathRing
  let bfdDepartures: SlowPathRing?
  let pool: OpaquePointer
  /// Buffers of nearly 64 KiB.
  let largePool: OpaquePointer
  /// Buffers without room of their own, for views of others' bytes.
  let slicePool: OpaquePointer

  let stage: UnsafeMutablePointer<StagedFrame>
  /// The packets of a burst whose frames are more than a burst, see `receiveNoted`.
  let arrivals: UnsafeMutablePointer<OpaquePointer?>
  /// Frames whose source must be looked up.
  let unsighted: UnsafeMutablePointer<UnsightedFrame>
  var unsightedCount = 0
  var sightings: Sightings

  /// Frames of the current burst that came in through tagged bindings.
  var receivedTagged = BatchSize()
  /// Every frame of the current burst, which comes from a port, is of the untagged binding, and its buffer has the first one's shape.
  var isBurstPlain = false
  /// Bytes of the current burst. In memory: the compiler would keep each frame's length until it has dealt with the frame.
  var receivedBytes: UInt64 = 0
  // Of the current burst, in memory for the same reason: frames of one domain that were sent into tunnels, and their bytes, apart from each
  // other, since the compiler would add both in one vector, at a greater cost; and the frame that comes next.
  var tunnelledFrames: UInt64 = 0
  var nextFrame: UnsafeMutablePointer<OpaquePointer?>
  var tunnelledBytes: UInt64 = 0
  /// Bit n: frame n of the current burst from a port is not an everyday one.
  var uncommonFrames: UInt32 = 0

  /// `Limits.batches` batches of `Limits.transmitBatch` buffers: the first `batchCount` are in use, each by one port.
  let batches: UnsafeMutablePointer<OpaquePointer?>
  let batchSizes: UnsafeMutablePointer<BatchSize>
  let batchPorts: UnsafeMutablePointer<PortIndex>
  /// Per port: its batch, or `noBatch`.
  let batchOfPort: UnsafeMutablePointer<UInt8>
  var batchCount = 0
  /// The batches that the short cuts add to (Worker+Plain): of an uplink, of an untagged binding, and of a port's tagged bindings.
  var uplinkRun: BatchRun
  var localRun: BatchRun
  var taggedRun: BatchRun
  var batchOfTaggedRun = 0
  /// TPID of its tags, in the upper half.
  var tpidOfTaggedRun: UInt32 = 0
  /// Bit n: frames of tagged bindings are in batch n.
  var taggedBatches: UInt64 = 0
  /// Per batch: the segments joined into its last frame.
  let joinedSegments: UnsafeMutablePointer<JoinedSegments>
  /// Binding and size of each frame in the batch being sent.
  let sentFrames: UnsafeMutablePointer<SentFrame>
  /// For a port with several queues: the queue of each frame, and the frames of one queue.
  let queueOfFrame: UnsafeMutablePointer<UInt8>
  let framesOfQueue: UnsafeMutablePointer<OpaquePointer?>
  /// One lock per port and transmit queue, for devices with fewer queues than there are workers.
  let transmitLocks: UnsafeMutablePointer<UInt32>

  var snapshot: UnsafePointer<ForwardingSnapshot>
  /// Nil: nothing is captured.
  var captures: UnsafePointer<CaptureTaps>?
  private var generation: UInt64 = 0
  var readiness: Readiness
  var receiver: KernelReceiver
  var sender = KernelSender()
  /// Of `nowSeconds`, when `countMissed` was called last.
  private var missedSecond: UInt32 = 0

  let guests = GuestSlot.all
  /// This worker's pool for frames from guests, once there is one.
  let guestPool: UnsafeMutablePointer<GuestPool>
  /// Buffers taken from it since everything was sent.
  var guestBuffers = 0
  /// By slot of a receive queue: rounds in vain, or `awaitsKick`.
  let guestRounds: UnsafeMutablePointer<UInt8>

  var nowSeconds: UInt32 = 0
  /// Time-stamp counter at the end of the last round.
  var nowCycles: UInt64 = 0
  var sentLearnEvents = false

  /// Serial of the latest announcement sent.
  var announced: UInt64 = 0

  /// Per port: remaining budget of the slow path until the next tick.
  let slowPathBudgets: UnsafeMutablePointer<UInt16>
  /// The same of NICs and taps of owned uplinks, `HostFrameClass.count` per port.
  let hostBudgets: UnsafeMutablePointer<UInt32>
  /// Control frames that leave before everything else, and where to.
  let controlFrames: UnsafeMutablePointer<OpaquePointer?>
  let controlPorts: UnsafeMutablePointer<PortIndex>
  var controlCount = 0
  /// Per port; of NICs of owned uplinks.
  let uplinkLoads: UnsafeMutablePointer<UplinkLoad>

  /// For filters of captures.
  let captureBeginning: UnsafeMutableRawPointer
  /// Of the frame that access control lists are asked about.
  let flowKey: FlowKey

  var held: HeldFrames
  /// Packets of routers that wait for a next hop's MAC address.
  var awaited = AwaitedNeighbors()
  var routerErrors = RouterErrorBudget()
  var fragments = RouterFragments()
  /// By neighbour: the second in which a router has last asked it again.
  let verified: UnsafeMutablePointer<UInt32>
  /// For a live trace: a burst, the frames that each port had sent before, and drops at the port of the burst by their reasons.
  let tapped: UnsafeMutablePointer<OpaquePointer?>
  let tappedSent: UnsafeMutablePointer<UInt64>
  let tappedDrops: UnsafeMutablePointer<UInt64>
  /// Only of a dry worker: what it would send.
  let recorder: UnsafeMutablePointer<FrameRecorder>?
  /// Nil: nobody needs neighbours.
  let neighbors: NeighborReader?
  /// Set from time to time: handle held frames and the slow path in the next round.
  var rareWorkIsDue = false
  /// Set twenty times a second: what is due beyond that, since the control side has a frame, refills nothing.
  var budgetsAreDue = false

  init(_ context: borrowing WorkerContext, sightings: Sightings = Sightings()) {
    self.sightings = sightings
    index = context.index
    shared = context.shared
    table = context.table
    counters = context.counters
    learnRings = context.learnRings
    workers = context.workers
    punts = context.punts
    injections = context.injections
    bfdArrivals = context.bfdArrivals
    bfdDepartures = context.bfdDepartures
    pool = context.pool
    largePool = context.largePool
    slicePool = context.slicePool
    transmitLocks = context.transmitLocks
    frames = .allocate(capacity: Limits.burst * 2)
    nextFrame = frames
    stage = .allocate(capacity: Limits.burst)
    arrivals = .allocate(capacity: Limits.burst)
    unsighted = .allocate(capacity: Limits.burst)
    batches = .allocate(capacity: Limits.batches * Limits.transmitBatch)
    batchSizes = .allocate(capacity: Limits.batches)
    batchSizes.initialize(repeating: BatchSize(), count: Limits.batches)
    uplinkRun = BatchRun(size: batchSizes, frames: batches)
    localRun = uplinkRun
    taggedRun = uplinkRun
    batchPorts = .allocate(capacity: Limits.batches)
    batchOfPort = .allocate(capacity: Limits.ports)
    batchOfPort.initialize(repeating: Self.noBatch, count: Limits.ports)
    joinedSegments = .allocate(capacity: Limits.batches)
    joinedSegments.initialize(repeating: JoinedSegments(), count: Limits.batches)
    sentFrames = .allocate(capacity: Limits.transmitBatch)
    queueOfFrame = .allocate(capacity: Limits.transmitBatch)
    framesOfQueue = .allocate(capacity: Limits.transmitBatch)
    slowPathBudgets = .allocate(capacity: Limits.ports)
    slowPathBudgets.initialize(repeating: Self.slowPathBudget, count: Limits.ports)
    hostBudgets = .allocate(capacity: Limits.ports * HostFrameClass.count)
    controlFrames = .allocate(capacity: Limits.controlFrames)
    controlPorts = .allocate(capacity: Limits.controlFrames)
    uplinkLoads = .allocate(capacity: Limits.ports)
    uplinkLoads.initialize(repeating: UplinkLoad(), count: Limits.ports)
    for port in 0..<Limits.ports { HostFrameClass.refill(hostBudgets + port * HostFrameClass.count) }
    captureBeginning = .allocate(byteCount: CaptureLook.filterByteCount, alignment: 8)
    flowKey = FlowKey()
    held = HeldFrames()
    verified = .allocate(capacity: Self.verifiedCount)
    verified.initialize(repeating: 0, count: Self.verifiedCount)
    readiness = Readiness(epoll: context.epoll)
    receiver = KernelReceiver(pool: context.pool, largePool: context.largePool)
    recorder = context.recorder
    neighbors = context.neighbors
    tapped = .allocate(capacity: Limits.burst)
    tappedSent = .allocate(capacity: Limits.ports)
    tappedDrops = .allocate(capacity: DropReason.count)
    guestPool = GuestPools.ofWorkers + context.index
    guestRounds = .allocate(capacity: Limits.receiveQueues)
    guestRounds.initialize(repeating: 0, count: Limits.receiveQueues)
    snapshot = Self.current(context.shared)
    counters.droppedFrames.begin()
  }

  deinit {
    held.frames.forEach { $0.mbuf.free() }
    verified.deallocate()
    cdpdk_mbuf_free_bulk(controlFrames, UInt32(controlCount))
    frames.deallocate()
    stage.deallocate()
    arrivals.deallocate()
    unsighted.deallocate()
    sightings.deallocate()
    batches.deallocate()
    batchSizes.deallocate()
    batchPorts.deallocate()
    batchOfPort.deallocate()
    joinedSegments.deallocate()
    sentFrames.deallocate()
    queueOfFrame.deallocate()
    framesOfQueue.deallocate()
    slowPathBudgets.deallocate()
    hostBudgets.deallocate()
    controlFrames.deallocate()
    controlPorts.deallocate()
    uplinkLoads.deallocate()
    captureBeginning.deallocate()
    flowKey.deallocate()
    guestRounds.deallocate()
    tapped.deallocate()
    tappedSent.deallocate()
    tappedDrops.deallocate()
  }

  /// The bucket of the destination of the frame at a position of `frames`, between the passes of Worker+AtOnce: at a constant distance, so
  /// that one pointer serves for both.
  @inline(always)
  static func bucket(at frame: UnsafeMutablePointer<OpaquePointer?>) -> UnsafeMutablePointer<MACBucket> {
    UnsafeMutableRawPointer(frame + Limits.burst).assumingMemoryBound(to: MACBucket.self)
  }

  @inline(always)
  static func current(_ shared: UnsafeMutablePointer<SharedState>) -> UnsafePointer<ForwardingSnapshot> {
    // The control side publishes a snapshot before it starts workers.
    UnsafePointer(bitPattern: shared.pointee.snapshot.load(ordering: .acquiring)).unsafelyUnwrapped
  }

  /// One round: takes the current snapshot, takes a burst from every polled receive queue and from every one in which frames wait,
  /// and sends everything. No reference to the snapshot remains afterwards.
  ///
  /// - Returns: the number of packets received.
  mutating func runOnce() -> Int {
    snapshot = Self.current(shared)
    captures = shared.pointee.currentCaptures
    if snapshot.pointee.generation != generation {
      generation = snapshot.pointee.generation
      if !held.isEmpty { releaseHeldFrames() }
      if snapshot.pointee.announcementCount > 0 && index == 0 { announce() }
      readiness.follow(snapshot, worker: index)
    }

    var total = 0
    let queues = snapshot.pointee.receiveQueues
    let end = Int(snapshot.pointee.polledQueueEnds[index])
    var next = Int(snapshot.pointee.receiveQueueStarts[index])
    while next < end {
      let count = receive(from: queues + next)
      next += 1
      if count > 0 { total += count }
    }
    if readiness.isDue { total += receiveFromReady(isBusy: total > 0) }
    if rareWorkIsDue {
      rareWorkIsDue = false
      if bfdDepartures != nil { sendBFD() }
      if !held.isEmpty { releaseHeldFrames() }
      if !awaited.isEmpty { serveAwaited() }
      if fragments.isWaiting { expireFragments() }
      if budgetsAreDue { refillBudgets() }
      sendInjections()
      if nowSeconds != missedSecond {
        missedSecond = nowSeconds
        countMissed()
      }
      total += visitGuests()
    }
    if batchCount != 0 { flushBatches() } else if controlCount != 0 { flushControlFrames() }
    if sentLearnEvents { wakeLearner() }
    return total
  }
}
