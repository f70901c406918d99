// ReconcilerThread: the thread that the reconciler runs on. It waits for workers, the kernel and DPDK, which a thread of the Swift
// concurrency pool must not do: with few processors the control socket and the controller's session would stand still meanwhile.

import Glibc
import Synchronization

/// Runs an actor's jobs one after the other on a thread of its own. The thread ends with the executor.
final class ReconcilerThread: SerialExecutor {
  private let queue = Queue()

  init() throws(VTEPError) {
    let queue = queue
    _ = try BackgroundThread(name: "vtepd-reconcile") {
      while let jobs = queue.take() {
        for (job, executor) in jobs { job.runSynchronously(on: executor) }
      }
    }
  }

  deinit { queue.finish() }

  func enqueue(_ job: consuming ExecutorJob) {
    queue.add(UnownedJob(job), asUnownedSerialExecutor())
  }

  /// What the executor and its thread share: the thread must not keep the executor alive.
  private final class Queue: Sendable {
    private let jobs = Mutex<(waiting: [(UnownedJob, UnownedSerialExecutor)], isFinished: Bool)>(([], false))
    private nonisolated(unsafe) let changes: UnsafeMutablePointer<sem_t>

    init() {
      changes = .allocate(capacity: 1)
      sem_init(changes, 0, 0)
    }

    deinit {
      sem_destroy(changes)
      changes.deallocate()
    }

    func add(_ job: UnownedJob, _ executor: UnownedSerialExecutor) {
      jobs.withLock { $0.waiting.append((job, executor)) }
      sem_post(changes)
    }

    func finish() {
      jobs.withLock { $0.isFinished = true }
      sem_post(changes)
    }

    /// Waits for jobs; nil: there will be none any more.
    func take() -> [(UnownedJob, UnownedSerialExecutor)]? {
      while true {
        guard sem_wait(changes) == 0 else { continue }
        let (taken, isFinished) = jobs.withLock { jobs in
          defer { jobs.waiting.removeAll(keepingCapacity: true) }
          return jobs
        }
        if !taken.isEmpty { return taken }
        if isFinished { return nil }
      }
    }
  }
}
