// Entries of an earlier run: entered as they were, and never in the way of what is known.

import Encap
import Testing

@testable import MACTable

@Suite("Restored entries")
struct RestoreTests {
  private let table: MACTable
  private let port = MACLocation.port(1, vlan: 0)
  private let vtep = MACLocation.vtep(2)

  init() throws { table = try MACTable(capacity: 64, portCount: 4, vtepCount: 4, domainCount: 4) }

  private func key(_ number: UInt64) -> MACKey { MACKey(domain: 1, mac: MACAddress(bits: 0x0200_0000_0000 | number)) }

  private var entries: [MACTable.Entry] {
    var cursor = 0
    return table.entries(from: &cursor, limit: .max)
  }

  @Test("an entry has the place, age and moves that it had")
  func entry() {
    #expect(table.restore(key(1), at: port, moves: 7, lastSeenSeconds: 90, nowSeconds: 100) == .restored)
    #expect(
      entries == [MACTable.Entry(key: key(1), location: port, type: .learned, moves: 7, lastSeenSeconds: 90)])
    #expect(table.count == 1 && table.count(port: 1) == 1 && table.inserts == 0)
    // It is an ordinary entry: it moves, and ages.
    #expect(table.learn(key(1), at: vtep, nowSeconds: 101) == .moved)
    table.configureDomain(1, ageSeconds: 10, limit: 0)
    table.sweep(slots: table.slotCount, nowSeconds: 111)
    #expect(table.count == 0)
  }

  @Test("an entry knows since when it has been where it is: also after others have displaced it, and after a restart")
  func since() throws {
    let table = try MACTable(capacity: 4096, portCount: 4, vtepCount: 4, domainCount: 4)
    func since(_ number: UInt64) -> UInt32? { table.account(of: key(number)).entry?.sinceSeconds }
    table.events.setTime()
    let begin = table.nowOnTheClock
    #expect(table.restore(key(1), at: port, moves: 0, lastSeenSeconds: 5, since: 1_000_000, nowSeconds: 5) == .restored)
    #expect(begin > 1_000_000)
    // A full table: hardly an entry stays in its first slot.
    for number in 2...4096 { _ = table.learn(key(UInt64(number)), at: port, nowSeconds: 5) }
    #expect(table.learn(key(1), at: port, nowSeconds: 6) == .refreshed && since(1) == 1_000_000)
    #expect(since(4000) == begin)
    #expect(table.learn(key(1), at: vtep, nowSeconds: 7) == .moved && since(1) == begin)
    // Who says so is another question.
    #expect(table.restore(key(5000), at: port, moves: 0, lastSeenSeconds: 5, since: 1_000_000, nowSeconds: 5) == .noRoom)
    table.remove(key(2))
    #expect(table.restore(key(5000), at: port, moves: 0, lastSeenSeconds: 5, since: 1_000_000, nowSeconds: 5) == .restored)
    try table.setStatic(key(5000), at: port, type: .static)
    #expect(since(5000) == 1_000_000)
  }

  @Test("what is past its age, known, or without room is left out")
  func leftOut() throws {
    table.configureDomain(1, ageSeconds: 300, limit: 2)
    #expect(table.restore(key(1), at: port, moves: 0, lastSeenSeconds: 700, nowSeconds: 1000) == .expired)
    #expect(table.restore(key(1), at: port, moves: 0, lastSeenSeconds: 701, nowSeconds: 1000) == .restored)
    // A worker's clock may have been ahead.
    #expect(table.restore(key(2), at: port, moves: 0, lastSeenSeconds: 1001, nowSeconds: 1000) == .restored)
    #expect(table.restore(key(3), at: port, moves: 0, lastSeenSeconds: 999, nowSeconds: 1000) == .noRoom)
    try table.setStatic(key(4), at: vtep, type: .static)
    #expect(table.restore(key(4), at: port, moves: 0, lastSeenSeconds: 999, nowSeconds: 1000) == .known)
    #expect(table.restore(key(1), at: vtep, moves: 0, lastSeenSeconds: 999, nowSeconds: 1000) == .known)
  }

  @Test("a full table loses nothing")
  func full() {
    for number in 0..<64 { #expect(table.learn(key(UInt64(number)), at: vtep, nowSeconds: 50) == .added) }
    #expect(table.restore(key(100), at: port, moves: 0, lastSeenSeconds: 50, nowSeconds: 50) == .noRoom)
    #expect(table.count == 64 && table.evictions == 0)
  }

  @Test("a frozen address is frozen for the rest of its time")
  func frozen() {
    table.configureMoveGuard(moves: 5, windowSeconds: 180, holdSeconds: 300)
    let move = MACMove(key: key(1), first: port, second: vtep, moves: 6, frozenSinceSeconds: 1000)
    #expect(!table.restoreFrozen(move))
    #expect(table.restore(key(1), at: port, moves: 6, lastSeenSeconds: 1000, nowSeconds: 1100) == .restored)
    #expect(!table.restoreFrozen(MACMove(key: key(1), first: vtep, second: port, moves: 6, frozenSinceSeconds: 1000)))
    #expect(table.restoreFrozen(move))
    #expect(table.learn(key(1), at: vtep, nowSeconds: 1101) == .refusedFrozen)
    #expect(table.moves(nowSeconds: 1101) == [move])
    #expect(table.releaseFrozen(nowSeconds: 1299).isEmpty)
    #expect(table.releaseFrozen(nowSeconds: 1300) == [move])
  }

  @Test("moves count on")
  func moves() {
    table.configureMoveGuard(moves: 3, windowSeconds: 180, holdSeconds: 300)
    #expect(table.learn(key(1), at: port, nowSeconds: 1000) == .added)
    for (second, place) in [(1001, vtep), (1002, port), (1003, vtep)] {
      #expect(table.learn(key(1), at: place, nowSeconds: UInt32(second)) == .moved)
    }
    let records = table.moveRecords(nowSeconds: 1003)
    #expect(records.count == 1 && records[0].moves.map(\.seconds) == [1001, 1002, 1003] && records[0].place == vtep)
    #expect(table.moveRecords(nowSeconds: 1182).first?.moves.map(\.seconds) == [1002, 1003])

    guard let next = try? MACTable(capacity: 64, portCount: 4, vtepCount: 4, domainCount: 4) else { return }
    next.configureMoveGuard(moves: 3, windowSeconds: 180, holdSeconds: 300)
    #expect(next.restore(key(1), at: vtep, moves: 3, lastSeenSeconds: 1003, nowSeconds: 1005) == .restored)
    for record in records { next.restoreMoves(record) }
    #expect(next.moveRecords(nowSeconds: 1005) == records)
    #expect(next.learn(key(1), at: port, nowSeconds: 1006) == .frozen)
    #expect(next.frozenMove(key(1))?.first == port)
  }

  @Test("counts go on")
  func counts() {
    table.continueCounts(inserts: 10, moves: 20, evictions: 30)
    table.continueRefusals(domain: 1, 40)
    _ = table.learn(key(1), at: port, nowSeconds: 1)
    #expect(table.inserts == 11 && table.moves == 20 && table.evictions == 30 && table.refusedByLimit(domain: 1) == 40)
  }
}
