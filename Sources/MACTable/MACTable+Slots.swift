// MACTable: single slots: reading them as the writer, publishing an entry to the readers, removing it, and keeping the owners'
// lists and the counts consistent.

import Encap
import Synchronization

extension MACTable {
  func key(_ slot: UInt32) -> MACKey { MACKey(raw: reader.keyWord(slot)[0].load(ordering: .relaxed)) }

  func value(_ slot: UInt32) -> MACValue { MACValue(raw: reader.keyWord(slot)[4].load(ordering: .relaxed)) }

  func isFree(_ slot: UInt32) -> Bool { key(slot).raw == MACKey.freeSlot }

  /// Whether a used slot's entry is invisible to readers because it was flushed.
  func isGhost(_ slot: UInt32) -> Bool { !reader.isLive(key(slot), value(slot)) }

  func listIndex(_ value: MACValue) -> Int { ownerIndex(value.location) * 2 + value.entryClass }

  func find(_ key: MACKey) -> UInt32? {
    let hash = reader.hash(key)
    if let slot = find(key, inBucket: reader.firstBucket(hash)) { return slot }
    // Another cache line, and mostly for nothing.
    guard memory.overflow.pointee.load(ordering: .relaxed) > 0 else { return nil }
    return find(key, inBucket: reader.secondBucket(hash))
  }

  private func find(_ key: MACKey, inBucket bucket: Int) -> UInt32? {
    let slot = UInt32(bucket * 4 + reader.candidate(key, inBucket: bucket))
    return self.key(slot) == key ? slot : nil
  }

  /// Publishes an entry in a free slot. Readers rely on the order of the stores: see `MACTableReader`.
  ///
  /// - Parameter since: when it came to its place, in seconds since 1970.
  func publish(_ key: MACKey, _ value: MACValue, in slot: UInt32, lastSeenSeconds: UInt32, since: UInt32) {
    memory.lastSeen[Int(slot)].store(lastSeenSeconds, ordering: .relaxed)
    memory.since[Int(slot)].store(since, ordering: .relaxed)
    let word = reader.keyWord(slot)
    word[4].store(value.followingVersion(of: self.value(slot)).raw, ordering: .releasing)
    word[0].store(key.raw, ordering: .releasing)
    if isInSecondHalf(slot) { countOverflow(1) }
    noteChange()
  }

  private func isInSecondHalf(_ slot: UInt32) -> Bool { UInt64(slot / 4) >= reader.halfBucketCount }

  private func countOverflow(_ step: UInt64) {
    memory.overflow.pointee.store(memory.overflow.pointee.load(ordering: .relaxed) &+ step, ordering: .relaxed)
  }

  /// After every change: see `MACTableReader.changeCount`.
  func noteChange() {
    memory.changes.pointee.store(memory.changes.pointee.load(ordering: .relaxed) &+ 1, ordering: .releasing)
  }

  func clear(_ slot: UInt32) {
    reader.keyWord(slot)[0].store(MACKey.freeSlot, ordering: .releasing)
    if isInSecondHalf(slot) { countOverflow(.max) }
    noteChange()
  }

  /// Adds a new entry to a free slot, its owner's list and the counts.
  ///
  /// The port's count goes up before readers can find the entry, so that every entry they find is counted.
  ///
  /// - Parameter since: when it came to its place, in seconds since 1970; nil: now.
  func occupy(_ slot: UInt32, _ key: MACKey, _ value: MACValue, lastSeenSeconds: UInt32, since: UInt32? = nil) {
    append(slot, toList: listIndex(value))
    publish(key, value, in: slot, lastSeenSeconds: lastSeenSeconds, since: since ?? nowOnTheClock)
    memory.domainCounts[domainCountIndex(key, value)] += 1
    count(1, of: key, behind: value)
    usedCount += 1
  }

  private func count(_ step: Int32, of key: MACKey, behind value: MACValue) {
    guard value.location.isVTEP else { return }
    func add(_ slots: inout UInt32?) {
      let sum = Int32(slots ?? 0) + step
      slots = sum == 0 ? nil : UInt32(sum)
    }
    add(&domainsByVTEP[Int(value.location.vtep)][key.domain])
  }

  /// Changes an entry's location or type in place: readers see either the old or the new value.
  func replace(_ slot: UInt32, with new: MACValue) {
    let key = key(slot)
    let old = value(slot)
    unlink(slot, fromList: listIndex(old))
    memory.domainCounts[domainCountIndex(key, old)] -= 1
    count(-1, of: key, behind: old)
    count(1, of: key, behind: new)
    append(slot, toList: listIndex(new))
    if new.location != old.location { memory.since[Int(slot)].store(nowOnTheClock, ordering: .relaxed) }
    reader.keyWord(slot)[4].store(new.keepingVersion(of: old).raw, ordering: .releasing)
    noteChange()
    memory.domainCounts[domainCountIndex(key, new)] += 1
  }

  /// Frees a used slot.
  ///
  /// - Parameter wasGhost: whether a flush has already removed the entry from the domain's count.
  func release(_ slot: UInt32, wasGhost: Bool) {
    let key = key(slot)
    let value = value(slot)
    clear(slot)
    unlink(slot, fromList: listIndex(value))
    count(-1, of: key, behind: value)
    if wasGhost {
      ghostCount -= 1
    } else {
      memory.domainCounts[domainCountIndex(key, value)] -= 1
    }
    usedCount -= 1
  }

  private func domainCountIndex(_ key: MACKey, _ value: MACValue) -> Int { Int(key.domain) * 2 + value.entryClass }
}

// MARK: - Owners' lists

extension MACTable {
  func append(_ slot: UInt32, toList list: Int) {
    let tail = memory.lists[list].tail
    memory.previous[Int(slot)] = tail
    memory.next[Int(slot)] = SlotList.end
    if tail == SlotList.end {
      memory.lists[list].head = slot
    } else {
      memory.next[Int(tail)] = slot
    }
    memory.lists[list].tail = slot
    memory.lists[list].count += 1
    if list & 1 == 0 {
      raiseInHeap(owner: list / 2)
      publishCount(owner: list / 2)
    }
  }

  func unlink(_ slot: UInt32, fromList list: Int) {
    join(memory.previous[Int(slot)], memory.next[Int(slot)], inList: list)
    memory.lists[list].count -= 1
    if list & 1 == 0 {
      lowerInHeap(owner: list / 2)
      publishCount(owner: list / 2)
    }
  }

  /// Ports come first among the owners.
  private func publishCount(owner: Int) {
    guard owner < portCount else { return }
    memory.portCounts[owner].store(memory.lists[owner * 2].count, ordering: .releasing)
  }

  /// Puts `target` in the place of `source` in a list.
  func substitute(_ target: UInt32, for source: UInt32, inList list: Int) {
    let previous = memory.previous[Int(source)]
    let next = memory.next[Int(source)]
    memory.previous[Int(target)] = previous
    memory.next[Int(target)] = next
    if previous == SlotList.end {
      memory.lists[list].head = target
    } else {
      memory.next[Int(previous)] = target
    }
    if next == SlotList.end {
      memory.lists[list].tail = target
    } else {
      memory.previous[Int(next)] = target
    }
  }

  private func join(_ previous: UInt32, _ next: UInt32, inList list: Int) {
    if previous == SlotList.end {
      memory.lists[list].head = next
    } else {
      memory.next[Int(previous)] = next
    }
    if next == SlotList.end {
      memory.lists[list].tail = previous
    } else {
      memory.previous[Int(next)] = previous
    }
  }
}

// MARK: - Which owner has learned most

extension MACTable {
  /// The owner with the most learned entries.
  var heaviestOwner: Int { Int(memory.heap[0]) }

  private func raiseInHeap(owner: Int) {
    var position = Int(memory.heapPositions[owner])
    while position > 0 {
      let parent = (position - 1) / 2
      guard learnedCount(heapPosition: parent) < memory.lists[owner * 2].count else { break }
      swapInHeap(position, parent)
      position = parent
    }
  }

  private func lowerInHeap(owner: Int) {
    let ownerCount = portCount + vtepCount
    var position = Int(memory.heapPositions[owner])
    while position * 2 + 1 < ownerCount {
      var child = position * 2 + 1
      if child + 1 < ownerCount, learnedCount(heapPosition: child + 1) > learnedCount(heapPosition: child) {
        child += 1
      }
      guard learnedCount(heapPosition: child) > memory.lists[owner * 2].count else { break }
      swapInHeap(position, child)
      position = child
    }
  }

  private func learnedCount(heapPosition: Int) -> UInt32 {
    memory.lists[Int(memory.heap[heapPosition]) * 2].count
  }

  private func swapInHeap(_ first: Int, _ second: Int) {
    let owner = memory.heap[first]
    memory.heap[first] = memory.heap[second]
    memory.heap[second] = owner
    memory.heapPositions[Int(memory.heap[first])] = UInt32(first)
    memory.heapPositions[Int(owner)] = UInt32(second)
  }
}
