// Worker+Transmit: batches per device, sent when full and at the end of each round. Steps E7 and D7. On a port with several
// queues, which a guest serves with one processor each, frames are spread by flow. A spinlock guards each queue of DPDK's devices, since
// workers share them.

import CDPDK
import Encap
import MACTable

/// The fill level of a transmit batch.
struct BatchSize {
  var frames: Int = 0
  var bytes: UInt64 = 0
}

/// A frame being sent, for its binding's counters.
struct SentFrame {
  var vlan: UInt16
  var byteCount: UInt32

  /// In place of the VLAN of a frame that was not sent.
  static let refused = UInt16.max
}

extension Worker {
  /// - Parameter byteCount: the frame's size, which most callers know.
  @inline(always)
  mutating func transmit(_ mbuf: Mbuf, byteCount: Int, port: PortIndex) {
    let index = batch(of: port)
    let count = batchSizes[index].frames
    batches[index &* Limits.transmitBatch &+ count] = mbuf.raw
    batchSizes[index].frames = count &+ 1
    batchSizes[index].bytes &+= UInt64(truncatingIfNeeded: byteCount)
    if count &+ 1 == Limits.transmitBatch { flushBatch(index) }
  }

  /// In place of a batch.
  static var noBatch: UInt8 { 0xff }

  /// The port's batch, until `flushBatches`.
  @inline(always)
  mutating func batch(of port: PortIndex) -> Int {
    let index = batchOfPort[Int(port)]
    return index != Self.noBatch ? Int(index) : openBatch(for: port)
  }

  @inline(never)
  private mutating func openBatch(for port: PortIndex) -> Int {
    if batchCount == Limits.batches { flushBatches() }
    let index = batchCount
    batchCount = index &+ 1
    batchPorts[index] = port
    batchOfPort[Int(port)] = UInt8(truncatingIfNeeded: index)
    return index
  }

  /// The frame that comes next in the port's batch belongs to a tagged binding.
  @inline(always)
  mutating func expectTag(on port: PortIndex) {
    taggedBatches |= 1 &<< UInt64(truncatingIfNeeded: batch(of: port))
  }

  @inline(never)
  mutating func flushBatches() {
    if controlCount != 0 { flushControlFrames() }
    for index in 0..<batchCount {
      if batchSizes[index].frames != 0 { flushBatch(index) }
      batchOfPort[Int(batchPorts[index])] = Self.noBatch
    }
    batchCount = 0
    uplinkRun.key = BatchRun.none
    localRun.key = BatchRun.none
    taggedRun.key = BatchRun.none
    guestBuffers = 0
  }

  @inline(never)
  mutating func flushBatch(_ batchIndex: Int) {
    let portIndex = batchPorts[batchIndex]
    let index = Int(portIndex)
    var size = batchSizes[batchIndex]
    batchSizes[batchIndex] = BatchSize()
    joinedSegments[batchIndex].head = nil
    let batch = batches + batchIndex * Limits.transmitBatch
    let port = snapshot.pointee.ports + index
    guard port.pointee.isAttached else {
      countDrops(batch, 0..<size.frames, port: portIndex, .portDown)
      cdpdk_mbuf_free_bulk(batch, UInt32(size.frames))
      return
    }

    let hasTags = taggedBatches & 1 &<< UInt64(batchIndex) != 0
    if hasTags { taggedBatches &= ~(1 &<< UInt64(batchIndex)) }
    if port.pointee.features.contains(.limitsEgress) { size = limitEgress(batch, size.frames, portIndex: portIndex) }
    let queues = Int(port.pointee.transmitQueues)
    if queues == 1 || port.pointee.hasWorkerQueues || port.pointee.isUnderlay || port.pointee.partner != .absent {
      // Uplinks have one queue per worker, or share what they have. A flow comes in through one worker's queue, and so leaves in order.
      send(batch, size, portIndex: portIndex, queue: self.index % queues, hasTags: hasTags)
    } else {
      spread(batch, size.frames, portIndex: portIndex, queues: queues, hasTags: hasTags)
    }
  }

  /// Sends a batch on one queue of a port.
  @inline(always)
  private mutating func send(
    _ batch: UnsafeMutablePointer<OpaquePointer?>, _ size: BatchSize, portIndex: PortIndex, queue: Int, hasTags: Bool
  ) {
    let kind = snapshot.pointee.ports[Int(portIndex)].kind
    var size = size
    if kind == .ethdev || kind == .ring, mustSpareGuestBuffers { spareGuestBuffers(batch, &size, portIndex: portIndex) }
    if captures != nil { captureSent(batch, size.frames, port: portIndex) }
    if hasTags { noteBindings(batch, size.frames) }
    let sent: BatchSize
    switch kind {
    case .packetSocket, .tap: sent = giveToKernel(batch, size, portIndex: portIndex, queue: queue, isNoted: hasTags)
    case .xdp: sent = giveToXDP(batch, size, portIndex: portIndex, queue: queue)
    case .recorder: sent = record(batch, size, portIndex: portIndex)
    case .ethdev, .ring, .vhost, .none: sent = giveToDriver(batch, size, portIndex: portIndex, queue: queue)
    }
    counters.ports[Int(portIndex)].addSent(packets: UInt64(sent.frames), bytes: sent.bytes)
    if hasTags {
      countBindings(sent.frames, portIndex: portIndex)
    } else {
      counters.binding(port: portIndex, vlan: 0).pointee.addSent(packets: UInt64(sent.frames), bytes: sent.bytes)
    }
  }

  /// Gives a batch to a queue of a DPDK device or a guest. Frames for which it has no room are dropped.
  ///
  /// - Returns: what it took.
  @inline(always)
  private mutating func giveToDriver(
    _ batch: UnsafeMutablePointer<OpaquePointer?>, _ size: BatchSize, portIndex: PortIndex, queue: Int
  ) -> BatchSize {
    let index = Int(portIndex)
    let port = snapshot.pointee.ports + index
    let count = size.frames
    var byteCount = size.bytes
    let sent: Int
    if port.pointee.kind == .vhost {
      sent = sendToGuest(port.pointee.device, queue: queue, batch, count, lock: index * Limits.workers + queue)
      cdpdk_mbuf_free_bulk(batch, UInt32(sent))
    } else {
      sent = Int(transmitLocked(port, queue, batch, count, lock: index * Limits.workers + queue))
    }
    if sent < count {
      for position in sent..<count {
        byteCount &-= UInt64(cdpdk_mbuf_length(batch[position].unsafelyUnwrapped))
      }
      countDrops(batch, sent..<count, port: portIndex, port.pointee.fullReason)
      cdpdk_mbuf_free_bulk(batch + sent, UInt32(count - sent))
    }
    return BatchSize(frames: sent, bytes: byteCount)
  }

  /// Sends a batch on all queues of a port, each flow always on the same queue and in order.
  @inline(never)
  private mutating func spread(
    _ batch: UnsafeMutablePointer<OpaquePointer?>, _ count: Int, portIndex: PortIndex, queues: Int, hasTags: Bool
  ) {
    var used: UInt64 = 0
    for position in 0..<count {
      let flow = InnerFlow(frame: Mbuf(batch[position].unsafelyUnwrapped).bytes)
      let queue = Int(truncatingIfNeeded: ((flow.hash & 0xffff) &* UInt32(truncatingIfNeeded: queues)) &>> 16)
      queueOfFrame[position] = UInt8(truncatingIfNeeded: queue)
      used |= 1 &<< UInt64(queue)
    }
    while used != 0 {
      let queue = used.trailingZeroBitCount
      used &= used &- 1
      var size = BatchSize()
      for position in 0..<count where Int(queueOfFrame[position]) == queue {
        let raw = batch[position].unsafelyUnwrapped
        framesOfQueue[size.frames] = raw
        size.frames &+= 1
        size.bytes &+= UInt64(cdpdk_mbuf_length(raw))
      }
      send(framesOfQueue, size, portIndex: portIndex, queue: queue, hasTags: hasTags)
    }
  }

  /// Called before frames are sent, since they may be freed afterwards.
  @inline(never)
  private mutating func noteBindings(_ batch: UnsafeMutablePointer<OpaquePointer?>, _ count: Int) {
    let frames = sentFrames
    for position in 0..<count {
      let mbuf = Mbuf(batch[position].unsafelyUnwrapped)
      frames[position] = SentFrame(vlan: mbuf.notedTag & 0xfff, byteCount: UInt32(truncatingIfNeeded: mbuf.byteCount))
    }
  }

  /// Counts the first frames of the last noted batch.
  @inline(never)
  private mutating func countBindings(_ count: Int, portIndex: PortIndex) {
    let bindings = counters.binding(port: portIndex, vlan: 0)
    let frames = sentFrames
    for position in 0..<count {
      let frame = frames[position]
      bindings[Int(frame.vlan)].addSent(bytes: UInt64(frame.byteCount))
    }
  }

  @inline(always)
  mutating func transmitLocked(
    _ port: UnsafePointer<PortEntry>, _ queue: Int, _ batch: UnsafeMutablePointer<OpaquePointer?>, _ count: Int, lock: Int
  ) -> UInt16 {
    if port.pointee.kind == .ring { return putIntoRing(port, queue, batch, count) }
    if port.pointee.hasWorkerQueues { return cdpdk_tx_burst(port.pointee.device, UInt16(queue), batch, UInt16(count)) }
    cdpdk_spin_lock(transmitLocks + lock)
    defer { cdpdk_spin_unlock(transmitLocks + lock) }
    return cdpdk_tx_burst(port.pointee.device, UInt16(queue), batch, UInt16(count))
  }

  /// Leaves frames to an io-core. No other worker uses the ring.
  @inline(never)
  private mutating func putIntoRing(
    _ port: UnsafePointer<PortEntry>, _ queue: Int, _ batch: UnsafeMutablePointer<OpaquePointer?>, _ count: Int
  ) -> UInt16 {
    let pair = port.pointee.rings.unsafelyUnwrapped + queue
    let taken = cdpdk_packets_put(pair.pointee.fromWorker, batch, UInt32(truncatingIfNeeded: count))
    pair.pointee.ioThread?.pointee.wake()
    return taken
  }
}
