// MACTable: ageing. The writer calls the sweep at intervals for a slice of the table, between other work.

import Synchronization

extension MACTable {
  /// Continues through the table for some slots: removes learned entries past their domain's age, and frees the slots of flushed
  /// ones. Returns the number of freed slots.
  @discardableResult public func sweep(slots: Int, nowSeconds: UInt32) -> Int {
    let usedBefore = usedCount
    for _ in 0..<min(slots, slotCount) {
      let slot = UInt32(sweepCursor)
      if !isFree(slot) {
        if ghostCount > 0, isGhost(slot) {
          release(slot, wasGhost: true)
        } else if isExpired(slot, nowSeconds: nowSeconds) {
          events.append(.aged, key(slot), from: value(slot).location)
          release(slot, wasGhost: false)
        }
      }
      sweepCursor = sweepCursor + 1 == slotCount ? 0 : sweepCursor + 1
    }
    if ghostCount == 0 { memory.ghosts.pointee.store(0, ordering: .releasing) }
    return usedBefore - usedCount
  }

  /// Whether a used slot's entry is learned, not frozen, and has not been seen for its domain's age.
  func isExpired(_ slot: UInt32, nowSeconds: UInt32) -> Bool {
    guard value(slot).type == .learned, !value(slot).isFrozen else { return false }
    let ageSeconds = memory.policies[Int(key(slot).domain)].ageSeconds
    return ageSeconds > 0 && idleSeconds(slot, nowSeconds: nowSeconds) >= ageSeconds
  }

  /// Seconds since a frame was seen; 0 when a worker's clock is ahead of the writer's.
  func idleSeconds(_ slot: UInt32, nowSeconds: UInt32) -> UInt32 {
    let idle = Int32(truncatingIfNeeded: nowSeconds &- memory.lastSeen[Int(slot)].load(ordering: .relaxed))
    return UInt32(max(idle, 0))
  }
}
