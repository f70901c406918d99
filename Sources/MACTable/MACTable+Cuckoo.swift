// MACTable: finding a free slot for a key. When both of its buckets are full, a breadth-first search looks for the
// shortest chain of entries that can each go to their other bucket, ending at a free slot.

import Synchronization

extension MACTable {
  /// A free slot in one of the buckets of `hash`, after displacing entries if needed. Reclaims ghosts on the way.
  /// Nil when there is none within reach: the first `searchedNodeCount` path nodes record the search.
  func makeFreeSlot(_ hash: UInt64) -> UInt32? {
    let path = memory.path
    path[0] = PathNode(bucket: UInt32(reader.firstBucket(hash)), source: 0, parent: -1)
    path[1] = PathNode(bucket: UInt32(reader.secondBucket(hash)), source: 0, parent: -1)
    var nodeCount = 2
    var index = 0
    while index < nodeCount {
      let bucket = path[index].bucket
      for slot in bucket * 4..<bucket * 4 + 4 {
        if !isFree(slot), ghostCount > 0, isGhost(slot) { release(slot, wasGhost: true) }
        if isFree(slot) { return displace(into: slot, alongPathTo: index) }
      }
      for slot in bucket * 4..<bucket * 4 + 4 where nodeCount < MACTableMemory.pathNodeCount {
        path[nodeCount] = PathNode(bucket: otherBucket(of: slot), source: slot, parent: Int32(index))
        nodeCount += 1
      }
      index += 1
    }
    searchedNodeCount = nodeCount
    return nil
  }

  /// Moves the entries of a path one step each, starting next to the free slot. Returns the slot that becomes free.
  /// The path is the shortest, so it visits no bucket twice.
  private func displace(into free: UInt32, alongPathTo index: Int) -> UInt32 {
    var target = free
    var node = memory.path[index]
    while node.parent >= 0 {
      move(node.source, to: target)
      target = node.source
      node = memory.path[Int(node.parent)]
    }
    return target
  }

  /// Moves an entry to a free slot of its other bucket. A concurrent reader finds it in one of the two.
  private func move(_ source: UInt32, to target: UInt32) {
    let value = value(source)
    let seen = memory.lastSeen[Int(source)].load(ordering: .relaxed)
    let since = memory.since[Int(source)].load(ordering: .relaxed)
    publish(key(source), value, in: target, lastSeenSeconds: seen, since: since)
    let displacements = memory.displacements.pointee.load(ordering: .relaxed)
    memory.displacements.pointee.store(displacements &+ 1, ordering: .releasing)
    clear(source)
    substitute(target, for: source, inList: listIndex(value))
  }

  private func otherBucket(of slot: UInt32) -> UInt32 {
    let hash = reader.hash(key(slot))
    let isInFirst = UInt64(slot / 4) < reader.halfBucketCount
    return UInt32(isInFirst ? reader.secondBucket(hash) : reader.firstBucket(hash))
  }
}
