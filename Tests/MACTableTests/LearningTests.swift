// Learning, moves, precedence and limits: what one learn event or one configured entry does.

import Encap
import Testing

@testable import MACTable

struct LearningTests {
  let table: MACTable
  let station = key(2, 0x0200_0000_0001)

  init() throws { table = try MACTable(capacity: 100, portCount: 4, vtepCount: 4, domainCount: 4) }

  private func entry(_ key: MACKey) -> MACTable.Entry? { table.all().first { $0.key == key } }

  @Test func keyHoldsDomainAndAddress() {
    let key = MACKey(domain: 0xabcd, mac: MACAddress(bits: 0x0123_4567_89ab))
    #expect(key.raw == 0xab89_6745_2301_abcd)
    #expect(key.domain == 0xabcd)
    #expect(key.mac == MACAddress(bits: 0x0123_4567_89ab))
  }

  @Test func locationHoldsIndexAndVLAN() {
    let port = MACLocation.port(0xffff, vlan: 4095)
    #expect(!port.isVTEP && port.port == 0xffff && port.vlan == 4095)
    let vtep = MACLocation.vtep(0xffff)
    #expect(vtep.isVTEP && vtep.vtep == 0xffff && vtep.vlan == 0)
    #expect(!vtep.isList)
    let list = MACLocation.list(0xffff)
    #expect(list.isVTEP && list.isList && list.vtep == 0xffff)
    #expect(MACLocation.port(7, vlan: 0) != .vtep(7) && MACLocation.list(7) != .vtep(7))
  }

  @Test func learnsFromPortAndFromVTEP() {
    #expect(!table.reader.find(station).isHit)
    #expect(table.learn(station, at: .port(3, vlan: 4095), nowSeconds: 10) == .added)
    let other = key(2, 0x0200_0000_0002)
    #expect(table.learn(other, at: .vtep(3), nowSeconds: 11) == .added)
    #expect(table.reader.find(station).location == .port(3, vlan: 4095))
    #expect(table.reader.find(station).type == .learned)
    #expect(table.reader.find(other).location == .vtep(3))
    #expect(table.count == 2)
    #expect(table.count(port: 3) == 1 && table.count(vtep: 3) == 1)
    #expect(table.learnedCount(domain: 2) == 2)
  }

  @Test func domainsAreSeparate() {
    _ = table.learn(key(0, 1), at: .vtep(0), nowSeconds: 0)
    _ = table.learn(key(1, 1), at: .vtep(1), nowSeconds: 0)
    #expect(table.reader.find(key(0, 1)).location == .vtep(0))
    #expect(table.reader.find(key(1, 1)).location == .vtep(1))
    #expect(!table.reader.find(key(3, 1)).isHit)
  }

  @Test func zeroAndBroadcastAddressesAreNotFoundInFreeSlots() {
    for domain in [0, 3] as [DomainIndex] {
      #expect(!table.reader.find(key(domain, 0)).isHit)
      #expect(!table.reader.find(key(domain, 0xffff_ffff_ffff)).isHit)
    }
    #expect(table.learn(key(0, 0), at: .vtep(2), nowSeconds: 0) == .added)
    #expect(table.reader.find(key(0, 0)).location == .vtep(2))
  }

  @Test func moveShowsAtOnceInBothDirections() {
    _ = table.learn(station, at: .port(1, vlan: 0), nowSeconds: 10)
    #expect(table.learn(station, at: .vtep(2), nowSeconds: 10) == .moved)
    #expect(table.reader.find(station).location == .vtep(2))
    #expect(table.count(port: 1) == 0 && table.count(vtep: 2) == 1)
    #expect(table.learn(station, at: .port(1, vlan: 5), nowSeconds: 12) == .moved)
    #expect(table.reader.find(station).location == .port(1, vlan: 5))
    #expect(table.learn(station, at: .port(1, vlan: 6), nowSeconds: 13) == .moved)
    #expect(entry(station)?.moves == 3)
    #expect(entry(station)?.lastSeenSeconds == 13)
    #expect(table.count == 1 && table.learnedCount(domain: 2) == 1)
  }

  @Test func movesStopAt255() {
    for step in 0...300 { _ = table.learn(station, at: .vtep(VTEPIndex(step & 1)), nowSeconds: 0) }
    #expect(entry(station)?.moves == 255)
    #expect(table.reader.find(station).location == .vtep(0))
  }

  @Test func touchKeepsAnEntryYoung() {
    table.configureDomain(2, ageSeconds: 30, limit: 0)
    _ = table.learn(station, at: .port(0, vlan: 0), nowSeconds: 100)
    table.reader.touch(table.reader.find(station), nowSeconds: 125)
    table.reader.touch(.miss, nowSeconds: 999)
    #expect(entry(station)?.lastSeenSeconds == 125)
    table.sweepAll(nowSeconds: 154)
    #expect(table.reader.find(station).isHit)
    #expect(table.sweepAll(nowSeconds: 155) == 1)
    #expect(!table.reader.find(station).isHit)
  }

  @Test func configuredEntriesOverrideLearned() throws {
    _ = table.learn(station, at: .port(0, vlan: 0), nowSeconds: 0)
    try table.setStatic(station, at: .vtep(1), type: .controller)
    #expect(table.reader.find(station).type == .controller)
    #expect(table.learn(station, at: .port(0, vlan: 0), nowSeconds: 1) == .refusedByPrecedence)
    #expect(table.learn(station, at: .vtep(1), nowSeconds: 1) == .refreshed)
    #expect(table.reader.find(station).location == .vtep(1))
    #expect(table.learnedCount(domain: 2) == 0 && table.count(domain: 2) == 1)
  }

  @Test func operatorOverridesController() throws {
    try table.setStatic(station, at: .vtep(1), type: .controller)
    try table.setStatic(station, at: .vtep(2), type: .static)
    #expect(table.reader.find(station).type == .static)
    #expect(throws: MACTableError(.setStatic, subject: "02:00:00:00:00:01 in domain 2", code: .outranked)) {
      try table.setStatic(station, at: .vtep(3), type: .controller)
    }
    #expect(table.reader.find(station).location == .vtep(2))
    #expect(table.remove(station))
    #expect(!table.remove(station))
    try table.setStatic(station, at: .vtep(3), type: .controller)
    #expect(table.reader.find(station).location == .vtep(3))
    #expect(table.count == 1)
  }

  @Test func badConfigurationIsRefused() {
    func code(_ body: () throws(MACTableError) -> Void) -> MACTableError.Code? {
      do {
        try body()
        return nil
      } catch { return error.code }
    }
    #expect(
      code { () throws(MACTableError) in try table.setStatic(station, at: .vtep(0), type: .learned) }
        == .learnedNotConfigurable)
    #expect(
      code { () throws(MACTableError) in try table.setStatic(station, at: .vtep(4), type: .static) }
        == .indexOutOfRange)
    #expect(
      code { () throws(MACTableError) in try table.setStatic(station, at: .port(4, vlan: 0), type: .static) }
        == .indexOutOfRange)
    #expect(
      code { () throws(MACTableError) in try table.setStatic(key(4, 1), at: .vtep(0), type: .static) }
        == .indexOutOfRange)
    for (capacity, ports, vteps, domains) in [
      (0, 1, 1, 1), (-1, 1, 1, 1), (1 << 29, 1, 1, 1), (1, 0, 0, 1), (1, 65537, 0, 1), (1, 1, 65537, 1), (1, 1, 1, 0),
      (1, 1, 1, 65536),
    ] {
      #expect(
        code { () throws(MACTableError) in
          _ = try MACTable(capacity: capacity, portCount: ports, vtepCount: vteps, domainCount: domains)
        } == .invalidSize)
    }
    #expect(table.count == 0)
  }

  @Test func domainLimitRejectsAndCounts() throws {
    table.configureDomain(1, ageSeconds: 0, limit: 3)
    try table.setStatic(key(1, 100), at: .vtep(0), type: .static)
    for address in 0..<5 as Range<UInt64> {
      let outcome = table.learn(key(1, address), at: .vtep(0), nowSeconds: 0)
      #expect(outcome == (address < 3 ? .added : .refusedByLimit))
    }
    #expect(table.refusedByLimit(domain: 1) == 2)
    #expect(table.learn(key(1, 0), at: .vtep(1), nowSeconds: 0) == .moved)
    #expect(table.learn(key(0, 3), at: .vtep(0), nowSeconds: 0) == .added)
    #expect(table.learnedCount(domain: 1) == 3 && table.count(domain: 1) == 4)
    // A configured entry that replaces a learned one makes room for another.
    try table.setStatic(key(1, 0), at: .vtep(0), type: .static)
    #expect(table.learn(key(1, 3), at: .vtep(0), nowSeconds: 0) == .added)
    #expect(table.learn(key(1, 4), at: .vtep(0), nowSeconds: 0) == .refusedByLimit)
    // And so does a flush, before any sweep.
    table.flush(domain: 1)
    #expect(table.learn(key(1, 4), at: .vtep(0), nowSeconds: 0) == .added)
    #expect(table.learnedCount(domain: 1) == 1)
  }

  @Test func pagesTheWholeTable() throws {
    for address in 0..<60 as Range<UInt64> { _ = table.learn(key(1, address), at: .vtep(1), nowSeconds: 7) }
    try table.setStatic(key(3, 1), at: .port(2, vlan: 9), type: .static)
    for address in 0..<20 as Range<UInt64> { _ = table.learn(key(0, address), at: .vtep(1), nowSeconds: 7) }
    table.flush(domain: 0)
    for pageSize in [1, 2, 7, 1000] {
      var cursor = 0
      var listed: [MACTable.Entry] = []
      while cursor < table.slotCount {
        let page = table.entries(from: &cursor, limit: pageSize)
        #expect(page.count <= pageSize)
        listed += page
      }
      #expect(listed.count == 61)
      #expect(Set(listed.map(\.key)).count == 61)
      #expect(listed.filter { $0.type == .learned }.allSatisfy { $0.location == .vtep(1) && $0.lastSeenSeconds == 7 })
      #expect(
        listed.contains {
          $0.withoutDate == .init(key: key(3, 1), location: .port(2, vlan: 9), type: .static, moves: 0, lastSeenSeconds: 0)
        })
      #expect(table.entries(from: &cursor, limit: pageSize).isEmpty)
    }
  }
}
