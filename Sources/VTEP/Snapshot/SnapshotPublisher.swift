// SnapshotPublisher: hands snapshots to the workers and frees the old ones when every worker has passed a quiescent
// state since (rte_rcu_qsbr). One writer.

import CDPDK
import Synchronization

struct SnapshotPublisher {
  let shared: UnsafeMutablePointer<SharedState>
  private var current: SnapshotStorage?
  private(set) var generation: UInt64 = 0
  private var retired: [(token: UInt64, storage: SnapshotStorage)] = []

  init(shared: UnsafeMutablePointer<SharedState>) {
    self.shared = shared
  }

  /// Publishes the model to all workers. A later call frees the previous snapshot.
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
