// MACTableReader: the workers' side of the forwarding database: hash, prefetch, look up, refresh. Steps E3, E4,
// D4 and D5. Lock-free; any number of threads may read while one writer changes the table.
//
// A bucket is one cache line: four keys, then their four values. A key has one possible bucket in each half of the
// table (cuckoo hashing). How the writer and the readers keep out of each other's way:
//
// * A slot gets a new key in three stores, each a release: the key word becomes free, the value word gets the new value
//   with the slot's next version, the key word gets the new key. A reader that finds its key loads value, key, value;
//   if both values agree and the key is still there, the pair belongs together, because within one version of the
//   value word there is but one key.
// * An entry that moves to its other bucket is copied first, then `displacements` goes up, then the old slot is
//   cleared. A reader that finds nothing, and sees that `displacements` has changed since, looks again.

import Encap
import Glibc
import Synchronization

/// A view of a `MACTable` for workers: pointers and sizes, copied freely. Valid as long as the table lives.
@frozen public struct MACTableReader: @unchecked Sendable {
  @usableFromInline let buckets: UnsafeMutablePointer<Atomic<UInt64>>
  @usableFromInline let lastSeen: UnsafeMutablePointer<Atomic<UInt32>>
  /// By domain times two, plus the entry class.
  @usableFromInline let domainGenerations: UnsafeMutablePointer<Atomic<UInt32>>
  /// By `MACValue.ownerGenerationIndex`.
  @usableFromInline let ownerGenerations: UnsafeMutablePointer<Atomic<UInt32>>
  @usableFromInline let displacements: UnsafeMutablePointer<Atomic<UInt64>>
  @usableFromInline let changes: UnsafeMutablePointer<Atomic<UInt64>>
  /// Not 0 while an entry may be in the table that a flush has killed.
  @usableFromInline let ghosts: UnsafeMutablePointer<Atomic<UInt64>>
  /// Slots in use in the second half.
  @usableFromInline let overflow: UnsafeMutablePointer<Atomic<UInt64>>
  /// All slots in use.
  @usableFromInline let used: UnsafeMutablePointer<Atomic<UInt64>>
  @usableFromInline let portCounts: UnsafeMutablePointer<Atomic<UInt32>>
  /// Buckets in each half; fits 32 bits.
  @usableFromInline let halfBucketCount: UInt64
  /// Secrets; the second is odd.
  @usableFromInline let mask: UInt64
  @usableFromInline let multiplier: UInt64

  init(
    buckets: UnsafeMutablePointer<Atomic<UInt64>>, lastSeen: UnsafeMutablePointer<Atomic<UInt32>>,
    domainGenerations: UnsafeMutablePointer<Atomic<UInt32>>, ownerGenerations: UnsafeMutablePointer<Atomic<UInt32>>,
    displacements: UnsafeMutablePointer<Atomic<UInt64>>, changes: UnsafeMutablePointer<Atomic<UInt64>>,
    ghosts: UnsafeMutablePointer<Atomic<UInt64>>, overflow: UnsafeMutablePointer<Atomic<UInt64>>,
    used: UnsafeMutablePointer<Atomic<UInt64>>, portCounts: UnsafeMutablePointer<Atomic<UInt32>>, halfBucketCount: Int,
    secrets: HashSecrets
  ) {
    self.buckets = buckets
    self.lastSeen = lastSeen
    self.domainGenerations = domainGenerations
    self.ownerGenerations = ownerGenerations
    self.displacements = displacements
    self.changes = changes
    self.ghosts = ghosts
    self.overflow = overflow
    self.used = used
    self.portCounts = portCounts
    self.halfBucketCount = UInt64(halfBucketCount)
    mask = secrets.mask
    multiplier = secrets.multiplier
  }

  /// Mixes the key with the table's secrets, so that a guest cannot choose addresses that collide. One multiplication does
  /// not do: the two buckets of addresses in a row would depend on each other. Nor does a random first factor: one in some
  /// thousands spreads addresses in a row so badly that a table cannot be filled.
  @inlinable @inline(__always) public func hash(_ key: MACKey) -> UInt64 {
    let first = (key.raw ^ mask).multipliedFullWidth(by: 0x9e37_79b9_7f4a_7c15)
    let second = (first.high ^ first.low).multipliedFullWidth(by: multiplier)
    return second.high ^ second.low
  }

  /// Goes up with every change of the table but `touch`: what was looked up at the same count still holds.
  @inlinable @inline(__always) public var changeCount: UInt64 {
    changes.pointee.load(ordering: .acquiring)
  }

  /// Learned entries behind a port, those of a flushed domain included until their slots are reclaimed.
  @inlinable @inline(__always) public func learnedCount(port: PortIndex) -> UInt32 {
    portCounts[Int(port)].load(ordering: .acquiring)
  }

  /// The cache line that `lookup` reads first, and mostly alone: for the caller to prefetch, and to pass on.
  @inlinable @inline(__always) public func bucket(of hash: UInt64) -> MACBucket {
    MACBucket(words: buckets + firstBucket(hash) &* 8)
  }

  /// Where `touch` mostly writes for an entry of a bucket, for the caller to prefetch.
  @inlinable @inline(__always) public func touchAddress(of bucket: MACBucket) -> UnsafeRawPointer {
    UnsafeRawPointer(lastSeen + (bucket.words - buckets) &>> 1)
  }

  /// Finds the entry of `key`.
  ///
  /// - Parameters:
  ///   - key: its domain must be below the table's `domainCount`.
  ///   - hash: what `hash(key)` returned.
  @inlinable @inline(__always) public func lookup(_ key: MACKey, hash: UInt64) -> MACLookup {
    let likely = read(buckets + firstBucket(hash) &* 8, expecting: key)
    return likely.status == .hit ? likely : lookupAnywhere(key, hash: hash)
  }

  /// The same for a caller that has kept the bucket.
  ///
  /// - Parameters:
  ///   - bucket: `bucket(of: hash(key))`, or what `likelyPlace` made of it.
  ///   - mayBeGhost: false: `hasGhosts` was false when the burst began.
  @inlinable @inline(__always) public func lookup(_ key: MACKey, in bucket: MACBucket, mayBeGhost: Bool = true) -> MACLookup {
    // In a table with room to spare an entry mostly lies in the first place of its first bucket.
    let likely = read(bucket.words, expecting: key, mayBeGhost: mayBeGhost)
    return likely.status == .hit ? likely : lookupOutOfLine(key, in: bucket)
  }

  /// Looks at the first place of a bucket alone, where the entry mostly is: for a caller that looks elsewhere out of line
  /// (`lookupElsewhere`), and that has found `hasGhosts` false when its burst began.
  @inlinable @inline(__always) public func lookup(_ key: MACKey, firstIn bucket: MACBucket) -> MACLookup {
    read(bucket.words, expecting: key, mayBeGhost: false)
  }

  /// Whether the table may hold entries that a flush has killed.
  @inlinable @inline(__always) public var hasGhosts: Bool { ghosts.pointee.load(ordering: .acquiring) != 0 }

  /// So many entries share a bucket that most are not in the first place of their first bucket: a caller with several keys does well to
  /// find out where they are (`likelyPlace`) before it looks them up. Each would be a branch that nothing predicts.
  @inlinable @inline(__always) public var isCrowded: Bool { overflow.pointee.load(ordering: .relaxed) >= 64 }

  /// So few entries that the buckets stay in the processor's second-level cache: a caller need not keep a frame while one is fetched from
  /// memory.
  @inlinable @inline(__always) public var isSmall: Bool { used.pointee.load(ordering: .relaxed) <= 4096 && !isCrowded }

  /// There are more addresses than a set of those seen lately holds.
  @inlinable @inline(__always) public var isVast: Bool { overflow.pointee.load(ordering: .relaxed) >= 65_536 }

  /// Where in its first bucket a key is, or else its second bucket: for the caller to prefetch, and to look the key up in.
  @inlinable @inline(__always) public func likelyPlace(of key: MACKey, in bucket: MACBucket) -> MACBucket {
    let place = bucket.words + candidate(key, in: bucket.words)
    if _fastPath(place.pointee.load(ordering: .relaxed) == key.raw) { return MACBucket(words: place) }
    return MACBucket(words: buckets + secondBucket(hash(key)) &* 8)
  }

  /// Notes that a frame from the entry's address was seen; on a miss, nothing. Writes an entry once a second at most.
  ///
  /// - Parameter nowSeconds: the caller's monotonic clock, the same that the table's writer uses.
  @inlinable @inline(__always) public func touch(_ hit: MACLookup, nowSeconds: UInt32) {
    guard hit.isHit else { return }
    let seen = lastSeen + Int(hit.slot)
    if seen.pointee.load(ordering: .relaxed) != nowSeconds {
      seen.pointee.store(nowSeconds, ordering: .relaxed)
    }
  }

  /// When a frame from the entry's address was last seen, on the clock of `touch`. 0 for a configured entry that has sent none.
  ///
  /// - Precondition: `hit.isHit`.
  public func lastSeenSeconds(of hit: MACLookup) -> UInt32 { lastSeen[Int(hit.slot)].load(ordering: .relaxed) }

  /// A view of the same table for a reader that must leave no trace in it: what that reader touches, it notes in memory of its own, which
  /// lives as long as the process.
  public func untouching() -> MACTableReader {
    let slotCount = Int(halfBucketCount) * 2 * 4
    guard let memory = calloc(slotCount, MemoryLayout<Atomic<UInt32>>.stride) else {
      fatalError("out of memory for a view of the MAC table")
    }
    return MACTableReader(
      buckets: buckets, lastSeen: memory.bindMemory(to: Atomic<UInt32>.self, capacity: slotCount), domainGenerations: domainGenerations,
      ownerGenerations: ownerGenerations, displacements: displacements, changes: changes, ghosts: ghosts, overflow: overflow,
      used: used, portCounts: portCounts, halfBucketCount: Int(halfBucketCount), secrets: HashSecrets(mask: mask, multiplier: multiplier))
  }
}

/// A bucket of a table, or a place in one, for `MACTableReader.lookup`.
@frozen public struct MACBucket: @unchecked Sendable {
  @usableFromInline let words: UnsafeMutablePointer<Atomic<UInt64>>

  @usableFromInline @inline(__always) init(words: UnsafeMutablePointer<Atomic<UInt64>>) { self.words = words }

  /// Its cache line.
  @inlinable @inline(__always) public var address: UnsafeRawPointer { UnsafeRawPointer(words) }
}

extension MACTableReader {
  /// Multiply-shift range reduction: the bucket count need not be a power of two.
  @inlinable @inline(__always) func firstBucket(_ hash: UInt64) -> Int {
    Int(truncatingIfNeeded: hash.multipliedFullWidth(by: halfBucketCount).high)
  }

  @inlinable @inline(__always) func secondBucket(_ hash: UInt64) -> Int {
    Int(truncatingIfNeeded: halfBucketCount &+ ((hash & 0xffff_ffff) &* halfBucketCount) >> 32)
  }

  /// The key word of a slot; its value word is four words further.
  @inlinable @inline(__always) func keyWord(_ slot: UInt32) -> UnsafeMutablePointer<Atomic<UInt64>> {
    buckets + (Int(slot >> 2) &* 8 &+ Int(slot & 3))
  }

  /// What an entry's generation must be: a flush of its domain or of its owner raises this.
  @inlinable @inline(__always) func generation(_ key: MACKey, _ value: MACValue) -> UInt32 {
    domainGenerations[Int(key.domain) &* 2 &+ value.entryClass].load(ordering: .relaxed)
      &+ ownerGenerations[value.ownerGenerationIndex].load(ordering: .relaxed)
  }

  @inlinable @inline(__always) func isLive(_ key: MACKey, _ value: MACValue) -> Bool {
    value.isOfGeneration(generation(key, value))
  }

  /// Which of a bucket's four slots holds `key`, if any does; the caller checks. Which it is, no branch predictor could
  /// tell: this compiles to conditional moves.
  @inlinable @inline(__always) func candidate(_ key: MACKey, inBucket bucket: Int) -> Int { candidate(key, in: buckets + bucket &* 8) }

  @inlinable @inline(__always) func candidate(_ key: MACKey, in keys: UnsafeMutablePointer<Atomic<UInt64>>) -> Int {
    var position = keys[1].load(ordering: .acquiring) == key.raw ? 1 : 0
    position = keys[2].load(ordering: .acquiring) == key.raw ? 2 : position
    position = keys[3].load(ordering: .acquiring) == key.raw ? 3 : position
    return position
  }

  @inlinable @inline(__always) func attempt(_ key: MACKey, hash: UInt64) -> MACLookup {
    let displacementsBefore = displacements.pointee.load(ordering: .acquiring)
    let first = firstBucket(hash)
    let inFirst = read(buckets + (first &* 8 &+ candidate(key, inBucket: first)), expecting: key)
    if inFirst.status != .miss { return inFirst }
    let second = secondBucket(hash)
    let inSecond = read(buckets + (second &* 8 &+ candidate(key, inBucket: second)), expecting: key)
    if inSecond.status != .miss { return inSecond }
    return MACLookup(displacements.pointee.load(ordering: .relaxed) == displacementsBefore ? .miss : .torn)
  }

  /// What is at a key word: a hit; a miss when it is another's or was flushed; torn when it just changed.
  @inlinable @inline(__always)
  func read(_ word: UnsafeMutablePointer<Atomic<UInt64>>, expecting key: MACKey, mayBeGhost: Bool = true) -> MACLookup {
    let before = word[4].load(ordering: .acquiring)
    guard word[0].load(ordering: .acquiring) == key.raw else { return .miss }
    let after = word[4].load(ordering: .relaxed)
    guard before == after else { return MACLookup(.torn) }
    let value = MACValue(raw: after)
    guard !mayBeGhost || !hasGhosts || isLive(key, value) else { return .miss }
    let position = word - buckets
    return MACLookup(.hit, slot: UInt32(truncatingIfNeeded: (position &>> 3) &* 4 &+ (position & 3)), value: value)
  }

  /// Looks at the other places of the bucket, before everything is looked at.
  @inlinable @inline(__always) public func lookupElsewhere(_ key: MACKey, in bucket: MACBucket) -> MACLookup {
    let start = bucket.words - (bucket.words - buckets) & 7
    let likely = read(start + candidate(key, in: start), expecting: key)
    return likely.status == .hit ? likely : lookupAnywhere(key, hash: hash(key))
  }

  @usableFromInline @inline(never) func lookupOutOfLine(_ key: MACKey, in bucket: MACBucket) -> MACLookup {
    lookupElsewhere(key, in: bucket)
  }

  /// Looks at every place; again when the writer was at work on this very entry.
  @usableFromInline @inline(never) func lookupAnywhere(_ key: MACKey, hash: UInt64) -> MACLookup {
    while true {
      let found = attempt(key, hash: hash)
      if found.status != .torn { return found }
    }
  }
}
