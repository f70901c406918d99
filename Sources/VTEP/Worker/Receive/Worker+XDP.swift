// Worker+XDP: bursts from the AF_XDP sockets of an uplink, and batches to them. Steps D1 and E7; docs/decisions/0034.

import CDPDK
import Encap
import MACTable

extension Worker {
  /// - Returns: the number of packets; below 0: none wait.
  @inline(never)
  mutating func receiveFromXDP(_ queue: UnsafePointer<ReceiveQueue>, _ port: UnsafePointer<PortEntry>) -> Int {
    // Devices of this kind have them (`FrameDevice.fill`).
    let source = port.pointee.xdpQueues.unsafelyUnwrapped + Int(queue.pointee.queue)
    let count = source.pointee.receiver.receive(into: frames, pool: pool, largePool: largePool)
    receiver.hasNotes = false
    if source.pointee.receiver.unbufferedCount != 0 { countUnbuffered(queue.pointee.port, source) }
    if count > 0, port.pointee.hasUnfinishedChecksums { finishChecksums(count) }
    return count
  }

  @inline(never)
  private mutating func countUnbuffered(_ portIndex: PortIndex, _ source: UnsafePointer<XDPQueue>) {
    let count = UInt64(truncatingIfNeeded: source.pointee.receiver.unbufferedCount)
    counters.ports[Int(portIndex)].addReceived(
      packets: count, bytes: UInt64(truncatingIfNeeded: source.pointee.receiver.unbufferedByteCount))
    counters.drop(port: portIndex, .noBuffers).pointee.add(count)
  }

  /// A kernel that sends on the other end of a veth leaves checksums to hardware, and XDP does not tell: the fields hold the
  /// pseudo-header sums. First the inner one, which the outer one covers.
  @inline(never)
  private mutating func finishChecksums(_ count: Int) {
    for index in 0..<count {
      let mbuf = Mbuf(frames[index].unsafelyUnwrapped)
      let outer = OuterPacket(trusting: mbuf.bytes, byteCount: mbuf.byteCount, policy: snapshot.pointee.decapPolicy)
      guard outer.outcome == .accepted else { continue }
      mbuf.withMutableBytes(from: outer.innerOffset, count: outer.innerByteCount) { _ = UnfinishedChecksum.finish(frame: &$0) }
      mbuf.withMutableBytes { _ = UnfinishedChecksum.finish(frame: &$0) }
    }
  }

  /// Sends a batch on an AF_XDP socket, which workers may share. The kernel has what was taken: all frames are freed.
  ///
  /// - Returns: what was taken.
  @inline(never)
  mutating func giveToXDP(
    _ batch: UnsafeMutablePointer<OpaquePointer?>, _ size: BatchSize, portIndex: PortIndex, queue: Int
  ) -> BatchSize {
    let port = snapshot.pointee.ports + Int(portIndex)
    let target = port.pointee.xdpQueues.unsafelyUnwrapped + queue
    let lock = transmitLocks + Int(portIndex) * Limits.workers + queue
    cdpdk_spin_lock(lock)
    let count = target.pointee.sender.send(batch, size.frames)
    let refused = target.pointee.sender.refusedCount
    cdpdk_spin_unlock(lock)
    // What was left in the ring before may have been refused, too.
    var sent = BatchSize(frames: max(count &- refused, 0), bytes: size.bytes)
    for position in count..<size.frames { sent.bytes &-= UInt64(cdpdk_mbuf_length(batch[position].unsafelyUnwrapped)) }
    if count < size.frames { countDrops(batch, count..<size.frames, port: portIndex, .transmitFull) }
    // Which ones, the kernel does not say.
    if refused != 0 { counters.drop(port: portIndex, .refusedByKernel).pointee.add(UInt64(truncatingIfNeeded: refused)) }
    cdpdk_mbuf_free_bulk(batch, UInt32(size.frames))
    return sent
  }
}
