// Worker+Guest: bursts to and from the rings of vhost-user guests. Step E1, E7 and D7.
//
// A worker polls a guest's ring as long as frames come. While it does, the guest need not kick, which costs a virtual machine an exit.
// After some rounds in vain the worker asks for a kick, looks once more, since the guest may have been faster, and leaves the ring alone
// until its kick arrives (see Readiness).

import CDPDK
import Encap
import MACTable
import Synchronization

extension Worker {
  /// Rounds in vain before a guest is asked to kick.
  private static var patientRounds: UInt8 { 64 }
  /// In place of a number of rounds: the guest was asked to kick.
  static var awaitsKick: UInt8 { 0xff }

  /// - Returns: the number of frames; below 0: none wait, and the guest will kick.
  @inline(never)
  mutating func receiveFromGuest(_ queue: UnsafePointer<ReceiveQueue>, device: UInt16) -> Int {
    let connection = guests[Int(device)].connection.load(ordering: .acquiring)
    guard connection >= 0 else { return -1 }
    let ring = queue.pointee.queue &* 2 &+ 1
    if queue.pointee.isPolled { return takeFromGuest(device, connection, ring) }
    let rounds = guestRounds + Int(queue.pointee.slot)
    if rounds.pointee == Self.awaitsKick {
      rte_vhost_enable_guest_notification(connection, ring, 0)
      rounds.pointee = 0
    }
    let count = takeFromGuest(device, connection, ring)
    if count > 0 {
      rounds.pointee = 0
      return count
    }
    rounds.pointee &+= 1
    guard rounds.pointee >= Self.patientRounds else { return 0 }
    rounds.pointee = Self.awaitsKick
    rte_vhost_enable_guest_notification(connection, ring, 1)
    // The guest must see the request before the ring is read once more.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    let late = takeFromGuest(device, connection, ring)
    return late > 0 ? late : -1
  }

  @inline(always)
  private mutating func takeFromGuest(_ device: UInt16, _ connection: Int32, _ ring: UInt16) -> Int {
    if guestBuffers >= GuestPools.unsentBuffers { flushBatches() }
    let count = Int(rte_vhost_dequeue_burst(connection, ring, guestPool.pointee.raw ?? pool, frames, UInt16(Limits.burst)))
    for index in 0..<count { guestBuffers &+= Int(cdpdk_mbuf_segment_count(frames[index].unsafelyUnwrapped)) }
    if count == Limits.burst { guests[Int(device)].note(waiting: rte_vhost_rx_queue_count(connection, ring), ring: ring) }
    return count
  }

  /// Reads, from time to time, the rings of guests that were asked to kick: the vhost library may have something to say for a guest that
  /// was just migrated here (RARP), and has no other way.
  @inline(never)
  mutating func visitGuests() -> Int {
    var total = 0
    for position in Int(snapshot.pointee.polledQueueEnds[index])..<Int(snapshot.pointee.receiveQueueStarts[index &+ 1]) {
      let queue = snapshot.pointee.receiveQueues + position
      guard queue.pointee.kind == .vhost, guestRounds[Int(queue.pointee.slot)] == Self.awaitsKick else { continue }
      let port = snapshot.pointee.ports + Int(queue.pointee.port)
      let connection = guests[Int(port.pointee.device)].connection.load(ordering: .acquiring)
      guard connection >= 0 else { continue }
      let count = takeFromGuest(port.pointee.device, connection, queue.pointee.queue &* 2 &+ 1)
      guard count > 0 else { continue }
      if captures != nil { captureReceived(count, port: queue.pointee.port) }
      receiveFromAccess(count, portIndex: queue.pointee.port)
      readiness.add(queue.pointee.slot)
      total &+= count
    }
    return total
  }

  /// Copies a batch into a guest's ring. Workers share the ring.
  ///
  /// - Returns: the number of frames for which there was room.
  @inline(never)
  mutating func sendToGuest(_ device: UInt16, queue: Int, _ batch: UnsafeMutablePointer<OpaquePointer?>, _ count: Int, lock: Int) -> Int {
    let connection = guests[Int(device)].connection.load(ordering: .acquiring)
    guard connection >= 0 else { return 0 }
    cdpdk_spin_lock(transmitLocks + lock)
    defer { cdpdk_spin_unlock(transmitLocks + lock) }
    let ring = UInt16(truncatingIfNeeded: queue &* 2)
    var sent = 0
    while sent < count {
      // The library takes 32 frames at once.
      let offered = Swift.min(count &- sent, 32)
      let taken = Int(rte_vhost_enqueue_burst(connection, ring, batch + sent, UInt16(truncatingIfNeeded: offered)))
      sent &+= taken
      if taken < offered { break }
    }
    return sent
  }

  /// Guests' buffers run low: what may wait for long has to be copied.
  @inline(always)
  var mustSpareGuestBuffers: Bool {
    guard guestBuffers > 0, let raw = guestPool.pointee.raw else { return false }
    return rte_mempool_avail_count(raw) < guestPool.pointee.lowMark
  }

  /// A frame that may wait for long, or a copy of it that takes no buffer from the guests. Nil: there is no other buffer; the frame is
  /// dropped.
  @inline(never)
  mutating func spared(_ mbuf: Mbuf, port: PortIndex) -> Mbuf? {
    guard mustSpareGuestBuffers, let raw = guestPool.pointee.raw, cdpdk_mbuf_uses(mbuf.raw, raw) != 0 else { return mbuf }
    guard let copy = cdpdk_mbuf_copy(mbuf.raw, pool) else {
      drop(mbuf, port: port, .noBuffers)
      return nil
    }
    mbuf.free()
    return Mbuf(copy)
  }

  /// The same for a batch that is about to wait in the transmit ring of a DPDK driver.
  @inline(never)
  mutating func spareGuestBuffers(_ batch: UnsafeMutablePointer<OpaquePointer?>, _ size: inout BatchSize, portIndex: PortIndex) {
    var kept = 0
    for position in 0..<size.frames {
      let mbuf = Mbuf(batch[position].unsafelyUnwrapped)
      let byteCount = mbuf.byteCount
      if let mbuf = spared(mbuf, port: portIndex) {
        batch[kept] = mbuf.raw
        kept &+= 1
      } else {
        size.bytes &-= UInt64(truncatingIfNeeded: byteCount)
      }
    }
    size.frames = kept
  }
}
