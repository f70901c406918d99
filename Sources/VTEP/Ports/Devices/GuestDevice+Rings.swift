// GuestDevice+Rings: checks from time to time whether a guest's virtqueues are consistent. The vhost library silently ignores a
// corrupt ring, so without this check the port would look healthy forever.

import CDPDK

extension GuestDevice {
  /// State of a ring at the last check.
  struct RingProgress: Sendable {
    var position: UInt16 = 0
    /// Consecutive checks that found waiting buffers and no progress.
    var stalledLooks = 0
  }

  /// Checks all rings in use.
  ///
  /// - Parameters:
  ///   - polledQueues: receive queues that workers serve.
  ///   - patience: number of checks without progress to tolerate.
  /// - Returns: what is wrong; nil: nothing.
  func ringFault(polledQueues: Int, patience: Int) -> String? {
    let (guest, queues) = state.withLock { ($0.guest, $0.queues[$0.guest.connection] ?? Queues()) }
    // The library reports no counts for packed rings.
    guard guest.isUp, guest.features & Self.packedRing == 0 else { return nil }
    return reachable.withLock { connection in
      guard connection == guest.connection else { return nil }
      let claim = GuestSlot.all[Int(index)].takeClaim()
      if claim.waiting > 0, let fault = overflow(connection, ring: claim.ring, claim.waiting) { return fault }
      for pair in queues.transmit.bits {
        let ring = UInt16(2 * pair)
        if let fault = overflow(connection, ring: ring, rte_vhost_avail_entries(connection, ring)) { return fault }
      }
      for pair in queues.receive.bits {
        let ring = UInt16(2 * pair + 1)
        let waiting = UInt16(truncatingIfNeeded: rte_vhost_rx_queue_count(connection, ring))
        if let fault = overflow(connection, ring: ring, waiting) { return fault }
        if pair < polledQueues, let fault = stall(connection, ring: ring, waiting, patience: patience) { return fault }
      }
      return nil
    }
  }

  /// Whether an address in this process lies in the guest's memory.
  func guestHas(address: UInt) -> Bool {
    reachable.withLock { $0 >= 0 && cdpdk_guest_has($0, address) != 0 }
  }

  private static let packedRing: UInt64 = 1 << 34

  private func overflow(_ connection: Int32, ring: UInt16, _ waiting: UInt16) -> String? {
    var info = rte_vhost_vring()
    guard rte_vhost_get_vhost_vring(connection, ring, &info) == 0, waiting > info.size else { return nil }
    return "ring \(ring) of the guest claims \(waiting) buffers, more than its size of \(info.size)"
  }

  private func stall(_ connection: Int32, ring: UInt16, _ waiting: UInt16, patience: Int) -> String? {
    var position: UInt16 = 0
    var used: UInt16 = 0
    guard rte_vhost_get_vring_base(connection, ring, &position, &used) == 0 else { return nil }
    return state.withLock { state in
      var seen = state.progress[ring] ?? RingProgress()
      seen.stalledLooks = waiting > 0 && seen.position == position ? seen.stalledLooks + 1 : 0
      seen.position = position
      state.progress[ring] = seen
      guard seen.stalledLooks > patience else { return nil }
      return "ring \(ring) of the guest offers \(waiting) unreadable buffers"
    }
  }
}
