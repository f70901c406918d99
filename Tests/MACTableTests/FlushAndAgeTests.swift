// Flushing, index reuse and ageing.

import Encap
import Testing

@testable import MACTable

struct FlushAndAgeTests {
  let table: MACTable

  init() throws { table = try MACTable(capacity: 1000, portCount: 4, vtepCount: 4, domainCount: 4) }

  /// One learned entry for each domain behind each owner, and a static one beside it.
  private func fill() throws {
    for (domain, owner) in combinations {
      #expect(table.learn(learnedKey(domain, owner), at: owner, nowSeconds: 1) == .added)
      try table.setStatic(staticKey(domain, owner), at: owner, type: owner.isVTEP ? .static : .controller)
    }
  }

  private var combinations: [(DomainIndex, MACLocation)] {
    DomainIndex.first(4).flatMap { domain in
      (0..<4).flatMap { index in
        [(domain, .port(PortIndex(index), vlan: 0)), (domain, .vtep(VTEPIndex(index)))] as [(DomainIndex, MACLocation)]
      }
    }
  }

  private func learnedKey(_ domain: DomainIndex, _ owner: MACLocation) -> MACKey { key(domain, UInt64(owner.raw)) }
  private func staticKey(_ domain: DomainIndex, _ owner: MACLocation) -> MACKey { key(domain, UInt64(owner.raw) | 1 << 40) }

  @Test func chosenPlacesOfAPort() throws {
    let places: [(DomainIndex, MACLocation)] = DomainIndex.first(3).flatMap { domain in
      [UInt16(0), 100, 200].flatMap { vlan in [PortIndex(1), 2].map { (domain, .port($0, vlan: vlan)) } }
    }
    for (domain, place) in places {
      #expect(table.learn(learnedKey(domain, place), at: place, nowSeconds: 1) == .added)
      try table.setStatic(staticKey(domain, place), at: place, type: .static)
    }
    let gone = MACLocation.port(1, vlan: 100)
    table.flush(port: 1) { domain, place in domain == 2 && place == gone }
    for (domain, place) in places {
      #expect(table.reader.find(learnedKey(domain, place)).isHit == (domain != 2 || place != gone), "\(domain) \(place)")
      #expect(table.reader.find(staticKey(domain, place)).isHit)
    }
    #expect(table.count == places.count * 2 - 1)
    try table.checkStructure()
  }

  /// Learned entries are gone where `isGone` is true, static ones where `isStaticGone` is, and nowhere else.
  private func expect(
    learnedGone isGone: (DomainIndex, MACLocation) -> Bool, staticGone isStaticGone: (DomainIndex, MACLocation) -> Bool,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    for (domain, owner) in combinations {
      #expect(
        table.reader.find(learnedKey(domain, owner)).isHit != isGone(domain, owner), "\(domain) \(owner)",
        sourceLocation: sourceLocation)
      #expect(
        table.reader.find(staticKey(domain, owner)).isHit != isStaticGone(domain, owner), "\(domain) \(owner)",
        sourceLocation: sourceLocation)
    }
    let left =
      combinations.count { !isGone($0, $1) } + combinations.count { !isStaticGone($0, $1) }
    #expect(table.count == left, sourceLocation: sourceLocation)
    #expect(table.all().count == left, sourceLocation: sourceLocation)
    try table.checkStructure()
    table.sweepAll(nowSeconds: 1)
    #expect(table.usedCount == left && table.count == left, sourceLocation: sourceLocation)
    try table.checkStructure()
  }

  private func none(_: DomainIndex, _: MACLocation) -> Bool { false }

  @Test func flushOfDomain() throws {
    try fill()
    table.flush(domain: 2)
    try expect(learnedGone: { domain, _ in domain == 2 }, staticGone: none)
  }

  @Test func flushOfPort() throws {
    try fill()
    table.flush(port: 3)
    try expect(learnedGone: { $1 == .port(3, vlan: 0) }, staticGone: none)
  }

  @Test func flushOfVTEP() throws {
    try fill()
    table.flush(vtep: 0)
    try expect(learnedGone: { $1 == .vtep(0) }, staticGone: none)
  }

  @Test func flushOfDomainAndOwner() throws {
    try fill()
    table.flush(domain: 1, port: 3)
    table.flush(domain: 2, vtep: 0)
    try expect(
      learnedGone: { $0 == 1 && $1 == .port(3, vlan: 0) || $0 == 2 && $1 == .vtep(0) }, staticGone: none)
  }

  @Test func flushOfOneAddress() throws {
    try fill()
    #expect(table.flush(learnedKey(1, .vtep(2))))
    #expect(!table.flush(learnedKey(1, .vtep(2))))
    #expect(!table.flush(staticKey(1, .vtep(2))))
    try expect(learnedGone: { $0 == 1 && $1 == .vtep(2) }, staticGone: none)
  }

  @Test func flushOfEverything() throws {
    try fill()
    table.flushAll()
    try expect(learnedGone: { _, _ in true }, staticGone: none)
  }

  @Test func flushesOverlap() throws {
    try fill()
    table.flush(domain: 2)
    table.flush(port: 3)
    table.flush(domain: 1, vtep: 1)
    table.flush(vtep: 1)
    table.flush(domain: 0)
    try expect(
      learnedGone: { $0 == 2 || $0 == 0 || $1 == .port(3, vlan: 0) || $1 == .vtep(1) }, staticGone: none)
    #expect(table.learnedCount(domain: 2) == 0 && table.learnedCount(domain: 1) == 6)
    #expect(table.count(port: 3) == 4 && table.count(port: 0) == 6 && table.count(vtep: 1) == 4)
  }

  @Test func countsAreRightBeforeTheSweep() throws {
    try fill()
    table.flush(domain: 2)
    #expect(table.count(port: 3) == 7 && table.count(vtep: 1) == 7)
    #expect(table.learnedCount(domain: 2) == 0 && table.count(domain: 2) == 8)
    #expect(table.count == 56)
  }

  @Test func indicesAreReusedWithoutGhosts() throws {
    try fill()
    table.configureDomain(1, ageSeconds: 0, limit: 8)
    #expect(table.learn(key(1, 999), at: .vtep(0), nowSeconds: 1) == .refusedByLimit)
    table.removeAll(domain: 1)
    table.removeAll(port: 2)
    table.removeAll(vtep: 3)
    let isGone = { (domain: DomainIndex, owner: MACLocation) in
      domain == 1 || owner == .port(2, vlan: 0) || owner == .vtep(3)
    }
    #expect(table.refusedByLimit(domain: 1) == 0)
    #expect(table.count(domain: 1) == 0 && table.count(port: 2) == 0 && table.count(vtep: 3) == 0)
    // The indices now belong to other objects, which learn and are flushed in turn.
    #expect(table.learn(key(1, 999), at: .vtep(3), nowSeconds: 2) == .added)
    #expect(table.learn(key(1, 998), at: .port(2, vlan: 0), nowSeconds: 2) == .added)
    table.flush(domain: 1)
    table.flush(vtep: 3)
    try expect(learnedGone: isGone, staticGone: isGone)
  }

  @Test func flushedAddressIsLearnedAnew() {
    let station = key(1, 5)
    for type in 0..<3 {
      _ = table.learn(station, at: .port(1, vlan: 0), nowSeconds: 1)
      _ = table.learn(station, at: .port(1, vlan: 1), nowSeconds: 1)
      switch type {
      case 0: table.flush(domain: 1)
      case 1: table.flush(port: 1)
      default: table.flush(station)
      }
      #expect(!table.reader.find(station).isHit)
      #expect(table.learn(station, at: .vtep(1), nowSeconds: 2) == .added)
      #expect(
        table.all() == [
          .init(key: station, location: .vtep(1), type: .learned, moves: 0, lastSeenSeconds: 2)
        ])
      #expect(table.learnedCount(domain: 1) == 1)
      table.remove(station)
    }
  }

  /// If its slot were not freed in time, a flushed entry would reappear when its generation wraps around.
  @Test func generationsWrapAroundWithoutGhosts() {
    let ghost = key(0, 1)
    _ = table.learn(ghost, at: .port(0, vlan: 0), nowSeconds: 1)
    table.flush(domain: 0)
    #expect(table.ghostCount == 1)
    var sightings = 0
    for _ in 0...MACValue.generationCount {
      _ = table.learn(key(0, 2), at: .port(1, vlan: 0), nowSeconds: 1)
      table.flush(domain: 0)
      if table.reader.find(ghost).isHit { sightings += 1 }
    }
    #expect(sightings == 0)
    #expect(table.count == 0)
  }

  @Test(arguments: [UInt32.max, MACValue.generationCount - 1, MACValue.generationCount / 2 - 1])
  func countersOverflow(start: UInt32) {
    for index in 0..<8 { table.memory.domainGenerations[index].store(start, ordering: .relaxed) }
    for index in 0..<16 { table.memory.ownerGenerations[index].store(start, ordering: .relaxed) }
    let station = key(1, 7)
    for round in 0..<4 {
      #expect(table.learn(station, at: .vtep(2), nowSeconds: 1) == .added)
      #expect(table.reader.find(station).location == .vtep(2))
      if round & 1 == 0 { table.flush(domain: 1) } else { table.flush(vtep: 2) }
      #expect(!table.reader.find(station).isHit)
    }
  }

  @Test func domainsAgeIndependently() throws {
    try fill()
    for domain in DomainIndex.first(4) {
      table.configureDomain(domain, ageSeconds: UInt32(domain.rawValue) * 100, limit: 0)
    }
    #expect(table.sweepAll(nowSeconds: 100) == 0)
    #expect(table.sweepAll(nowSeconds: 101) == 8)
    #expect(table.learnedCount(domain: 1) == 0 && table.learnedCount(domain: 2) == 8)
    #expect(table.sweepAll(nowSeconds: 1_000_000) == 16)
    // Domain 0 never ages, and no static entry does.
    try expect(learnedGone: { domain, _ in domain > 0 }, staticGone: none)
  }

  @Test func sweepContinuesWhereItStopped() {
    table.configureDomain(0, ageSeconds: 10, limit: 0)
    for address in 0..<1000 as Range<UInt64> { _ = table.learn(key(0, address), at: .vtep(0), nowSeconds: 0) }
    var reclaimed = 0
    var calls = 0
    while reclaimed < 1000, calls < table.slotCount {
      let now = table.sweep(slots: 10, nowSeconds: 10)
      #expect(now <= 10)
      reclaimed += now
      calls += 1
    }
    #expect(reclaimed == 1000)
    #expect(calls * 10 < table.slotCount + 10)
    #expect(table.count == 0)
    #expect(table.sweep(slots: 1 << 40, nowSeconds: 10) == 0)
  }

  @Test func clocksMayDifferAndOverflow() {
    table.configureDomain(0, ageSeconds: 10, limit: 0)
    let station = key(0, 1)
    // A worker's clock is a second ahead of the sweeper's.
    _ = table.learn(station, at: .vtep(0), nowSeconds: 100)
    #expect(table.sweepAll(nowSeconds: 99) == 0)
    table.remove(station)
    _ = table.learn(station, at: .vtep(0), nowSeconds: .max - 1)
    #expect(table.sweepAll(nowSeconds: 3) == 0)
    #expect(table.sweepAll(nowSeconds: 8) == 1)
  }
}
