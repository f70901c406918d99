// WorkerContext: the input of a worker.

import MACTable

/// Everything a worker needs, in memory that outlives its thread.
struct WorkerContext {
  var index: Int
  var shared: UnsafeMutablePointer<SharedState>
  var table: MACTableReader
  var counters: WorkerCounters
  /// One per worker.
  var learnRings: UnsafeMutablePointer<LearnRing>
  var workers: Int
  /// To the slow path.
  var punts: SlowPathRing
  /// From the slow path, for one of the workers.
  var injections: SlowPathRing?
  /// To and from the BFD thread (BFDService); those from it for one of the workers.
  var bfdArrivals: SlowPathRing
  var bfdDepartures: SlowPathRing?
  var pool: OpaquePointer
  /// Buffers of nearly 64 KiB.
  var largePool: OpaquePointer
  var slicePool: OpaquePointer
  var transmitLocks: UnsafeMutablePointer<UInt32>
  /// Sleep when idle, or poll continuously.
  var sleepsWhenIdle: Bool
  /// Waits for the descriptors of the worker's receive queues and for `wakeEvent`.
  var epoll: Int32
  var wakeEvent: Int32
  /// For io-cores; nil: there are none.
  var sleeper: UnsafeMutablePointer<Sleeper>?
  /// Nil: nobody needs neighbours.
  var neighbors: NeighborReader?
  /// Only of a dry worker.
  var recorder: UnsafeMutablePointer<FrameRecorder>?
}
