// WorkerLoop: the loop of a worker's thread: forward, report quiescence, sleep when idle. Step E8.

import CDPDK
import Encap
import Glibc
import Synchronization

enum WorkerLoop {
  /// Rounds without a packet before an adaptive worker goes to sleep; at most a quarter of a second. Where all queues can be waited
  /// for, each is a system call. With none of them TCP between veths lost a tenth: it is cheaper to be awake when the next burst comes.
  private static let idleRounds = 4
  private static let idlePollingRounds = 64
  /// A worker that has found this many frames since it last slept rests for some microseconds, whatever comes, before it waits for events.
  /// One wake-up then serves what would have been several bursts, as with the interrupt moderation of network cards. Requests and answers,
  /// which come one by one, wait for nothing (docs/decisions/0035-rests.md).
  private static let restFrames = 4
  private static let restMicroseconds: UInt32 = 50
  /// Rounds in a row with full bursts after which a worker looks at the clock.
  private static let fullBursts = 4
  /// A worker with a queue that nothing can wait for sleeps in naps, in microseconds. Each that finds nothing makes the next an eighth
  /// longer: a frame waits for at most an eighth of the time since the last one, and for the longest nap (docs/decisions/0030-naps.md).
  private static let shortestNap = 32
  private static let longestNap = 1000

  /// The thread's function, for `rte_eal_remote_launch`. The argument is a `WorkerContext`.
  static let entry: @convention(c) (UnsafeMutableRawPointer?) -> Int32 = { argument in
    guard let context = argument?.assumingMemoryBound(to: WorkerContext.self) else { return -1 }
    run(context)
    return 0
  }

  private static func run(_ context: UnsafeMutablePointer<WorkerContext>) {
    let shared = context.pointee.shared
    let thread = UInt32(context.pointee.index)
    var worker = Worker(context.pointee)
    cdpdk_rcu_register(shared.pointee.rcu, thread)
    cdpdk_rcu_online(shared.pointee.rcu, thread)

    let activity = worker.counters.activity
    Watchdog.enroll(activity)
    var idle = 0
    /// Since the clock was last read.
    var packets = 0
    var bursts = 0
    /// Frames since the last sleep or rest.
    var frames = 0
    var nap = shortestNap
    var before = cdpdk_cycles()
    worker.nowCycles = before
    // Frames may wait already, and what they refresh must not look ages old.
    worker.nowSeconds = MonotonicClock.seconds()
    var nextTick: UInt64 = 0
    let tickCycles = cdpdk_cycles_per_second() / 20
    while !shared.pointee.stops.load(ordering: .relaxed) {
      let count = worker.runOnce()
      cdpdk_rcu_quiescent(shared.pointee.rcu, thread)

      if count > 0 {
        packets &+= count
        bursts &+= 1
        idle = 0
        frames &+= count
        nap = shortestNap
      } else {
        idle += 1
      }
      // To read the clock costs as much as a packet.
      if count >= Limits.burst && bursts < fullBursts { continue }
      let now = cdpdk_cycles()
      activity.pointee.totalCycles.add(now &- before)
      if bursts > 0 {
        activity.pointee.packets.add(UInt64(packets))
        activity.pointee.bursts.add(UInt64(bursts))
        activity.pointee.busyCycles.add(now &- before)
        packets = 0
        bursts = 0
      }
      before = now
      worker.nowCycles = now
      if now >= nextTick {
        nextTick = now &+ tickCycles
        worker.nowSeconds = MonotonicClock.seconds()
        worker.rareWorkIsDue = true
        worker.budgetsAreDue = true
      } else if worker.readiness.takeSignal() {
        worker.rareWorkIsDue = true
      }
      let isNap = worker.readiness.mustPoll
      let patience = isNap ? idlePollingRounds : idleRounds
      guard context.pointee.sleepsWhenIdle && idle >= patience && worker.readiness.count == 0 else { continue }
      let isWoken: Bool
      if frames >= restFrames && !isNap {
        rest(context)
        isWoken = false
      } else {
        isWoken = sleep(&worker, context, microseconds: isNap ? nap : worker.isHolding ? 20_000 : 250_000)
      }
      frames = 0
      if isNap { nap = min(nap + nap / 8, longestNap) }
      // Time asleep counts as time, not as work.
      let awake = cdpdk_cycles()
      activity.pointee.totalCycles.add(awake &- before)
      before = awake
      worker.nowCycles = awake
      idle = isWoken ? 0 : patience - 1
    }
    cdpdk_rcu_offline(shared.pointee.rcu, thread)
    cdpdk_rcu_unregister(shared.pointee.rcu, thread)
  }

  /// - Returns: false when the time was over before there was an event.
  private static func sleep(_ worker: inout Worker, _ context: UnsafeMutablePointer<WorkerContext>, microseconds: Int) -> Bool {
    let rcu = context.pointee.shared.pointee.rcu
    let thread = UInt32(context.pointee.index)
    cdpdk_rcu_offline(rcu, thread)
    defer { cdpdk_rcu_online(rcu, thread) }
    context.pointee.sleeper?.pointee.note(nap: microseconds)
    defer { context.pointee.sleeper?.pointee.note(nap: 0) }
    return worker.readiness.wait(microseconds: microseconds)
  }

  private static func rest(_ context: UnsafeMutablePointer<WorkerContext>) {
    let rcu = context.pointee.shared.pointee.rcu
    let thread = UInt32(context.pointee.index)
    cdpdk_rcu_offline(rcu, thread)
    defer { cdpdk_rcu_online(rcu, thread) }
    usleep(restMicroseconds)
  }
}

extension Worker {
  /// Frames wait for something that the control side or a neighbour is about to say.
  var isHolding: Bool { !held.isEmpty || !awaited.isEmpty }

  /// Wakes a sleeping learner when events wait for it.
  @inline(never)
  mutating func wakeLearner() {
    sentLearnEvents = false
    guard shared.pointee.learnerSleeps.exchange(false, ordering: .sequentiallyConsistent) else { return }
    cdpdk_event_signal(shared.pointee.learnerEvent)
  }
}
