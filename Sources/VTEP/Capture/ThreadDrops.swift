// ThreadDrops: what a thread that is no worker and has no snapshot of its own drops, the slow path or BFD's: counted, captured and kept as a
// worker's drops are (docs/decisions/0040).

import CDPDK
import Encap
import MACTable

/// The drops of one thread.
final class ThreadDrops: Sendable {
  let counters: WorkerCounters
  private nonisolated(unsafe) let shared: UnsafeMutablePointer<SharedState>
  private let reader: UInt32
  private nonisolated(unsafe) let captureBeginning: UnsafeMutableRawPointer

  /// - Parameter reader: what RCU and the captures know the thread by; no other thread has it.
  init(shared: UnsafeMutablePointer<SharedState>, reader: UInt32) throws(VTEPError) {
    counters = try WorkerCounters()
    self.shared = shared
    self.reader = reader
    captureBeginning = .allocate(byteCount: CaptureLook.filterByteCount, alignment: 64)
    cdpdk_rcu_register(shared.pointee.rcu, reader)
  }

  /// Counts a frame, which the caller then frees. The thread is a reader of the snapshot for as long as that takes.
  func count(_ mbuf: Mbuf, port: PortIndex, _ reason: DropReason, _ context: DropContext = DropContext()) {
    cdpdk_rcu_online(shared.pointee.rcu, reader)
    let look = CaptureLook(
      snapshot: Worker.current(shared), captures: shared.pointee.currentCaptures, beginning: captureBeginning, ring: Int(reader))
    counters.countDrop(mbuf, port: port, reason, look, context)
    cdpdk_rcu_offline(shared.pointee.rcu, reader)
  }
}
