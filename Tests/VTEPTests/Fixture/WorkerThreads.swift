// Real worker threads for tests: WorkerLoop on DPDK's lcores, over the test runtime's counters and rings.

import CDPDK
import MACTable

@testable import VTEP

final class WorkerThreads {
  let shared: UnsafeMutablePointer<SharedState>
  private let contexts: UnsafeMutablePointer<WorkerContext>
  private var isRunning = false

  /// Worker n gets the model's n-th list of receive queues, once `start` is called.
  init(_ test: TestRuntime, _ reader: MACTableReader, sleepsWhenIdle: Bool) throws {
    let shared = try TestRuntime.sharedState()
    self.shared = shared
    contexts = .allocate(capacity: TestRuntime.workers)
    for worker in 0..<TestRuntime.workers {
      (contexts + worker).initialize(
        to: DataplaneFixture.context(worker, test, reader, shared, sleepsWhenIdle: sleepsWhenIdle))
    }
  }

  deinit { contexts.deallocate() }

  /// A snapshot must have been published.
  func start() throws {
    isRunning = true
    for worker in 0..<TestRuntime.workers {
      try VTEPError.check(
        rte_eal_remote_launch(WorkerLoop.entry, contexts + worker, UInt32(worker + 1)), "start worker \(worker)")
    }
  }

  /// Returns when both threads have left their loops.
  func stop() {
    guard isRunning else { return }
    isRunning = false
    shared.pointee.stops.store(true, ordering: .sequentiallyConsistent)
    for worker in 0..<TestRuntime.workers { _ = rte_eal_wait_lcore(UInt32(worker + 1)) }
  }
}
