// The ring of events: order, wrap-around, gaps, readers beside a writer; what the table writes into it; and where addresses were before.

import Encap
import Synchronization
import Testing

@testable import MACTable

@Suite("Event ring")
struct EventRingTests {
  private func append(_ ring: EventRing, _ number: UInt64) {
    ring.append(.moved, key(1, number), from: MACLocation(raw: UInt32(truncatingIfNeeded: number)), to: MACLocation(raw: 7))
  }

  private func read(_ ring: EventRing, from first: UInt64, limit: Int = .max) -> (gap: EventRing.Gap?, found: [UInt64], next: UInt64) {
    var found: [UInt64] = []
    let (gap, next) = ring.read(from: first) { record in
      #expect(record.key.mac.bits == record.sequence && record.from.raw == UInt32(record.sequence) && record.to.raw == 7)
      found.append(record.sequence)
      return found.count < limit
    }
    return (gap, found, next)
  }

  @Test("events come in order, in pieces, and only those that are there")
  func order() {
    let ring = EventRing(capacity: 8)
    #expect(read(ring, from: 1) == (nil, [], 1))
    for number in 1...5 { append(ring, UInt64(number)) }
    #expect(read(ring, from: 0) == (nil, [1, 2, 3, 4, 5], 6))
    #expect(read(ring, from: 2, limit: 2) == (nil, [2, 3], 4))
    #expect(read(ring, from: 6) == (nil, [], 6))
    #expect(read(ring, from: 99) == (nil, [], 99))
  }

  @Test("the oldest are overwritten, and a reader is told how many it lost")
  func wrapAround() {
    let ring = EventRing(capacity: 8)
    // The writer may be at work on the slot of the eighth event back: seven can be read.
    for number in 1...7 { append(ring, UInt64(number)) }
    #expect(read(ring, from: 1) == (nil, Array(1...7), 8))
    append(ring, 8)
    #expect(read(ring, from: 1) == (EventRing.Gap(first: 1, last: 1), Array(2...8), 9))
    for number in 9...100 { append(ring, UInt64(number)) }
    let (gap, found, next) = read(ring, from: 40)
    #expect(gap == EventRing.Gap(first: 40, last: 93) && gap?.count == 54 && found == Array(94...100) && next == 101)
  }

  @Test("a reader beside a writer sees each event whole or knows that it lost it")
  func concurrency() {
    final class Shared: Sendable {
      let ring = EventRing(capacity: 256)
      let isDone = Atomic(false)
    }
    let shared = Shared()
    let total: UInt64 = 2_000_000
    let writer = TestThread {
      for number in 1...total {
        shared.ring.append(
          .moved, key(1, number), from: MACLocation(raw: UInt32(truncatingIfNeeded: number)), to: MACLocation(raw: 7))
      }
      shared.isDone.store(true, ordering: .releasing)
    }
    var next: UInt64 = 1
    var (seen, lost): (UInt64, UInt64) = (0, 0)
    var isWrong = false
    while next <= total {
      let isLast = shared.isDone.load(ordering: .acquiring)
      let before = next
      var expected: UInt64?
      let (gap, after) = shared.ring.read(from: next) { record in
        if let expected, record.sequence != expected { isWrong = true }
        if record.key.mac.bits != record.sequence || record.from.raw != UInt32(truncatingIfNeeded: record.sequence) { isWrong = true }
        expected = record.sequence + 1
        seen += 1
        return true
      }
      if let gap {
        if gap.first != before { isWrong = true }
        lost += gap.count
      }
      next = after
      if isLast, next == before { break }
    }
    writer.join()
    #expect(!isWrong && seen + lost == total && next == total + 1)
  }
}

@Suite("Events of the table")
struct TableEventTests {
  private let table: MACTable
  private let port = MACLocation.port(3, vlan: 0)
  private let other = MACLocation.vtep(5)

  init() throws { table = try MACTable(capacity: 64, portCount: 16, vtepCount: 16, domainCount: 8) }

  private func events(from first: UInt64 = 1) -> [EventRecord] {
    var found: [EventRecord] = []
    _ = table.events.read(from: first) { record in
      found.append(record)
      return true
    }
    return found
  }

  private func kinds(from first: UInt64 = 1) -> [EventRecord.Kind] { events(from: first).map(\.kind) }

  @Test("learned, refreshed, moved and aged")
  func life() {
    table.configureDomain(1, ageSeconds: 10, limit: 0)
    _ = table.learn(key(1, 1), at: port, nowSeconds: 0)
    _ = table.learn(key(1, 1), at: port, nowSeconds: 1)
    _ = table.learn(key(1, 1), at: other, nowSeconds: 2)
    table.sweepAll(nowSeconds: 20)
    let found = events()
    #expect(found.map(\.kind) == [.learned, .moved, .aged] && found.allSatisfy { $0.key == key(1, 1) })
    #expect(found.map(\.sequence) == [1, 2, 3])
    #expect(found[0].to == port && found[1].from == port && found[1].to == other && found[2].from == other)
  }

  @Test("static and controller entries: placed, replaced, repeated, removed")
  func configured() throws {
    _ = table.learn(key(1, 1), at: port, nowSeconds: 0)
    try table.setStatic(key(1, 1), at: other, type: .controller)
    try table.setStatic(key(1, 1), at: other, type: .controller)
    try table.setStatic(key(1, 1), at: other, type: .static)
    table.remove(key(1, 1))
    table.remove(key(1, 1))
    let found = events(from: 2)
    #expect(found.map(\.kind) == [.placed, .placed, .removed] && found.map(\.type) == [.controller, .static, .static])
    #expect(found[0].from == port && found[0].to == other && found[1].from == other)
  }

  @Test("a flush is one event, with the number of addresses that it hit")
  func flushes() {
    for number in 1...6 { _ = table.learn(key(DomainIndex(1 + number % 2), UInt64(number)), at: number < 5 ? port : other, nowSeconds: 0) }
    let start = table.events.next
    table.flush(domain: 1)
    table.flush(domain: 1)
    table.flush(port: 3)
    table.flush(domain: 2, vtep: 5)
    let found = events(from: start)
    #expect(found.map(\.kind) == [.flushedDomain, .flushedPlace, .flushedDomainAtPlace])
    #expect(found.map(\.count) == [3, 2, 1])
    #expect(found[0].key.domain == 1 && found[1].from == port && found[2].from == other && found[2].key.domain == 2)
    #expect(table.count == 0)
  }

  @Test("evicted from a full table")
  func eviction() throws {
    let table = try MACTable(capacity: 4, portCount: 16, vtepCount: 16, domainCount: 8)
    for number in 1...5 { _ = table.learn(key(1, UInt64(number)), at: port, nowSeconds: UInt32(number)) }
    var found: [EventRecord] = []
    _ = table.events.read(from: 5) { record in
      found.append(record)
      return true
    }
    #expect(found.map(\.kind) == [.evicted, .learned] && found[0].key == key(1, 1) && found[0].from == port)
  }

  @Test("frozen and released")
  func frozen() {
    table.configureMoveGuard(moves: 1, windowSeconds: 100, holdSeconds: 10)
    _ = table.learn(key(1, 1), at: port, nowSeconds: 0)
    _ = table.learn(key(1, 1), at: other, nowSeconds: 1)
    _ = table.learn(key(1, 1), at: port, nowSeconds: 2)
    _ = table.releaseFrozen(nowSeconds: 20)
    let found = events()
    #expect(found.map(\.kind) == [.learned, .moved, .moved, .frozen, .released])
    #expect(found[3].from == port && found[3].to == other && found[4].from == port)
  }

  @Test("what is known of an address: its latest 16 moves, whatever became of them")
  func account() {
    #expect(table.account(of: key(1, 1)).entry == nil && table.account(of: key(1, 1)).past.isEmpty)
    _ = table.learn(key(1, 1), at: .port(0, vlan: 0), nowSeconds: 0)
    for number in 1...20 { _ = table.learn(key(1, 1), at: .port(PortIndex(number % 16), vlan: 9), nowSeconds: 0) }
    let account = table.account(of: key(1, 1))
    #expect(account.entry?.location == .port(4, vlan: 9) && account.entry?.moves == 20)
    #expect(account.past.count == 16)
    #expect(account.past.map(\.place) == (4..<20).reversed().map { .port(PortIndex($0 % 16), vlan: 9) })
    // The sequence numbers are those of the events.
    let moves = Dictionary(uniqueKeysWithValues: events().map { ($0.sequence, $0) })
    #expect(account.past.allSatisfy { $0.endSeconds == UInt32(table.events.milliseconds / 1000) })
    for past in account.past { #expect(moves[past.sequence]?.kind == .moved && moves[past.sequence]?.from == past.place) }
    // It stays known after the entry is gone, but not for another domain with the same index.
    table.flush(key(1, 1))
    #expect(table.account(of: key(1, 1)).entry == nil && table.account(of: key(1, 1)).past.count == 16)
    table.removeAll(domain: 1)
    #expect(table.account(of: key(1, 1)).past.isEmpty)
  }
}
