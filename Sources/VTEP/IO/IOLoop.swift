// IOLoop: the loop of an io-core's thread: carry frames, report quiescence, nap when idle. Nothing can be waited for at a NIC's queue, so
// it naps like a worker with such a queue (WorkerLoop, docs/decisions/0030-naps.md).

import CDPDK
import Encap
import Synchronization

/// Everything an io-core needs, in memory that outlives its thread.
struct IOContext {
  var index: Int
  /// Its number among the readers of snapshots.
  var reader: UInt32
  var shared: UnsafeMutablePointer<SharedState>
  /// Activity, and what found no room.
  var counters: WorkerCounters
  var sleepsWhenIdle: Bool
  var sleeper: UnsafeMutablePointer<Sleeper>
  /// Waits for the sleeper's event.
  var epoll: Int32

  init(index: Int, workers: Int, shared: UnsafeMutablePointer<SharedState>, sleepsWhenIdle: Bool) throws(VTEPError) {
    self.index = index
    reader = UInt32(workers + index)
    self.shared = shared
    counters = try WorkerCounters()
    self.sleepsWhenIdle = sleepsWhenIdle
    sleeper = Sleeper.make(event: cdpdk_event_create())
    epoll = cdpdk_epoll_create()
    _ = cdpdk_epoll_add(epoll, sleeper.pointee.event, 0, 0)
  }
}

enum IOLoop {
  /// Time without a frame before the first nap, in microseconds. Rounds are too short to be counted: one between two batches of a busy
  /// worker is no reason to sleep, and while an io-core sleeps a ring is full in 15 µs.
  private static let patience: UInt64 = 50
  /// In microseconds; each nap that finds nothing makes the next an eighth longer.
  private static let shortestNap = 32
  private static let longestNap = 1000
  /// There is no NIC.
  private static let longestSleep = 250_000

  /// The thread's function, for `rte_eal_remote_launch`. The argument is an `IOContext`.
  static let entry: @convention(c) (UnsafeMutableRawPointer?) -> Int32 = { argument in
    guard let context = argument?.assumingMemoryBound(to: IOContext.self) else { return -1 }
    run(context)
    return 0
  }

  private static func run(_ context: UnsafeMutablePointer<IOContext>) {
    let shared = context.pointee.shared
    let rcu = shared.pointee.rcu
    let reader = context.pointee.reader
    let activity = context.pointee.counters.activity
    Watchdog.enroll(activity)
    var thread = IOThread(context.pointee)
    cdpdk_rcu_register(rcu, reader)
    cdpdk_rcu_online(rcu, reader)
    let patienceCycles = cdpdk_cycles_per_second() / 1_000_000 * patience
    var nap = shortestNap
    var before = cdpdk_cycles()
    var latestFrame = before
    while !shared.pointee.stops.load(ordering: .relaxed) {
      let count = thread.runOnce()
      cdpdk_rcu_quiescent(rcu, reader)
      let now = cdpdk_cycles()
      activity.pointee.totalCycles.add(now &- before)
      if count > 0 {
        activity.pointee.packets.add(UInt64(truncatingIfNeeded: count))
        activity.pointee.bursts.add(1)
        activity.pointee.busyCycles.add(now &- before)
        latestFrame = now
        nap = shortestNap
      }
      before = now
      guard context.pointee.sleepsWhenIdle && now &- latestFrame >= patienceCycles else { continue }
      sleep(context, microseconds: thread.hasQueues ? nap : longestSleep)
      nap = min(nap + nap / 8, longestNap)
      // Time asleep counts as time, not as work.
      let awake = cdpdk_cycles()
      activity.pointee.totalCycles.add(awake &- before)
      before = awake
    }
    cdpdk_rcu_offline(rcu, reader)
    cdpdk_rcu_unregister(rcu, reader)
  }

  private static func sleep(_ context: UnsafeMutablePointer<IOContext>, microseconds: Int) {
    let rcu = context.pointee.shared.pointee.rcu
    cdpdk_rcu_offline(rcu, context.pointee.reader)
    context.pointee.sleeper.pointee.note(nap: microseconds)
    var event = epoll_event()
    if cdpdk_epoll_wait(context.pointee.epoll, &event, 1, microseconds) > 0 { cdpdk_event_clear(context.pointee.sleeper.pointee.event) }
    context.pointee.sleeper.pointee.note(nap: 0)
    cdpdk_rcu_online(rcu, context.pointee.reader)
  }
}
