// SharedState: what workers, learner, slow path and reconciler share: the current snapshot, stop flag, events, state that outlives a snapshot.

import CDPDK
import Synchronization

/// What workers and the control side share: where the snapshot is, and whether to go on.
struct SharedState: ~Copyable {
  /// Address of the current `ForwardingSnapshot`.
  let snapshot = Atomic<UInt>(0)
  let stops = Atomic<Bool>(false)
  /// The learner is asleep: a worker with events for it writes to `learnerEvent`.
  let learnerSleeps = Atomic<Bool>(false)
  let learnerEvent: Int32
  /// `Limits.ports` entries.
  let policyStates = PolicyState.allocate()
  /// `Limits.domains` entries.
  let stormStates = StormState.allocate()
  let uplinks = UplinkElection()
  let rcu: OpaquePointer
  /// A worker has something for the slow path.
  let slowPathEvent = cdpdk_event_create()
  /// Tells this run's loop probes from those of others.
  let daemonID = UInt64.random(in: .min ... .max)

  init(learnerEvent: Int32, rcu: OpaquePointer) {
    self.learnerEvent = learnerEvent
    self.rcu = rcu
  }
}
