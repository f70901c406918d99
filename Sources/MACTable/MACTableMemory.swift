// MACTableMemory: the one block of memory behind a forwarding database, carved into arrays. The readers see the first
// few; the rest is the writer's.

import Glibc
import Synchronization

/// A doubly linked list of slots, in the order in which their entries were learned (or configured).
struct SlotList {
  static let end = UInt32.max

  var head = SlotList.end
  var tail = SlotList.end
  var count: UInt32 = 0
}

/// What the operator asked for in one bridge domain, and what it cost.
struct DomainPolicy {
  /// 0: never.
  var ageSeconds: UInt32 = 0
  /// Learned entries; 0: no limit but the table's.
  var limit: UInt32 = 0
  var refusedByLimit: UInt64 = 0
  /// What is done about addresses that move too often; nil: what the table does.
  var freezesMoves: Bool?
}

/// One step of the search for a free slot: a bucket, and how the search got there.
struct PathNode {
  var bucket: UInt32
  /// The slot whose entry would go to `bucket`; meaningless for a start bucket.
  var source: UInt32
  /// The node that `source` is in, or -1 for a start bucket.
  var parent: Int32
}

/// The arrays, all of them plain data, in one allocation.
struct MACTableMemory {
  /// Buckets that one search for a free slot may look at: every chain of up to four displacements, and some of five.
  /// Filling tables of a million entries to the last one, 64 searches in 60 million went beyond 100 buckets and none
  /// beyond 511.
  static let pathNodeCount = 1024

  let block: UnsafeMutableRawPointer
  let byteCount: Int

  let buckets: UnsafeMutablePointer<Atomic<UInt64>>
  /// Alone in its cache line: written with each displacement, read with each lookup.
  let displacements: UnsafeMutablePointer<Atomic<UInt64>>
  let changes: UnsafeMutablePointer<Atomic<UInt64>>
  let ghosts: UnsafeMutablePointer<Atomic<UInt64>>
  /// Slots in use in the second half.
  let overflow: UnsafeMutablePointer<Atomic<UInt64>>
  /// All slots in use.
  let used: UnsafeMutablePointer<Atomic<UInt64>>
  let lastSeen: UnsafeMutablePointer<Atomic<UInt32>>
  let domainGenerations: UnsafeMutablePointer<Atomic<UInt32>>
  let ownerGenerations: UnsafeMutablePointer<Atomic<UInt32>>
  /// Learned entries by port, for the workers.
  let portCounts: UnsafeMutablePointer<Atomic<UInt32>>

  /// When a slot's entry came to its place, in seconds since 1970; 0: not known.
  let since: UnsafeMutablePointer<Atomic<UInt32>>
  /// Neighbours of a slot in its owner's list.
  let previous: UnsafeMutablePointer<UInt32>
  let next: UnsafeMutablePointer<UInt32>
  /// By owner times two, plus the entry class.
  let lists: UnsafeMutablePointer<SlotList>
  /// Live entries, by domain times two, plus the entry class.
  let domainCounts: UnsafeMutablePointer<UInt32>
  let policies: UnsafeMutablePointer<DomainPolicy>
  /// Owners as a binary heap, the one with most learned entries on top; and where in it each owner is.
  let heap: UnsafeMutablePointer<UInt32>
  let heapPositions: UnsafeMutablePointer<UInt32>
  let path: UnsafeMutablePointer<PathNode>

  init(slotCount: Int, portCount: Int, vtepCount: Int, domainCount: Int) throws(MACTableError) {
    let ownerCount = portCount + vtepCount
    let ownerGenerationCount = max(portCount, vtepCount) * 4
    var layout = Layout()
    let bucketsOffset = layout.reserve(Atomic<UInt64>.self, slotCount * 2)
    let displacementsOffset = layout.reserve(Atomic<UInt64>.self, 8)
    let lastSeenOffset = layout.reserve(Atomic<UInt32>.self, slotCount)
    let domainGenerationsOffset = layout.reserve(Atomic<UInt32>.self, domainCount * 2)
    let ownerGenerationsOffset = layout.reserve(Atomic<UInt32>.self, ownerGenerationCount)
    let portCountsOffset = layout.reserve(Atomic<UInt32>.self, portCount)
    let sinceOffset = layout.reserve(Atomic<UInt32>.self, slotCount)
    let previousOffset = layout.reserve(UInt32.self, slotCount)
    let nextOffset = layout.reserve(UInt32.self, slotCount)
    let listsOffset = layout.reserve(SlotList.self, ownerCount * 2)
    let domainCountsOffset = layout.reserve(UInt32.self, domainCount * 2)
    let policiesOffset = layout.reserve(DomainPolicy.self, domainCount)
    let heapOffset = layout.reserve(UInt32.self, ownerCount)
    let heapPositionsOffset = layout.reserve(UInt32.self, ownerCount)
    let pathOffset = layout.reserve(PathNode.self, Self.pathNodeCount)

    byteCount = layout.byteCount
    block = try Self.allocate(byteCount)
    buckets = (block + bucketsOffset).bindMemory(to: Atomic<UInt64>.self, capacity: slotCount * 2)
    displacements = (block + displacementsOffset).bindMemory(to: Atomic<UInt64>.self, capacity: 5)
    // In the line that was reserved for all five.
    changes = displacements + 1
    ghosts = displacements + 2
    overflow = displacements + 3
    used = displacements + 4
    lastSeen = (block + lastSeenOffset).bindMemory(to: Atomic<UInt32>.self, capacity: slotCount)
    domainGenerations = (block + domainGenerationsOffset)
      .bindMemory(to: Atomic<UInt32>.self, capacity: domainCount * 2)
    ownerGenerations = (block + ownerGenerationsOffset)
      .bindMemory(to: Atomic<UInt32>.self, capacity: ownerGenerationCount)
    portCounts = (block + portCountsOffset).bindMemory(to: Atomic<UInt32>.self, capacity: portCount)
    since = (block + sinceOffset).bindMemory(to: Atomic<UInt32>.self, capacity: slotCount)
    previous = (block + previousOffset)
      .initializeMemory(as: UInt32.self, repeating: SlotList.end, count: slotCount)
    next = (block + nextOffset).initializeMemory(as: UInt32.self, repeating: SlotList.end, count: slotCount)
    lists = (block + listsOffset).initializeMemory(as: SlotList.self, repeating: SlotList(), count: ownerCount * 2)
    domainCounts = (block + domainCountsOffset)
      .initializeMemory(as: UInt32.self, repeating: 0, count: domainCount * 2)
    policies = (block + policiesOffset)
      .initializeMemory(as: DomainPolicy.self, repeating: DomainPolicy(), count: domainCount)
    heap = (block + heapOffset).initializeMemory(as: UInt32.self, repeating: 0, count: ownerCount)
    heapPositions = (block + heapPositionsOffset).initializeMemory(as: UInt32.self, repeating: 0, count: ownerCount)
    path = (block + pathOffset).initializeMemory(
      as: PathNode.self, repeating: PathNode(bucket: 0, source: 0, parent: -1), count: Self.pathNodeCount)

    initializeAtomics(
      slotCount: slotCount, domainCount: domainCount, ownerGenerationCount: ownerGenerationCount, portCount: portCount)
    for owner in 0..<ownerCount {
      heap[owner] = UInt32(owner)
      heapPositions[owner] = UInt32(owner)
    }
  }

  private func initializeAtomics(slotCount: Int, domainCount: Int, ownerGenerationCount: Int, portCount: Int) {
    for bucket in 0..<slotCount / 4 {
      for word in 0..<4 {
        (buckets + bucket * 8 + word).initialize(to: Atomic(MACKey.freeSlot))
        (buckets + bucket * 8 + word + 4).initialize(to: Atomic(0))
      }
    }
    displacements.initialize(to: Atomic(0))
    changes.initialize(to: Atomic(0))
    ghosts.initialize(to: Atomic(0))
    overflow.initialize(to: Atomic(0))
    used.initialize(to: Atomic(0))
    for slot in 0..<slotCount {
      (lastSeen + slot).initialize(to: Atomic(0))
      (since + slot).initialize(to: Atomic(0))
    }
    for index in 0..<domainCount * 2 { (domainGenerations + index).initialize(to: Atomic(0)) }
    for index in 0..<ownerGenerationCount { (ownerGenerations + index).initialize(to: Atomic(0)) }
    for port in 0..<portCount { (portCounts + port).initialize(to: Atomic(0)) }
  }

  /// Lookups go all over the table: on pages of 4 KiB each would also miss the address translation cache, so the kernel
  /// is asked for large ones. A table smaller than one gains nothing.
  private static func allocate(_ byteCount: Int) throws(MACTableError) -> UnsafeMutableRawPointer {
    let largePage = 2 << 20
    var block: UnsafeMutableRawPointer?
    // Swift's allocate would end the process.
    guard posix_memalign(&block, byteCount >= largePage ? largePage : Layout.cacheLine, byteCount) == 0, let block else {
      throw MACTableError(.create, subject: "of \(byteCount >> 20) MiB", code: .outOfMemory)
    }
    if byteCount >= largePage { _ = madvise(block, byteCount / largePage * largePage, MADV_HUGEPAGE) }
    return block
  }

  /// Nothing in the block needs more than its memory given back.
  func deallocate() { free(block) }

  /// Offsets of arrays laid one after the other, each at the start of a cache line.
  private struct Layout {
    static let cacheLine = 64
    var byteCount = 0

    mutating func reserve<Element: ~Copyable>(_ type: Element.Type, _ count: Int) -> Int {
      let offset = byteCount
      let end = offset + count * MemoryLayout<Element>.stride
      byteCount = (end + Self.cacheLine - 1) / Self.cacheLine * Self.cacheLine
      return offset
    }
  }
}
