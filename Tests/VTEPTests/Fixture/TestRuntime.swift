// DPDK's environment for the tests, on ordinary pages, started once for the process; and what cannot be given back to it
// and is therefore used again by every test: memory ports, learn rings, counters.

import CDPDK
import Encap

@testable import VTEP

final class TestRuntime {
  nonisolated(unsafe) private static let started = Result { try TestRuntime() }

  static func shared() throws -> TestRuntime { try started.get() }

  static let workers = 2

  let runtime: DPDKRuntime
  /// One per place of the topology.
  let ports: [MemoryPort]
  let learnRings: [LearnRing]
  /// The same for workers.
  let learnRingArray: UnsafeMutablePointer<LearnRing>
  let punts: [SlowPathRing]
  let injections: SlowPathRing
  let bfdArrivals: [SlowPathRing]
  let bfdDepartures: SlowPathRing
  let counters: [WorkerCounters]
  let transmitLocks: UnsafeMutablePointer<UInt32>
  let shared: UnsafeMutablePointer<SharedState>

  private init() throws {
    var settings = DataplaneSettings()
    settings.hugepages = .off
    settings.memoryMiB = 96
    settings.workers = Self.workers
    let runtime = try DPDKRuntime(settings: settings, maxFrameByteCount: 2048, log: { _ in })
    self.runtime = runtime
    ports = try Place.allCases.map { try MemoryPort(name: "test-\($0)", capacity: 8191, runtime: runtime) }
    learnRings = try (0..<Self.workers).map { try LearnRing(worker: 1000 + $0) }
    learnRingArray = .allocate(capacity: learnRings.count)
    learnRingArray.initialize(from: learnRings, count: learnRings.count)
    punts = try (0..<Self.workers).map { try SlowPathRing(name: "punt-\(1000 + $0)") }
    injections = try SlowPathRing(name: "inject-1000")
    bfdArrivals = try (0..<Self.workers).map { try SlowPathRing(name: "bfd-\(1000 + $0)") }
    bfdDepartures = try SlowPathRing(name: "bfd-out-1000")
    counters = try (0..<Self.workers).map { _ in try WorkerCounters() }
    transmitLocks = .allocate(capacity: Limits.ports * Limits.workers)
    transmitLocks.initialize(repeating: 0, count: Limits.ports * Limits.workers)
    shared = try Self.sharedState()
  }

  static func sharedState() throws -> UnsafeMutablePointer<SharedState> {
    // Two more: for a dry worker, and the slow path or BFD's thread.
    guard let rcu = cdpdk_rcu_create(UInt32(workers + 2)) else { throw VTEPError(.environment, "RCU state", "out of memory") }
    let shared = UnsafeMutablePointer<SharedState>.allocate(capacity: 1)
    shared.initialize(to: SharedState(learnerEvent: cdpdk_event_create(), rcu: rcu))
    return shared
  }

  /// Runs `body` while this thread can get no more than `count` packet buffers.
  func withFreeBuffers(_ count: Int, slices: Int = 0, _ body: () -> Void) {
    let taken = Self.take(allBut: count, of: runtime.pool) + Self.take(allBut: slices, of: runtime.slicePool)
    body()
    for buffer in taken { cdpdk_mbuf_free(buffer) }
  }

  private static func take(allBut count: Int, of pool: OpaquePointer) -> [OpaquePointer] {
    var taken: [OpaquePointer] = []
    // Other threads' caches may hold some that nobody else gets: taking until there is no more is the only measure.
    while let buffer = cdpdk_mbuf_alloc(pool) { taken.append(buffer) }
    for _ in 0..<count { cdpdk_mbuf_free(taken.removeLast()) }
    return taken
  }

  /// Free packet buffers, those in the workers' caches included.
  var freeBufferCount: Int { Int(rte_mempool_avail_count(runtime.pool)) + Int(rte_mempool_avail_count(runtime.slicePool)) }
}
