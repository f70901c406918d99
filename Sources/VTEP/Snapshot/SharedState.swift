// SharedState: what workers, learner, slow path and reconciler share: the current snapshot, the stop flag, events, and state that
// outlives a snapshot.

import CDPDK
import Synchronization

/// The state shared by workers and control side.
struct SharedState: ~Copyable {
  /// Address of the current `ForwardingSnapshot`.
  let snapshot = Atomic<UInt>(0)
  /// Address of the current `CaptureTaps`; 0: nothing is captured.
  let captures = Atomic<UInt>(0)
  let stops = Atomic<Bool>(false)
  let liveTap = LiveTap()
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
  /// A worker has BFD frames.
  let bfdEvent = cdpdk_event_create()
  /// Distinguishes this run's loop probes from others.
  let daemonID: UInt64

  init(learnerEvent: Int32, rcu: OpaquePointer, daemonID: UInt64 = .random(in: .min ... .max)) {
    self.learnerEvent = learnerEvent
    self.rcu = rcu
    self.daemonID = daemonID
  }
}
