// Size: a million entries and their memory, how full the table gets, and what is evicted when it is full.

import Encap
import Testing

@testable import MACTable

struct CapacityTests {
  @Test func millionEntries() throws {
    let table = try MACTable(capacity: 1_000_000, portCount: 64, vtepCount: 8192, domainCount: 8192)
    #expect(table.memoryByteCount <= 36_000_000)
    table.configureDomain(1, ageSeconds: 300, limit: 0)
    func address(_ index: Int) -> MACKey { key(1, 0x0200_0000_0000 + UInt64(index)) }
    func place(_ index: Int) -> MACLocation {
      index % 3 == 0 ? .port(PortIndex(index % 64), vlan: UInt16(index % 4095)) : .vtep(VTEPIndex(index % 8192))
    }
    func learnAll(nowSeconds: UInt32) -> Int {
      (0..<1_000_000).count { table.learn(address($0), at: place($0), nowSeconds: nowSeconds) == .added }
    }
    func found() -> Int {
      (0..<1_000_000).count {
        let hit = table.reader.find(address($0))
        return hit.isHit && hit.location == place($0)
      }
    }
    #expect(learnAll(nowSeconds: 1) == 1_000_000)
    #expect(table.evictions == 0)
    #expect(table.count == 1_000_000)
    #expect(found() == 1_000_000)
    #expect(!table.reader.find(address(1_000_000)).isHit)

    table.flush(domain: 1)
    #expect(found() == 0 && table.count == 0)
    #expect(table.learnedCount(domain: 1) == 0)
    // The flushed entries still occupy every slot, and make room.
    #expect(learnAll(nowSeconds: 500) == 1_000_000)
    #expect(table.evictions == 0)
    #expect(found() == 1_000_000)

    #expect(table.sweepAll(nowSeconds: 799) == 0)
    #expect(table.sweepAll(nowSeconds: 800) == 1_000_000)
    #expect(table.count == 0 && !table.reader.find(address(0)).isHit)
  }

  /// Where workers look first, in the first place of a bucket, they find nearly all of a thousand addresses, and all of them there or
  /// elsewhere.
  @Test func tablesOfTheDefaultSizeAreSparse() throws {
    let table = try MACTable(capacity: 65_536, portCount: 1, vtepCount: 1, domainCount: 2)
    for number in 1...1000 as ClosedRange<UInt64> { _ = table.learn(key(1, number), at: .port(0, vlan: 0), nowSeconds: 0) }
    let reader = table.reader
    let keys = (1...1000 as ClosedRange<UInt64>).map { key(1, $0) }
    // 15 are expected elsewhere; of a table with as many places as entries, 55.
    #expect(keys.count { reader.lookup($0, firstIn: reader.bucket(of: reader.hash($0))).isHit } > 960)
    #expect(keys.allSatisfy { reader.find($0).isHit })
    #expect(table.slotCount * 32 <= 9 << 20, "8 MiB")
  }

  /// Workers forward frame by frame while a table is small (Worker+AtOnce): up to 4,096 slots in use, ghosts included, of which few share
  /// a bucket.
  @Test func smallTables() throws {
    let table = try MACTable(capacity: 200_000, portCount: 1, vtepCount: 1, domainCount: 2)
    table.configureDomain(1, ageSeconds: 1, limit: 0)
    func add(_ numbers: ClosedRange<UInt64>) {
      for number in numbers { _ = table.learn(key(1, number), at: .port(0, vlan: 0), nowSeconds: 0) }
    }
    #expect(table.reader.isSmall)
    add(1...4096)
    #expect(table.reader.isSmall && !table.reader.isCrowded)
    add(4097...4097)
    #expect(!table.reader.isSmall)
    table.flush(domain: 1)
    #expect(!table.reader.isSmall)
    _ = table.sweepAll(nowSeconds: 10)
    #expect(table.reader.isSmall && table.count == 0)
    let crowded = try MACTable(capacity: 1000, portCount: 1, vtepCount: 1, domainCount: 2, halfBucketCount: 150)
    for number in 1...1000 as ClosedRange<UInt64> { _ = crowded.learn(key(1, number), at: .port(0, vlan: 0), nowSeconds: 0) }
    #expect(crowded.reader.isCrowded && !crowded.reader.isSmall)
  }

  /// Address patterns chosen by guests and attackers, several random seeds each: full means full.
  @Test(arguments: 0..<6) func fillsUpWithoutEviction(pattern: Int) throws {
    for round in 0..<4 {
      let capacity = [500, 5000, 20000, 20011][round]
      let table = try MACTable(
        capacity: capacity, portCount: 1, vtepCount: 1, domainCount: 65535, halfBucketCount: MACTable.fewestHalfBuckets(capacity: capacity))
      var random = SeededGenerator(seed: UInt64(round))
      let keys = (0..<UInt64(capacity)).map { index in
        switch pattern {
        case 0: key(0, index)
        case 1: key(0, index << 24)
        case 2: key(DomainIndex(index), 0x5254_0000_0001)
        case 3: key(DomainIndex(index % 64), 0x5254_0000_0000 + (index / 64) << 16)
        case 4: key(0, index.byteSwapped >> 16)
        default: MACKey(domain: DomainIndex(UInt16.random(in: 0..<65535, using: &random)), mac: MACAddress(bits: random.next()))
        }
      }
      for key in keys { #expect(table.learn(key, at: .vtep(0), nowSeconds: 0) == .added) }
      #expect(table.count == capacity)
      #expect(table.memory.displacements.pointee.load(ordering: .relaxed) > 0)
      let load = Double(capacity) / Double(table.slotCount)
      #expect(capacity < 20000 || load > 0.92)
      #expect(keys.allSatisfy { table.reader.find($0).isHit })
      try table.checkStructure()
    }
  }

  /// Tables with fewer slots than their entry limit, or just as many: a search for a free slot often finds none.
  @Test func crampedTables() throws {
    for capacity in stride(from: 8, through: 60, by: 4) {
      let table = try MACTable(
        capacity: capacity, portCount: 2, vtepCount: 0, domainCount: 1, halfBucketCount: capacity / 8)
      var random = SeededGenerator(seed: UInt64(capacity))
      let quiet = key(0, 1)
      _ = table.learn(quiet, at: .port(1, vlan: 0), nowSeconds: 0)
      for step in 0..<capacity * 5 {
        let key = key(0, random.next())
        let outcome = table.learn(key, at: .port(0, vlan: 0), nowSeconds: UInt32(step))
        #expect(outcome == .added || outcome == .evictedOther)
        #expect(table.reader.find(key).isHit)
      }
      #expect(table.reader.find(quiet).isHit)
      #expect(table.evictions > 0)
      #expect(table.count <= min(capacity, table.slotCount))
      try table.checkStructure()
    }
  }

  /// Static entries fit wherever a learned one could go; if there is no room, the error leaves everything as it was.
  @Test func staticEntriesInCrampedTable() throws {
    let table = try MACTable(capacity: 100, portCount: 1, vtepCount: 0, domainCount: 2, halfBucketCount: 4)
    for index in 0..<100 as Range<UInt64> { _ = table.learn(key(1, index), at: .port(0, vlan: 0), nowSeconds: 0) }
    var accepted: [MACKey] = []
    for index in 0..<100 as Range<UInt64> {
      do {
        try table.setStatic(key(0, index), at: .port(0, vlan: 0), type: .static)
        accepted.append(key(0, index))
      } catch { #expect(error.code == .tableFull) }
    }
    #expect(accepted.count >= 24 && accepted.count <= 32)
    #expect(accepted.allSatisfy { table.reader.find($0).type == .static && table.reader.find($0).isHit })
    #expect(table.count(domain: 0) == accepted.count)
    try table.checkStructure()
  }

  @Test func floodingPortLosesOnlyItsOwnEntries() throws {
    let table = try MACTable(capacity: 10_000, portCount: 8, vtepCount: 8, domainCount: 4)
    var victims: [MACKey: MACLocation] = [:]
    for index in 0..<3000 as Range<UInt64> {
      let location = index & 1 == 0 ? MACLocation.port(PortIndex(index % 3), vlan: 0) : .vtep(VTEPIndex(index % 8))
      let key = key(DomainIndex(index % 4), index)
      victims[key] = location
      #expect(table.learn(key, at: location, nowSeconds: 0) == .added)
    }
    for index in 3000..<3100 as Range<UInt64> {
      try table.setStatic(key(0, index), at: .port(7, vlan: 0), type: .static)
      victims[key(0, index)] = .port(7, vlan: 0)
    }
    // The flooding port's own stations keep sending: some that were there before, and some that come later.
    let talkers = (0..<10 as Range<UInt64>).map { key(0, 0x0200_0000_0000 + $0) }
    for talker in talkers.prefix(5) { _ = table.learn(talker, at: .port(7, vlan: 0), nowSeconds: 0) }
    for index in 0..<50_000 as Range<UInt64> {
      let now = UInt32(index / 1000)
      if index == 2000 {
        for talker in talkers.suffix(5) { _ = table.learn(talker, at: .port(7, vlan: 0), nowSeconds: now) }
      }
      if index % 1000 == 0 {
        for talker in talkers { table.reader.touch(table.reader.find(talker), nowSeconds: now) }
      }
      let outcome = table.learn(key(1, 0x0600_0000_0000 + index), at: .port(7, vlan: 0), nowSeconds: now)
      #expect(outcome == (index < 6890 ? .added : .evictedOther))
    }
    #expect(table.count == 10_000)
    #expect(table.evictions == 50_000 - 6890)
    #expect(table.count(port: 7) == 7000)
    #expect(victims.allSatisfy { table.reader.find($0.key).location == $0.value && table.reader.find($0.key).isHit })
    #expect(talkers.allSatisfy { table.reader.find($0).isHit })
    // Of the flood, the latest addresses remain.
    let isLeft = (0..<50_000 as Range<UInt64>).map { table.reader.find(key(1, 0x0600_0000_0000 + $0)).isHit }
    #expect(isLeft.suffix(6000).allSatisfy { $0 } && !isLeft.prefix(40_000).contains(true))
  }

  /// The heaviest owner is evicted, for others too, until both hold the same number.
  @Test func heaviestOwnerIsEvictedForOthers() throws {
    let table = try MACTable(capacity: 1000, portCount: 2, vtepCount: 2, domainCount: 1)
    for index in 0..<900 as Range<UInt64> { _ = table.learn(key(0, index), at: .vtep(0), nowSeconds: 0) }
    for index in 1000..<9000 as Range<UInt64> { _ = table.learn(key(0, index), at: .port(1, vlan: 0), nowSeconds: 1) }
    #expect(abs(table.count(vtep: 0) - 500) <= 1 && abs(table.count(port: 1) - 500) <= 1)
  }

  @Test func oldestIsEvictedFirst() throws {
    let table = try MACTable(capacity: 100, portCount: 1, vtepCount: 0, domainCount: 1)
    for index in 0..<100 as Range<UInt64> { _ = table.learn(key(0, index), at: .port(0, vlan: 0), nowSeconds: 5) }
    for index in 0..<50 as Range<UInt64> {
      #expect(table.learn(key(0, 1000 + index), at: .port(0, vlan: 0), nowSeconds: 5) == .evictedOther)
    }
    #expect((0..<50 as Range<UInt64>).allSatisfy { !table.reader.find(key(0, $0)).isHit })
    #expect((50..<100 as Range<UInt64>).allSatisfy { table.reader.find(key(0, $0)).isHit })
  }

  @Test func expiredEntriesAreReplacedBeforeOthers() throws {
    let table = try MACTable(capacity: 100, portCount: 1, vtepCount: 0, domainCount: 2)
    table.configureDomain(1, ageSeconds: 10, limit: 0)
    _ = table.learn(key(0, 1), at: .port(0, vlan: 0), nowSeconds: 0)
    for index in 0..<99 as Range<UInt64> { _ = table.learn(key(1, index), at: .port(0, vlan: 0), nowSeconds: 90) }
    #expect(table.learn(key(0, 2), at: .port(0, vlan: 0), nowSeconds: 100) == .added)
    #expect(table.evictions == 0 && table.count == 100)
    #expect(table.reader.find(key(0, 1)).isHit)
  }

  @Test func fullOfStaticEntries() throws {
    let table = try MACTable(capacity: 50, portCount: 1, vtepCount: 1, domainCount: 2)
    for index in 0..<50 as Range<UInt64> { _ = table.learn(key(1, index), at: .vtep(0), nowSeconds: 0) }
    for index in 0..<50 as Range<UInt64> { try table.setStatic(key(0, index), at: .port(0, vlan: 0), type: .static) }
    #expect(table.learnedCount(domain: 1) == 0 && table.count == 50)
    #expect(throws: MACTableError.self) { try table.setStatic(key(0, 99), at: .port(0, vlan: 0), type: .controller) }
    #expect(table.learn(key(1, 1), at: .vtep(0), nowSeconds: 0) == .refusedFull)
    #expect((0..<50 as Range<UInt64>).allSatisfy { table.reader.find(key(0, $0)).type == .static })
    #expect(table.count == 50)
    try table.checkStructure()
  }
}
