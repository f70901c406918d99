// MACTable: adding an entry to a table that may be full. If it is, the owner (port or VTEP) with the most learned entries loses
// its oldest one, so that a guest that floods the table with source addresses loses only its own.

import Synchronization

extension MACTable {
  enum InsertOutcome { case added, addedAfterEviction, full }

  /// How many of an owner's oldest entries are examined to find one to evict.
  static let evictionCandidates = 8

  func insert(_ key: MACKey, _ value: MACValue, nowSeconds: UInt32) -> InsertOutcome {
    let evictionsBefore = evictions
    if usedCount >= capacity, !makeRoom(nowSeconds: nowSeconds) { return .full }
    let hash = reader.hash(key)
    guard let slot = makeFreeSlot(hash) ?? evictWithinReach(hash, nowSeconds: nowSeconds) else { return .full }
    occupy(slot, key, value, lastSeenSeconds: nowSeconds)
    inserts &+= 1
    return evictions == evictionsBefore ? .added : .addedAfterEviction
  }

  /// Frees one slot: a ghost's if there is one, else that of the oldest learned entry of the heaviest owner. False when
  /// nothing is left but static and controller entries.
  private func makeRoom(nowSeconds: UInt32) -> Bool {
    if ghostCount > 0 {
      reclaimGhosts(downTo: ghostCount - 1)
      return true
    }
    let list = heaviestOwner * 2
    guard memory.lists[list].count > 0 else { return false }
    evict(oldest(inList: list, nowSeconds: nowSeconds), nowSeconds: nowSeconds)
    return true
  }

  /// Of the entries at the head of a list, the one not seen for longest, or the first that is past its age. The entries before
  /// it have been seen since and get a second chance: they go to the end of the list.
  private func oldest(inList list: Int, nowSeconds: UInt32) -> UInt32 {
    let head = memory.lists[list].head
    var victim = head
    var victimIdle = idleSeconds(head, nowSeconds: nowSeconds)
    var slot = head
    for _ in 0..<Self.evictionCandidates where slot != SlotList.end {
      let idle = idleSeconds(slot, nowSeconds: nowSeconds)
      if isExpired(slot, nowSeconds: nowSeconds) {
        victim = slot
        break
      }
      if idle > victimIdle {
        victim = slot
        victimIdle = idle
      }
      slot = memory.next[Int(slot)]
    }
    while memory.lists[list].head != victim {
      let spared = memory.lists[list].head
      unlink(spared, fromList: list)
      append(spared, toList: list)
    }
    return victim
  }

  private func evict(_ slot: UInt32, nowSeconds: UInt32) {
    let isExpired = isExpired(slot, nowSeconds: nowSeconds)
    if !isExpired { evictions += 1 }
    events.append(isExpired ? .aged : .evicted, key(slot), from: value(slot).location)
    release(slot, wasGhost: false)
  }

  /// For a key whose buckets have no free slot within reach, which hardly happens except in small tables: evicts the learned
  /// entry within reach whose owner has learned most. Nil when there are only static and controller entries.
  private func evictWithinReach(_ hash: UInt64, nowSeconds: UInt32) -> UInt32? {
    var victim: UInt32?
    for node in 0..<searchedNodeCount {
      let bucket = memory.path[node].bucket
      for slot in bucket * 4..<bucket * 4 + 4 where value(slot).type == .learned {
        guard let best = victim else {
          victim = slot
          continue
        }
        let weight = memory.lists[listIndex(value(slot))].count
        let bestWeight = memory.lists[listIndex(value(best))].count
        let isOlder = idleSeconds(slot, nowSeconds: nowSeconds) > idleSeconds(best, nowSeconds: nowSeconds)
        if weight > bestWeight || weight == bestWeight && isOlder { victim = slot }
      }
    }
    guard let victim else { return nil }
    evict(victim, nowSeconds: nowSeconds)
    return makeFreeSlot(hash)
  }
}
