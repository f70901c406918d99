// Random operations on a table and its model; after each, both must agree.

import Encap
import Synchronization
import Testing

@testable import MACTable

struct PropertyTests {
  static let portCount: UInt16 = 3
  static let vtepCount: UInt16 = 3
  static let domainCount: UInt16 = 3

  /// A table big enough for all addresses: nothing is evicted, so the model predicts everything.
  @Test(arguments: 1...12 as ClosedRange<UInt64>) func agreesWithModel(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    // 100 addresses in 3 domains.
    let run = try Run(capacity: 300, addressCount: 100)
    for step in 0..<4000 {
      try run.step(&random, step: step)
      if step % 50 == 0 { try run.compareEverything() }
    }
    try run.compareEverything()
    #expect(run.table.evictions == 0)
    run.table.sweepAll(nowSeconds: run.now)
    run.model.age(nowSeconds: run.now)
    try run.compareEverything()
    #expect(run.table.ghostCount == 0)
  }

  /// A table too small for its input: it may evict only learned entries, and what it keeps must be correct.
  @Test(arguments: 1...12 as ClosedRange<UInt64>) func staysConsistentWhenFull(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    // Some seeds: so few slots that a search for a free one often fails.
    let capacity = Int(seed) * 5
    let run = try Run(capacity: capacity, addressCount: 100, halfBucketCount: seed % 4 == 1 ? capacity / 8 + 1 : nil)
    run.mayLose = true
    for step in 0..<4000 {
      try run.step(&random, step: step)
      if step % 50 == 0 { try run.compareEverything() }
    }
    try run.compareEverything()
    #expect(run.table.evictions > 0)
  }

  private final class Run {
    let table: MACTable
    var model = MACTableModel()
    var now: UInt32 = 1000
    let addressCount: UInt64
    /// Whether the table may evict; the model then follows it.
    var mayLose = false

    init(capacity: Int, addressCount: UInt64, halfBucketCount: Int? = nil) throws {
      if let halfBucketCount {
        table = try MACTable(
          capacity: capacity, portCount: Int(portCount), vtepCount: Int(vtepCount), domainCount: Int(domainCount),
          halfBucketCount: halfBucketCount)
      } else {
        table = try MACTable(
          capacity: capacity, portCount: Int(portCount), vtepCount: Int(vtepCount), domainCount: Int(domainCount))
      }
      self.addressCount = addressCount
    }

    func step(_ random: inout SeededGenerator, step: Int) throws {
      let domain = DomainIndex(UInt16.random(in: 0..<domainCount, using: &random))
      let key = key(domain, .random(in: 0..<addressCount, using: &random))
      let port = PortIndex(UInt16.random(in: 0..<portCount, using: &random))
      let vtep = VTEPIndex(UInt16.random(in: 0..<vtepCount, using: &random))
      let isRemote = Bool.random(using: &random)
      let location = isRemote ? MACLocation.vtep(vtep) : .port(port, vlan: .random(in: 0...2, using: &random))
      let owner = isRemote ? MACLocation.vtep(vtep) : .port(port, vlan: 0)
      switch Int.random(in: 0..<1000, using: &random) {
      case 0..<700: learn(key, at: location)
      case 700..<760:
        let type: MACEntryType = Bool.random(using: &random) ? .static : .controller
        setStatic(key, at: location, type: type)
      case 760..<850:
        #expect(table.remove(key) == (model.entries.removeValue(forKey: key) != nil))
      case 850..<870:
        let isLearned = model.entries[key]?.type == .learned
        #expect(table.flush(key) == isLearned)
        if isLearned { model.entries[key] = nil }
      case 870..<900:
        let hit = table.reader.find(key)
        table.reader.touch(hit, nowSeconds: now)
        model.entries[key]?.lastSeenSeconds = now
      case 900..<910:
        table.flush(domain: domain)
        model.remove { $0.domain == domain && $1.type == .learned }
      case 910..<920:
        if isRemote { table.flush(vtep: vtep) } else { table.flush(port: port) }
        model.remove { [model] in model.isAt(owner, $1.location) && $1.type == .learned }
      case 920..<930:
        if isRemote { table.flush(domain: domain, vtep: vtep) } else { table.flush(domain: domain, port: port) }
        model.remove { [model] in $0.domain == domain && model.isAt(owner, $1.location) && $1.type == .learned }
      case 930..<934:
        table.removeAll(domain: domain)
        model.remove { key, _ in key.domain == domain }
        model.refused[domain] = 0
      case 934..<938:
        if isRemote { table.removeAll(vtep: vtep) } else { table.removeAll(port: port) }
        model.remove { [model] in model.isAt(owner, $1.location) }
      case 938..<940:
        table.flushAll()
        model.remove { $1.type == .learned }
      case 940..<950:
        let age = UInt32.random(in: 0...20, using: &random)
        // In a full table a lower limit would hide the evictions under test.
        let limit = UInt32.random(in: 0...(mayLose ? 0 : 30), using: &random)
        table.configureDomain(domain, ageSeconds: age, limit: limit)
        model.ageSeconds[domain] = age
        model.limits[domain] = limit
      case 950..<970: now += .random(in: 0...5, using: &random)
      case 970..<990:
        _ = table.sweep(slots: .random(in: 0...50, using: &random), nowSeconds: now)
        follow()
      default:
        table.sweepAll(nowSeconds: now)
        model.age(nowSeconds: now)
      }
      checkOne(key)
    }

    func learn(_ key: MACKey, at location: MACLocation) {
      let before = model
      let predicted = model.learn(key, at: location, nowSeconds: now)
      let outcome = table.learn(key, at: location, nowSeconds: now)
      guard mayLose, predicted == .added else {
        #expect(outcome == predicted)
        return
      }
      switch outcome {
      case .added, .evictedOther:
        let evicted = before.entries.filter { !table.reader.find($0.key).isHit }
        #expect(evicted.values.allSatisfy { $0.type == .learned })
        if outcome == .added { #expect(evicted.allSatisfy { isExpired($0.key, $0.value) }) }
        if outcome == .evictedOther { #expect(evicted.contains { !isExpired($0.key, $0.value) }) }
        for key in evicted.keys { model.entries[key] = nil }
      case .refusedFull:
        model.entries[key] = nil
        follow()
      default: Issue.record("\(outcome)")
      }
    }

    func setStatic(_ key: MACKey, at location: MACLocation, type: MACEntryType) {
      let before = model
      let predicted = model.setStatic(key, at: location, type: type)
      do {
        try table.setStatic(key, at: location, type: type)
        #expect(predicted == nil)
      } catch {
        if mayLose, error.code == .tableFull { model = before } else { #expect(error.code == predicted) }
      }
      if mayLose { follow() }
    }

    func isExpired(_ key: MACKey, _ entry: MACTableModel.Entry) -> Bool {
      let age = model.ageSeconds[key.domain] ?? 0
      return entry.type == .learned && age > 0 && now - entry.lastSeenSeconds >= age
    }

    /// Removes what a sweep or an eviction removed: learned entries only, and only expired ones if none may be lost.
    func follow() {
      for (key, entry) in model.entries where !table.reader.find(key).isHit {
        #expect(entry.type == .learned)
        if !mayLose { #expect(isExpired(key, entry)) }
        model.entries[key] = nil
      }
    }

    func checkOne(_ key: MACKey) {
      let hit = table.reader.find(key)
      let entry = model.entries[key]
      #expect(hit.isHit == (entry != nil))
      if let entry, hit.isHit { #expect(hit.location == entry.location && hit.type == entry.type) }
    }

    func compareEverything() throws {
      var listed: [MACKey: MACTableModel.Entry] = [:]
      for entry in table.all(pageSize: 7) {
        #expect(listed[entry.key] == nil)
        listed[entry.key] = .init(
          location: entry.location, type: entry.type, moves: entry.moves, lastSeenSeconds: entry.lastSeenSeconds)
      }
      if mayLose {
        // A static entry that evicted nothing is in both; times agree too.
        try #require(listed.keys.sorted { $0.raw < $1.raw } == model.entries.keys.sorted { $0.raw < $1.raw })
      }
      try #require(listed == model.entries)
      #expect(table.count == model.entries.count)
      #expect(table.count <= table.capacity)
      let inSecondHalf = (UInt32(table.slotCount / 2)..<UInt32(table.slotCount)).reduce(0) { table.isFree($1) ? $0 : $0 + 1 }
      #expect(Int(table.memory.overflow.pointee.load(ordering: .relaxed)) == inSecondHalf)
      for (key, entry) in model.entries {
        let hit = table.reader.find(key)
        #expect(hit.isHit && hit.location == entry.location && hit.type == entry.type)
      }
      for domain in DomainIndex.first(Int(domainCount)) {
        #expect(table.learnedCount(domain: domain) == model.learnedCount(domain: domain))
        #expect(table.count(domain: domain) == model.count(domain: domain))
        #expect(table.refusedByLimit(domain: domain) == model.refused[domain] ?? 0)
      }
      for port in PortIndex.first(Int(portCount)) { #expect(table.count(port: port) == model.count(at: .port(port, vlan: 0))) }
      for vtep in VTEPIndex.first(Int(vtepCount)) {
        #expect(table.count(vtep: vtep) == model.count(at: .vtep(vtep)))
        #expect(Set(table.domains(vtep: vtep)) == model.domains(at: .vtep(vtep)))
      }
      try table.checkStructure()
    }
  }
}

extension MACTable {
  /// Checks the lists, the heap and the counts against the slots.
  func checkStructure() throws {
    let ownerCount = portCount + vtepCount
    var listed = Set<UInt32>()
    for list in 0..<ownerCount * 2 {
      var previous = SlotList.end
      var slot = memory.lists[list].head
      var count = 0
      while slot != SlotList.end {
        #expect(listed.insert(slot).inserted)
        #expect(memory.previous[Int(slot)] == previous)
        #expect(!isFree(slot) && listIndex(value(slot)) == list)
        previous = slot
        slot = memory.next[Int(slot)]
        count += 1
        try #require(count <= slotCount)
      }
      #expect(memory.lists[list].tail == previous)
      #expect(Int(memory.lists[list].count) == count)
    }
    let used = (0..<UInt32(slotCount)).filter { !isFree($0) }
    #expect(listed == Set(used))
    #expect(usedCount == used.count)
    #expect(ghostCount == used.count { isGhost($0) })
    for position in 0..<ownerCount {
      let owner = Int(memory.heap[position])
      #expect(Int(memory.heapPositions[owner]) == position)
      let parent = Int(memory.heap[max(position - 1, 0) / 2])
      #expect(memory.lists[parent * 2].count >= memory.lists[owner * 2].count)
    }
  }
}
