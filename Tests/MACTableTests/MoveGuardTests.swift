// The guard against flapping addresses: which are frozen, where and for how long, and which never are.

import Encap
import Testing

@testable import MACTable

struct MoveGuardTests {
  let table: MACTable
  let station = key(2, 0x0200_0000_0001)
  let a = MACLocation.port(1, vlan: 0)
  let b = MACLocation.port(2, vlan: 0)

  init() throws {
    table = try MACTable(capacity: 100, portCount: 4, vtepCount: 4, domainCount: 4)
    table.configureMoveGuard(moves: 5, windowSeconds: 180, holdSeconds: 300)
  }

  /// Learns the station in the given locations in turn, a second apart; returns the last outcome.
  @discardableResult private func visit(_ places: [MACLocation], from seconds: UInt32, _ station: MACKey? = nil) -> MACTable.LearnOutcome {
    var outcome = MACTable.LearnOutcome.refreshed
    for (number, place) in places.enumerated() {
      outcome = table.learn(station ?? self.station, at: place, nowSeconds: seconds + UInt32(number))
    }
    return outcome
  }

  private func found(_ key: MACKey? = nil) -> MACLookup { table.reader.find(key ?? station) }

  @Test(
    "between ports, VLANs, VTEPs and across",
    arguments: [
      (MACLocation.port(1, vlan: 0), MACLocation.port(2, vlan: 0)), (.port(1, vlan: 7), .port(1, vlan: 8)), (.port(3, vlan: 0), .vtep(3)),
      (.vtep(3), .port(3, vlan: 0)), (.vtep(0), .vtep(1)),
    ])
  func frozenAtTheFirstPlace(first: MACLocation, second: MACLocation) {
    #expect(visit([first, second, first, second, first, second], from: 100) == .moved)
    #expect(found().location == second && !found().isFrozen)
    #expect(table.learn(station, at: first, nowSeconds: 106) == .frozen)
    #expect(found().location == first && found().isFrozen && found().isPinned && found().type == .learned)
    #expect(found().isFrozen(elsewhereThan: second) && !found().isFrozen(elsewhereThan: first))
    let move = MACMove(key: station, first: first, second: second, moves: 6, frozenSinceSeconds: 106)
    #expect(table.frozenMove(station) == move)
    #expect(table.moves(nowSeconds: 110) == [move])
    // The other location neither gets it nor refreshes the entry.
    #expect(table.learn(station, at: second, nowSeconds: 107) == .refusedFrozen)
    #expect(table.learn(station, at: first, nowSeconds: 108) == .refreshed)
    #expect(found().location == first && found().isFrozen)
    #expect(table.all() == [MACTable.Entry(key: station, location: first, type: .learned, moves: 6, lastSeenSeconds: 108)])
  }

  @Test func releasedWhenTheOtherPlaceFallsSilent() {
    visit([a, b, a, b, a, b, a], from: 100)
    #expect(table.releaseFrozen(seenAt: 1).isEmpty && found().isFrozen)
    #expect(table.releaseFrozen(seenAt: 2).map(\.key) == [station])
    #expect(!found().isFrozen && found().location == a && table.frozenMove(station) == nil)
  }

  @Test func onlyTheSixthMoveInTheWindowFreezes() {
    // One move every 37 seconds: never more than five within 180.
    for number in 0..<40 {
      #expect(visit([number % 2 == 0 ? a : b], from: UInt32(number) * 37) != .frozen, "move \(number)")
    }
    // Every 36 seconds: the sixth is one too many.
    var outcomes: [MACTable.LearnOutcome] = []
    for number in 0..<6 { outcomes.append(visit([number % 2 == 0 ? a : b], from: 10_000 + UInt32(number) * 36)) }
    #expect(outcomes.count { $0 == .frozen } == 1 && outcomes.last == .frozen)
  }

  @Test func realMigrationsAreLeftAlone() {
    let places: [MACLocation] = [a, b, .vtep(0), .vtep(1), .port(3, vlan: 9)]
    visit(places, from: 0)
    // Frames that were in flight during the move arrive a while later.
    visit([a, b], from: 200)
    #expect(!found().isFrozen && table.frozen.isEmpty)
    #expect(table.moves(nowSeconds: 201) == [MACMove(key: station, first: a, second: b, moves: 2)])
    #expect(table.moves(nowSeconds: 400).isEmpty)
  }

  @Test func locationLeftBeforeTheFlappingIsNotFirst() {
    // It migrated from VTEP 0 to port 1; then a second station with its address came up at port 2.
    visit([.vtep(0), a, b, a, b, a], from: 0)
    #expect(table.learn(station, at: b, nowSeconds: 9) == .frozen)
    #expect(found().location == a)
    #expect(table.frozenMove(station)?.second == b)
  }

  @Test func releasedAfterTheHoldTimeAndFrozenAgain() {
    visit([a, b, a, b, a, b, a], from: 0)
    #expect(table.releaseFrozen(nowSeconds: 305).isEmpty)
    #expect(table.releaseFrozen(nowSeconds: 306).map(\.key) == [station])
    #expect(found().location == a && !found().isFrozen)
    #expect(table.frozenMove(station) == nil && table.moves(nowSeconds: 306).isEmpty)
    #expect(visit([b, a, b, a, b], from: 306) == .moved)
    #expect(visit([a], from: 312) == .frozen)
    #expect(found().location == a)
  }

  @Test func frozenEntriesDoNotAge() {
    table.configureDomain(2, ageSeconds: 10, limit: 0)
    visit([a, b, a, b, a, b, a], from: 0)
    table.sweepAll(nowSeconds: 200)
    #expect(found().isFrozen)
    _ = table.releaseFrozen(nowSeconds: 306)
    table.sweepAll(nowSeconds: 306)
    #expect(!found().isHit)
  }

  @Test(
    "an entry that is flushed, replaced or removed with its location is released",
    arguments: [
      { $0.flush(key(2, 0x0200_0000_0001)) }, { $0.flush(domain: 2) }, { $0.flush(port: 1) }, { $0.flushAll() }, { $0.removeAll(port: 1) },
      { $0.removeAll(domain: 2) }, { $0.flush(domain: 2, port: 1) }, { $0.remove(key(2, 0x0200_0000_0001)) },
      { try? $0.setStatic(key(2, 0x0200_0000_0001), at: .vtep(1), type: .static) },
    ] as [@Sendable (MACTable) -> Void])
  func releasedWithItsEntry(_ forget: @Sendable (MACTable) -> Void) {
    visit([a, b, a, b, a, b, a], from: 0)
    #expect(found().isFrozen)
    forget(table)
    #expect(!found().isFrozen)
    if !found().isHit {
      #expect(table.learn(station, at: b, nowSeconds: 8) == .added)
      #expect(table.learn(station, at: a, nowSeconds: 8) == .moved)
    }
    #expect(table.releaseFrozen(nowSeconds: 9).count == 1)
    #expect(table.frozen.isEmpty)
    // A frozen entry elsewhere stays.
    let other = key(3, 9)
    visit([.vtep(1), b, .vtep(1), b, .vtep(1), b, .vtep(1)], from: 20, other)
    forget(table)
    table.sweepAll(nowSeconds: 30)
    #expect(table.releaseFrozen(nowSeconds: 30).count == (found(other).isFrozen ? 0 : 1))
  }

  @Test func countsStayRight() {
    visit([a, b, a, b, a, b], from: 0)
    _ = table.learn(station, at: a, nowSeconds: 7)
    #expect(table.count == 1 && table.learnedCount(domain: 2) == 1)
    #expect(table.count(port: 1) == 1 && table.count(port: 2) == 0)
    #expect(table.reader.learnedCount(port: 1) == 1 && table.reader.learnedCount(port: 2) == 0)
  }

  @Test(
    "a reused index does not inherit another's moves",
    arguments: [{ $0.removeAll(domain: 2) }, { $0.removeAll(port: 1) }, { $0.removeAll(vtep: 0) }] as [@Sendable (MACTable) -> Void])
  func indexesAreUsedAgain(_ remove: @Sendable (MACTable) -> Void) {
    visit([a, .vtep(0), a, b], from: 0)
    visit([b, .vtep(1)], from: 0, key(1, 5))
    #expect(table.moves(nowSeconds: 4).map(\.key.domain) == [1, 2])
    remove(table)
    #expect(table.moves(nowSeconds: 4).map(\.key.domain) == [1])
  }

  @Test func guardCanBeOffAndChange() {
    table.configureMoveGuard(moves: 0, windowSeconds: 180, holdSeconds: 300)
    for number in 0..<1000 { #expect(visit([number % 2 == 0 ? a : b], from: 0) != .frozen) }
    #expect(table.moves(nowSeconds: 0).isEmpty)
    table.configureMoveGuard(moves: 1, windowSeconds: 10, holdSeconds: 20)
    #expect(visit([a, b], from: 0) == .frozen)
    // A shorter time also applies to frozen addresses; without a guard nothing is frozen.
    table.configureMoveGuard(moves: 1, windowSeconds: 10, holdSeconds: 5)
    #expect(table.releaseFrozen(nowSeconds: 8).count == 1)
    #expect(visit([a, b], from: 20) == .frozen)
    table.configureMoveGuard(moves: 0, windowSeconds: 10, holdSeconds: 5)
    #expect(!found().isFrozen && found().isHit && table.frozen.isEmpty)
  }

  @Test func memoryIsBoundedAndOtherMovesEvictNoSuspect() throws {
    let large = try MACTable(capacity: 20_000, portCount: 4, vtepCount: 4, domainCount: 4)
    large.configureMoveGuard(moves: 5, windowSeconds: 180, holdSeconds: 300)
    for number in 0..<18_000 { _ = large.learn(key(0, UInt64(number)), at: a, nowSeconds: 0) }
    _ = large.learn(station, at: a, nowSeconds: 0)
    // Between two moves of the station thousands of others move once: far more than fit.
    var outcomes: [MACTable.LearnOutcome] = []
    for round in 0..<8 {
      let place = round % 2 == 0 ? b : a
      outcomes.append(large.learn(station, at: place, nowSeconds: UInt32(round)))
      guard round < 3 else { continue }
      for number in 0..<(round == 0 ? 300 : 6000) {
        _ = large.learn(key(0, UInt64(round * 6000 + number)), at: b, nowSeconds: UInt32(round))
      }
    }
    #expect(outcomes.contains(.frozen))
    #expect(large.moves(nowSeconds: 8).count <= 20_000 / 8)
  }

  @Test func reportOnlyFollowsAndReportsOncePerWindow() {
    table.configureMoveGuard(moves: 5, windowSeconds: 180, holdSeconds: 300, freezes: false)
    let claim = MACTable.LearnOutcome.movedTooOften(MACMove(key: station, first: a, second: b, moves: 6))
    for (begin, loudest) in [(UInt32(100), 106), (1000, 1005)] as [(UInt32, UInt32)] {
      for second in begin..<begin + 100 {
        let place = second % 2 == 0 ? a : b
        let outcome = table.learn(station, at: place, nowSeconds: second)
        if second == loudest {
          // From the second round on, the address comes from `b`.
          #expect(outcome == claim || outcome == .movedTooOften(MACMove(key: station, first: b, second: a, moves: 6)))
        } else {
          #expect(outcome == .moved || outcome == .added, "second \(second)")
        }
        #expect(found().location == place && !found().isPinned)
      }
    }
    // More than allowed, without end.
    #expect(table.moves(nowSeconds: 1100) == [MACMove(key: station, first: a, second: b, moves: 6)])
  }

  @Test func theDomainsActionOverridesTheTables() {
    let toAndFro = (0..<20).map { $0 % 2 == 0 ? a : b }
    table.configureDomain(2, ageSeconds: 0, limit: 0, freezesMoves: false)
    visit(toAndFro, from: 100)
    #expect(!found().isFrozen && found().location == b)
    let other = key(3, 0x0200_0000_0001)
    visit(toAndFro, from: 100, other)
    #expect(found(other).isFrozen)
    // The other way round; a frozen address that would no longer be frozen is released.
    table.configureMoveGuard(moves: 5, windowSeconds: 180, holdSeconds: 300, freezes: false)
    #expect(!found(other).isFrozen && table.frozenMove(other) == nil)
    table.configureDomain(2, ageSeconds: 0, limit: 0, freezesMoves: true)
    visit(toAndFro, from: 1000)
    #expect(found().isFrozen)
    table.configureDomain(2, ageSeconds: 0, limit: 0)
    #expect(!found().isFrozen)
  }

  @Test(
    "virtual routers",
    arguments: [
      (0x00_005e_0001_01, true), (0x00_005e_0001_ff, true), (0x00_005e_0002_01, true), (0x00_005e_0003_01, false),
      (0x00_005e_0000_01, false), (0x00_000c_07ac_00, true), (0x00_000c_07ac_ff, true), (0x00_000c_07ad_00, false),
      (0x00_000c_9ff0_00, true), (0x00_000c_9fff_ff, true), (0x00_000c_9fef_ff, false), (0x00_0573_a000_00, true),
      (0x00_0573_a00f_ff, true), (0x00_0573_a010_00, false), (0x00_07b4_0000_01, true), (0x00_07b4_03ff_04, true),
      (0x00_07b4_0400_01, false), (0x02_005e_0001_01, false),
    ] as [(UInt64, Bool)])
  func virtualRouters(_ address: UInt64, _ isVirtual: Bool) {
    let router = key(2, address)
    visit((0..<20).map { $0 % 2 == 0 ? a : b }, from: 100, router)
    #expect(found(router).isFrozen == !isVirtual)
    #expect(MACAddress(bits: address).isVirtualRouter == isVirtual)
    if isVirtual { #expect(found(router).location == b) }
  }
}
