// DeviceWatch+Rings: checks from time to time whether a guest's virtqueues are consistent. The vhost library silently ignores a
// corrupt ring, so without this check the port would look healthy forever.

import CDPDK

extension DeviceWatch {
  /// State of a ring at the last check.
  struct RingProgress: Sendable {
    var position: UInt16 = 0
    /// Consecutive checks that found waiting buffers and no progress.
    var stalledLooks = 0
  }

  /// Checks all rings in use.
  ///
  /// - Parameters:
  ///   - polledQueues: receive queues that workers poll.
  ///   - patience: number of checks without progress to tolerate.
  /// - Returns: what is wrong; nil: nothing.
  func ringFault(polledQueues: Int, patience: Int) -> String? {
    let guest = guest
    // The library reports no counts for packed rings.
    guard guest.isUp, guest.features & Self.packedRing == 0, WakeGate.ofDevice[Int(portID)].enter() else { return nil }
    defer { WakeGate.ofDevice[Int(portID)].leave() }
    for pair in 0..<UInt16(64) {
      let bit: UInt64 = 1 << UInt64(pair)
      if guest.transmitQueues & bit != 0, let fault = overflow(guest, ring: pair * 2, rte_vhost_avail_entries(guest.connection, pair * 2)) {
        return fault
      }
      guard guest.receiveQueues & bit != 0 else { continue }
      let ring = pair * 2 + 1
      let waiting = UInt16(truncatingIfNeeded: rte_vhost_rx_queue_count(guest.connection, ring))
      if let fault = overflow(guest, ring: ring, waiting) { return fault }
      if pair < polledQueues, let fault = stall(guest, ring: ring, waiting, patience: patience) { return fault }
    }
    return nil
  }

  /// Whether an address in this process lies in the guest's memory.
  func guestHas(address: UInt) -> Bool {
    let connection = guest.connection
    guard connection >= 0, WakeGate.ofDevice[Int(portID)].enter() else { return false }
    defer { WakeGate.ofDevice[Int(portID)].leave() }
    return cdpdk_guest_has(connection, address) != 0
  }

  private static let packedRing: UInt64 = 1 << 34

  private func overflow(_ guest: Guest, ring: UInt16, _ waiting: UInt16) -> String? {
    var ringInfo = rte_vhost_vring()
    guard rte_vhost_get_vhost_vring(guest.connection, ring, &ringInfo) == 0, waiting > ringInfo.size else { return nil }
    return "ring \(ring) of the guest claims \(waiting) buffers, more than its size of \(ringInfo.size)"
  }

  private func stall(_ guest: Guest, ring: UInt16, _ waiting: UInt16, patience: Int) -> String? {
    var position: UInt16 = 0
    var used: UInt16 = 0
    guard rte_vhost_get_vring_base(guest.connection, ring, &position, &used) == 0 else { return nil }
    return progress.withLock { progress in
      var seen = progress[ring] ?? RingProgress()
      seen.stalledLooks = waiting > 0 && seen.position == position ? seen.stalledLooks + 1 : 0
      seen.position = position
      progress[ring] = seen
      guard seen.stalledLooks > patience else { return nil }
      return "ring \(ring) of the guest offers \(waiting) unreadable buffers"
    }
  }
}
