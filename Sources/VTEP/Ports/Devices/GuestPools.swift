// GuestPools: packet buffers for frames from guests, apart from all others and a pool for each worker. A guest may send one frame in as
// many buffers as there are, and the vhost library copies until none is left; then it gives the frame up. Nobody else needs these
// buffers at that moment: the worker itself is inside that call. At other times enough of them must be free for the other guests
// (docs/decisions/0027): a worker sends everything before it takes more than `unsentBuffers`, and once the pool is low it copies what may
// stay for long into common buffers (`Worker.spared`).

import CDPDK
import Synchronization

/// A worker's pool.
struct GuestPool: ~Copyable {
  /// 0: there was no memory for it.
  fileprivate let address = Atomic<UInt>(0)
  /// Nil: the common pool is used instead, until there is memory.
  @inline(always) var raw: OpaquePointer? { OpaquePointer(bitPattern: address.load(ordering: .acquiring)) }
  /// Free buffers with which the pool is low: those for a burst of the largest segments, and for what is unsent.
  var lowMark: UInt32 = 0
}

enum GuestPools {
  nonisolated(unsafe) static let ofWorkers: UnsafeMutablePointer<GuestPool> = {
    let pools = UnsafeMutablePointer<GuestPool>.allocate(capacity: Limits.workers)
    for worker in 0..<Limits.workers { (pools + worker).initialize(to: GuestPool()) }
    return pools
  }()

  /// Buffers that a worker may take before it sends everything.
  static let unsentBuffers = 512
  /// Buffers that may stay for long without being missed.
  private static let spareBuffers = 256
  /// In each worker's cache, plus half as many: workers free each other's buffers, and those are not available.
  private static let cache = 64
  /// In octets, with the Ethernet header.
  private static let largestSegment = 65_549

  /// There were to be pools, and one is missing.
  nonisolated(unsafe) private(set) static var areMissing = false

  /// Makes the pools that are not there yet. Reconciler only.
  static func make(_ runtime: DPDKRuntime) {
    let room = runtime.maxFrameByteCount
    let lowMark = Limits.burst * ((largestSegment + room - 1) / room) + unsentBuffers
    let count = lowMark + spareBuffers + runtime.workers * (cache + cache / 2)
    for worker in 0..<runtime.workers where ofWorkers[worker].raw == nil {
      ofWorkers[worker].lowMark = UInt32(lowMark)
      let pool = runtime.makePool(name: "vtepd-guests-\(worker)", count: count, cache: cache)
      ofWorkers[worker].address.store(pool.map { UInt(bitPattern: $0) } ?? 0, ordering: .releasing)
    }
    areMissing = !isComplete(workers: runtime.workers)
  }

  /// There is a pool for each worker.
  static func isComplete(workers: Int) -> Bool { (0..<workers).allSatisfy { ofWorkers[$0].raw != nil } }

  /// No pool is short of buffers; where one is missing, the common one counts.
  static func haveRoom(_ runtime: DPDKRuntime) -> Bool {
    (0..<runtime.workers).allSatisfy { rte_mempool_avail_count(ofWorkers[$0].raw ?? runtime.pool) > UInt32(8 * Limits.burst) }
  }
}
