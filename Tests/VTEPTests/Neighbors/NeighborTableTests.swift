// The neighbour table: whose word counts, when an address is contested, how much a station can occupy, and that readers never see a mix of
// two entries while the writer is busy.

import Encap
import Foundation
import MACTable
import Synchronization
import Testing

@testable import VTEP

@Suite("Neighbour table") struct NeighborTableTests {
  private let domain: DomainIndex = 3
  private let first = MACAddress(bits: 0x02_00_00_00_00_01)
  private let second = MACAddress(bits: 0x02_00_00_00_00_02)
  private let address = IPAddress(ipv4: 0x0a00_0001)
  private var key: InnerNeighborKey { InnerNeighborKey(domain: domain, address: address) }

  private func table(_ capacity: Int = 1000) throws -> NeighborTable { try NeighborTable(capacity: capacity) }

  @Test func whatASourceSaysIsFoundInItsDomainOnly() throws {
    let table = try table()
    #expect(table.reader.lookup(domain, address) == nil)
    table.state(key, mac: first, by: .controller)
    #expect(table.reader.lookup(domain, address) == first)
    #expect(table.reader.lookup(4, address) == nil)
    #expect(table.reader.lookup(domain, IPAddress(ipv4: 0x0a00_0002)) == nil)
    let found = try #require(table.reader.find(domain, address))
    #expect(found.sources == .controller && !found.isContested)
    table.state(key, mac: nil, by: .controller)
    #expect(table.reader.lookup(domain, address) == nil)
    #expect(table.count == 0)
  }

  @Test func theStrongestSourceCountsAndContradictionsAreContested() throws {
    let table = try table()
    table.observe(key, mac: second, by: .local, nowSeconds: 100)
    #expect(table.reader.find(domain, address)?.isContested == false)
    table.state(key, mac: first, by: .controller)
    var found = try #require(table.reader.find(domain, address))
    #expect(found.mac == first && found.isContested && found.sources == [.controller, .local])
    #expect(table.totals == (1, 1))
    table.state(key, mac: second, by: .file)
    found = try #require(table.reader.find(domain, address))
    #expect(found.mac == second && found.isContested)
    table.state(key, mac: nil, by: .controller)
    found = try #require(table.reader.find(domain, address))
    #expect(found.mac == second && !found.isContested && found.sources == [.file, .local])
    #expect(table.totals == (1, 0))
    table.state(key, mac: second, by: .controller, isAmbiguous: true)
    #expect(table.reader.find(domain, address)?.isContested == true)
    table.state(key, mac: second, by: .controller)
    #expect(table.reader.find(domain, address)?.isContested == false)
    // One that is contested takes that with it.
    table.state(key, mac: second, by: .controller, isAmbiguous: true)
    #expect(table.totals == (1, 1))
    table.forget(domain)
    #expect(table.totals == (0, 0))
  }

  @Test func anAddressThatMovesToAnotherMACIsContestedForAWhile() throws {
    let table = try table()
    table.observe(key, mac: first, by: .local, nowSeconds: 100)
    table.observe(key, mac: second, by: .overlay, nowSeconds: 110)
    var found = try #require(table.reader.find(domain, address))
    #expect(found.mac == second && found.isContested && found.sources == .overlay)
    table.reader.touch(found, nowSeconds: 289)
    table.sweep(nodes: 10, nowSeconds: 289)
    #expect(table.reader.find(domain, address)?.isContested == true)
    table.sweep(nodes: 10, nowSeconds: 290)
    found = try #require(table.reader.find(domain, address))
    #expect(found.mac == second && !found.isContested)
    table.sweep(nodes: 10, nowSeconds: 588)
    #expect(table.count == 1)
    table.sweep(nodes: 10, nowSeconds: 589)
    #expect(table.count == 0 && table.reader.lookup(domain, address) == nil)
  }

  @Test func whatAStationIsGoesWithItsMACAddress() throws {
    let table = try table()
    table.observe(key, mac: first, by: .local, nowSeconds: 100)
    #expect(table.reader.find(domain, address)?.role == .unknown)
    table.observe(key, mac: first, by: .local, role: .router, nowSeconds: 101)
    table.observe(key, mac: first, by: .local, nowSeconds: 102)
    #expect(table.reader.find(domain, address)?.role == .router)
    // The operator gives the address to the same station, then to another.
    table.state(key, mac: first, by: .file)
    #expect(table.reader.find(domain, address)?.role == .router)
    table.state(key, mac: second, by: .file)
    var found = try #require(table.reader.find(domain, address))
    #expect(found.mac == second && found.role == .unknown && found.isContested && !found.isAmbiguous)
    table.observe(key, mac: second, by: .overlay, role: .host, nowSeconds: 103)
    found = try #require(table.reader.find(domain, address))
    #expect(found.role == .host)
    table.state(key, mac: first, by: .controller)
    #expect(table.reader.find(domain, address)?.isAmbiguous == true)
    #expect(InnerNeighbor(word: found.word, node: found.node) == found)
  }

  @Test func aStationThatIsSilentLeavesWhatIsConfigured() throws {
    let table = try table()
    table.state(key, mac: first, by: .controller)
    table.observe(key, mac: second, by: .local, nowSeconds: 100)
    table.sweep(nodes: 10, nowSeconds: 400)
    let found = try #require(table.reader.find(domain, address))
    #expect(found.mac == first && !found.isContested && found.sources == .controller)
  }

  @Test func oneStationCannotFillTheTable() throws {
    let table = try table()
    for number in 0..<200 as Range<UInt32> {
      let key = InnerNeighborKey(domain: domain, address: IPAddress(ipv4: number))
      table.observe(key, mac: first, by: .local, nowSeconds: 1)
    }
    #expect(table.count == NeighborTable.addressesPerStation)
    #expect(table.refusedCount == UInt64(200 - NeighborTable.addressesPerStation))
    table.forgetLearned()
    #expect(table.count == 0)
    table.observe(key, mac: first, by: .local, nowSeconds: 1)
    #expect(table.count == 1)
  }

  @Test func whatIsConfiguredTakesTheRoomOfWhatWasLearned() throws {
    let table = try table(8)
    func key(_ number: UInt32) -> InnerNeighborKey { InnerNeighborKey(domain: domain, address: IPAddress(ipv4: number)) }
    for number in 0..<8 as Range<UInt32> { table.observe(key(number), mac: first, by: .local, nowSeconds: 1) }
    table.observe(key(8), mac: first, by: .local, nowSeconds: 1)
    #expect(table.count == 8 && table.reader.lookup(domain, key(8).address) == nil)
    for number in 10..<18 as Range<UInt32> { #expect(table.state(key(number), mac: second, by: .file)) }
    for number in 10..<18 as Range<UInt32> { #expect(table.reader.lookup(domain, key(number).address) == second) }
    #expect(!table.state(key(18), mac: second, by: .file))
    table.forget(domain)
    #expect(table.count == 0)
    for number in 0..<18 as Range<UInt32> { #expect(table.reader.lookup(domain, key(number).address) == nil) }
  }

  @Test func pagesShowEachEntryOnce() throws {
    let table = try table()
    for number in 0..<100 as Range<UInt32> {
      table.state(InnerNeighborKey(domain: domain, address: IPAddress(ipv4: number)), mac: first, by: .file)
    }
    var seen: Set<IPAddress> = []
    var cursor: Int? = 0
    while let from = cursor {
      let page = table.page(from: from, limit: 7)
      for entry in page.entries { #expect(seen.insert(entry.key.address).inserted) }
      cursor = page.nextCursor
    }
    #expect(seen.count == 100)
  }

  /// Half of the addresses stay, the others come and go in a table that has no room to spare. The MAC address follows from the address.
  @Test func readersSeeWholeEntriesAndMissNone() throws {
    let table = try table(64)
    @Sendable func address(_ number: UInt64) -> IPAddress { IPAddress(high: number &* 0x9e37_79b9_7f4a_7c15, low: number) }
    @Sendable func mac(_ number: UInt64) -> MACAddress { MACAddress(bits: number &* 0x1_0001_0001) }
    for number in 1...32 as ClosedRange<UInt64> {
      table.state(InnerNeighborKey(domain: domain, address: address(number)), mac: mac(number), by: .file)
    }
    let isStopped = Atomic(false)
    let lookups = Atomic(0)
    let wrong = Atomic(0)
    let missed = Atomic(0)
    let reader = table.reader
    let domain = self.domain
    let group = DispatchGroup()
    for thread in 0..<2 as Range<UInt64> {
      group.enter()
      Thread.detachNewThread {
        var number = thread
        while !isStopped.load(ordering: .relaxed) {
          number = number % 200 + 1
          let found = reader.find(domain, address(number))
          if let found {
            if found.mac != mac(number) { wrong.add(1, ordering: .relaxed) }
            reader.touch(found, nowSeconds: UInt32(number))
          } else if number <= 32 {
            missed.add(1, ordering: .relaxed)
          }
          lookups.add(1, ordering: .relaxed)
        }
        group.leave()
      }
    }
    var round: UInt64 = 0
    while lookups.load(ordering: .relaxed) < 500_000 || round < 20_000 {
      let number = 33 + round % 168
      let key = InnerNeighborKey(domain: domain, address: address(number))
      if table.reader.lookup(domain, key.address) == nil {
        table.observe(key, mac: mac(number), by: .local, nowSeconds: 1)
      } else {
        table.state(key, mac: mac(number), by: .controller)
      }
      // What has just become the controller's, or was learned some rounds ago.
      let old = InnerNeighborKey(domain: domain, address: address(33 + (round + 150) % 168))
      table.state(old, mac: nil, by: .controller)
      if round % 16 == 0 { table.forgetLearned() }
      round += 1
    }
    isStopped.store(true, ordering: .relaxed)
    group.wait()
    #expect(wrong.load(ordering: .relaxed) == 0)
    // A reader gives up after four changes in a row, which the scheduler makes rare.
    #expect(missed.load(ordering: .relaxed) * 100 < lookups.load(ordering: .relaxed))
  }
}
