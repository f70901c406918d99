// MACTable: the forwarding database, which says behind which port or VTEP a MAC address of a bridge domain lives.
// Workers read it in steps E3, E4, D4 and D5 through `MACTableReader`; here is the writer's side. Exactly one thread may write at a time.

import Encap
import Synchronization

/// The forwarding database of all bridge domains: lock-free readers, one writer.
///
/// All methods and properties of this class are the writer's, except `reader`, `capacity`, `slotCount`, `memoryByteCount`,
/// `events` and `entries(from:limit:)`: the caller makes sure that only one thread uses them at a time.
///
/// Times are seconds of a monotonic clock that the caller chooses and passes in; workers use the same one.
public final class MACTable: @unchecked Sendable {
  /// For the workers; valid as long as the table lives.
  public let reader: MACTableReader
  /// Entries that the table can hold.
  public let capacity: Int
  /// Slots that `entries(from:limit:)` and `sweep(slots:nowSeconds:)` go through.
  public let slotCount: Int
  /// Learned entries that were evicted because the table was full.
  public internal(set) var evictions: UInt64 = 0
  /// Entries that were added.
  public internal(set) var inserts: UInt64 = 0
  /// Entries that changed their place.
  public internal(set) var moves: UInt64 = 0

  let memory: MACTableMemory
  let portCount: Int
  let vtepCount: Int
  let domainCount: Int

  /// What happens to entries is appended here.
  public let events = EventRing()
  /// Where addresses were before.
  var trail: MoveTrail

  /// Slots in use: live entries and ghosts.
  var usedCount = 0 { didSet { memory.used.pointee.store(UInt64(usedCount), ordering: .relaxed) } }
  /// Entries made invisible by a flush of their domain, whose slots have not been reclaimed yet.
  var ghostCount = 0
  /// Flushes since the table was last free of ghosts.
  var generationSteps: UInt32 = 0
  /// By VTEP: the domains that have slots in use behind it, and how many, ghosts among them.
  var domainsByVTEP: [[DomainIndex: UInt32]]
  /// Path nodes of the last failed search for a free slot.
  var searchedNodeCount = 0
  /// Nil: addresses move freely.
  var moveHistory: MoveHistory?
  /// Addresses that moved too often.
  var frozen: [MACKey: MACMove] = [:]
  var holdSeconds: UInt32 = 0
  /// For domains that do not override it.
  var freezesMoves = true
  var sweepCursor = 0
  var ghostCursor = 0

  /// Percentage of slots in use when the table counts as full. Two buckets of four slots can reach 97; close to that, finding
  /// a free slot gets slow.
  static let fullLoadPercent = 94

  /// Up to so many buckets in each half, 8 MiB in all, a table has four times as many as its entries need: with a thousand of 65,536 entries
  /// in use, one in seventy is not the first of its bucket, in place of one in eighteen. For a worker each of those is a mispredicted branch.
  static let sparseHalfBucketCount = 1 << 15

  /// - Parameters:
  ///   - capacity: entries, 1 to 2^28.
  ///   - portCount: port indices are below this, at most 65536.
  ///   - vtepCount: VTEP indices are below this, at most 65536.
  ///   - domainCount: bridge-domain indices are below this, 1 to 65535.
  ///   - secrets: for the hash.
  /// - Throws: `MACTableError` with code `invalidSize`.
  public convenience init(
    capacity: Int, portCount: Int, vtepCount: Int, domainCount: Int, secrets: HashSecrets = HashSecrets()
  ) throws(MACTableError) {
    guard (1...1 << 28).contains(capacity), (0...65536).contains(portCount), (0...65536).contains(vtepCount),
      portCount + vtepCount > 0, (1...65535).contains(domainCount)
    else {
      throw MACTableError(
        .create,
        subject: "of \(capacity) entries for \(portCount) ports, \(vtepCount) VTEPs, \(domainCount) domains",
        code: .invalidSize)
    }
    let fewest = Self.fewestHalfBuckets(capacity: capacity)
    try self.init(
      capacity: capacity, portCount: portCount, vtepCount: vtepCount, domainCount: domainCount,
      halfBucketCount: max(fewest, min(fewest * 4, Self.sparseHalfBucketCount)), secrets: secrets)
  }

  /// What so many entries need. Some extra buckets, since a small table fills less evenly.
  static func fewestHalfBuckets(capacity: Int) -> Int { capacity * 100 / (8 * fullLoadPercent) + 16 }

  /// - Parameter halfBucketCount: buckets of four slots in each half of the table; there may be fewer slots than the
  ///   capacity.
  init(
    capacity: Int, portCount: Int, vtepCount: Int, domainCount: Int, halfBucketCount: Int, secrets: HashSecrets = HashSecrets()
  ) throws(MACTableError) {
    self.capacity = capacity
    self.portCount = portCount
    self.vtepCount = vtepCount
    self.domainCount = domainCount
    domainsByVTEP = Array(repeating: [:], count: vtepCount)
    trail = MoveTrail(capacity: capacity)
    slotCount = halfBucketCount * 8
    memory = try MACTableMemory(
      slotCount: slotCount, portCount: portCount, vtepCount: vtepCount, domainCount: domainCount)
    reader = MACTableReader(
      buckets: memory.buckets, lastSeen: memory.lastSeen, domainGenerations: memory.domainGenerations,
      ownerGenerations: memory.ownerGenerations, displacements: memory.displacements, changes: memory.changes, ghosts: memory.ghosts,
      overflow: memory.overflow, used: memory.used, portCounts: memory.portCounts, halfBucketCount: halfBucketCount, secrets: secrets)
  }

  deinit { memory.deallocate() }

  /// Memory used by the entries and the index spaces.
  public var memoryByteCount: Int { memory.byteCount }

  /// Live entries of every type.
  public var count: Int { usedCount - ghostCount }

  /// Addresses that moved too often, and are held where they were.
  public var frozenCount: Int { frozen.count }

  /// Live entries of every type in a domain.
  public func count(domain: DomainIndex) -> Int {
    learnedCount(domain: domain) + Int(memory.domainCounts[Int(domain) * 2 + 1])
  }

  public func learnedCount(domain: DomainIndex) -> Int {
    checkIndex(domain: domain)
    return Int(memory.domainCounts[Int(domain) * 2])
  }

  /// Live entries of every type behind a port.
  public func count(port: PortIndex) -> Int { count(owner: ownerIndex(.port(port, vlan: 0))) }

  /// Live entries of every type behind a VTEP.
  public func count(vtep: VTEPIndex) -> Int { count(owner: ownerIndex(.vtep(vtep))) }

  /// The domains that have live entries behind a VTEP, in no particular order.
  public func domains(vtep: VTEPIndex) -> [DomainIndex] {
    // This frees the ghosts' slots.
    count(vtep: vtep) > 0 ? Array(domainsByVTEP[Int(vtep)].keys) : []
  }

  /// Frames whose source address was not learned because the domain was at its limit.
  public func refusedByLimit(domain: DomainIndex) -> UInt64 {
    checkIndex(domain: domain)
    return memory.policies[Int(domain)].refusedByLimit
  }

  /// Sets what happens to a domain's learned entries from now on; entries above a lowered limit stay.
  ///
  /// - Parameters:
  ///   - ageSeconds: an entry is removed after this long without a frame; 0: never.
  ///   - limit: most learned entries in the domain; 0: only the table's limit.
  ///   - freezesMoves: `freezes` of `configureMoveGuard` for this domain; nil: not overridden.
  public func configureDomain(_ domain: DomainIndex, ageSeconds: UInt32, limit: UInt32, freezesMoves: Bool? = nil) {
    checkIndex(domain: domain)
    if memory.policies[Int(domain)].freezesMoves != freezesMoves {
      memory.policies[Int(domain)].freezesMoves = freezesMoves
      releaseFollowed()
    }
    memory.policies[Int(domain)].ageSeconds = ageSeconds
    memory.policies[Int(domain)].limit = limit
  }
}

extension MACTable {
  func checkIndex(domain: DomainIndex) {
    precondition(Int(domain) < domainCount, "bridge-domain index beyond the MAC table's domain count")
  }

  func isInRange(_ location: MACLocation) -> Bool {
    location.isVTEP ? Int(location.vtep) < vtepCount : Int(location.port) < portCount
  }

  /// The owner of a location: ports are numbered first, VTEPs after. An index out of range is a programmer's error.
  func ownerIndex(_ location: MACLocation) -> Int {
    precondition(isInRange(location), "port or VTEP index beyond the MAC table's index space")
    return location.isVTEP ? Int(location.vtep) + portCount : Int(location.port)
  }

  private func count(owner: Int) -> Int {
    if ghostCount > 0 {
      reclaimGhosts(inList: owner * 2)
      reclaimGhosts(inList: owner * 2 + 1)
    }
    return Int(memory.lists[owner * 2].count) + Int(memory.lists[owner * 2 + 1].count)
  }
}
