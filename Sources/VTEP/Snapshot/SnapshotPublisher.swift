// SnapshotPublisher: hands snapshots to the workers and frees the old ones when every worker has passed a quiescent
// state since (rte_rcu_qsbr). One writer.

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

struct SnapshotPublisher {
  let shared: UnsafeMutablePointer<SharedState>
  private var current: SnapshotStorage?
  private var generation: UInt64 = 0
  private var retired: [(token: UInt64, storage: SnapshotStorage)] = []

  init(shared: UnsafeMutablePointer<SharedState>) {
    self.shared = shared
  }

  /// Makes the model visible to all workers. The snapshot before it is freed by a later call.
  mutating func publish(_ model: ForwardingModel) {
    generation += 1
    let next = SnapshotStorage(model, generation: generation)
    shared.pointee.snapshot.store(UInt(bitPattern: next.snapshot), ordering: .releasing)
    if let current {
      retired.append((cdpdk_rcu_start(shared.pointee.rcu), current))
    }
    current = next
    retired.removeAll { cdpdk_rcu_passed(shared.pointee.rcu, $0.token) != 0 }
  }

  /// Returns when no worker can hold anything that was published before the latest snapshot.
  mutating func waitForWorkers() {
    cdpdk_rcu_wait(shared.pointee.rcu)
    retired.removeAll()
  }
}
