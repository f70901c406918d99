// Readers against a busy writer: a reader's result belongs to its key, and permanent entries are always found. An entry's location
// follows from its address, so a mix-up is detected. Run with ThreadSanitizer as well.

import Encap
import Foundation
import Synchronization
import Testing

@testable import MACTable

@Suite(.serialized) struct ConcurrencyTests {
  /// The port or VTEP index of every entry follows from its address, and so does the VLAN.
  static let indexCount: UInt64 = 1024

  static func place(_ key: MACKey, isRemote: Bool) -> MACLocation {
    let index = UInt16(key.mac.bits & (indexCount - 1))
    return isRemote ? .vtep(VTEPIndex(index)) : .port(PortIndex(index), vlan: UInt16(key.mac.bits >> 4 & 0xfff))
  }

  static func isRight(_ key: MACKey, _ location: MACLocation) -> Bool {
    location == place(key, isRemote: location.isVTEP)
  }

  /// Spreads a number over the address, so that neighbours differ in every field.
  static func address(_ domain: DomainIndex, _ number: UInt64) -> MACKey { key(domain, number &* 0x9e37_79b9_7f4a_7c15) }

  struct Findings {
    var lookups = 0
    var wrongPlace = 0
    var missed = 0
    var wronglyFound = 0
    var pages = 0
  }

  /// What the readers must have done before the writer stops.
  static let lookupCount = 3_000_000

  /// - capacity: so small that slots are reused all the time, or large enough for long displacement paths.
  @Test(arguments: [8, 100, 3000]) func readersSeeCompleteEntriesAndMissNone(capacity: Int) throws {
    // Few slots to spare, so entries are displaced all the time.
    let table = try MACTable(
      capacity: capacity, portCount: Int(Self.indexCount), vtepCount: Int(Self.indexCount), domainCount: 4,
      halfBucketCount: capacity / 7 + 4)
    // Domain 0 stays, domain 1 comes and goes, domain 2 is flushed at times, domain 3 stays empty.
    let permanentCount = UInt64(capacity / 2)
    let transientCount = UInt64(capacity)
    for number in 0..<permanentCount {
      let key = Self.address(0, number)
      _ = table.learn(key, at: Self.place(key, isRemote: false), nowSeconds: 0)
    }
    let isStopped = Atomic(false)
    let lookups = Atomic(0)
    let findings = Mutex<[Findings]>([])
    let reader = table.reader

    let threads = (0..<2).map { number in
      TestThread {
        var random = SeededGenerator(seed: UInt64(number + 10))
        var found = Findings()
        while !isStopped.load(ordering: .relaxed) {
          for _ in 0..<200 {
            let domain = DomainIndex(UInt16.random(in: 0..<4, using: &random))
            let key = Self.address(
              domain, .random(in: 0..<(domain == 0 ? permanentCount : transientCount), using: &random))
            let hit = reader.find(key)
            reader.touch(hit, nowSeconds: UInt32(truncatingIfNeeded: found.lookups))
            found.lookups += 1
            if hit.isHit, !Self.isRight(key, hit.location) { found.wrongPlace += 1 }
            if domain == 0, !hit.isHit { found.missed += 1 }
            if domain == 3, hit.isHit { found.wronglyFound += 1 }
          }
          lookups.add(200, ordering: .relaxed)
          if number == 0, found.lookups % 10_000 == 0 {
            var cursor = 0
            while cursor < table.slotCount {
              for entry in table.entries(from: &cursor, limit: 64)
              where entry.key.domain == 3 || !Self.isRight(entry.key, entry.location) { found.wrongPlace += 1 }
            }
            found.pages += 1
          }
        }
        findings.withLock { $0.append(found) }
      }
    }

    var random = SeededGenerator(seed: UInt64(capacity))
    let deadline = ContinuousClock.now + .seconds(120)
    while lookups.load(ordering: .relaxed) < Self.lookupCount, ContinuousClock.now < deadline {
      let key = Self.address(
        Bool.random(using: &random) ? 1 : 2, .random(in: 0..<transientCount, using: &random))
      switch Int.random(in: 0..<100, using: &random) {
      case 0..<60:
        // Never full: an eviction could remove a permanent entry.
        if table.count < capacity {
          _ = table.learn(key, at: Self.place(key, isRemote: .random(using: &random)), nowSeconds: 1)
        }
      case 60..<90: table.remove(key)
      case 90..<99:
        let key = Self.address(0, .random(in: 0..<permanentCount, using: &random))
        _ = table.learn(key, at: Self.place(key, isRemote: .random(using: &random)), nowSeconds: 1)
      default:
        if Int.random(in: 0..<20, using: &random) == 0 { table.flush(domain: 2) }
        table.sweep(slots: 100, nowSeconds: 1)
      }
    }
    isStopped.store(true, ordering: .relaxed)
    for thread in threads { thread.join() }

    #expect(lookups.load(ordering: .relaxed) >= Self.lookupCount)
    for found in findings.withLock({ $0 }) {
      #expect(found.wrongPlace == 0)
      #expect(found.missed == 0)
      #expect(found.wronglyFound == 0)
    }
    #expect(table.evictions == 0)
    if capacity >= 100 { #expect(table.memory.displacements.pointee.load(ordering: .relaxed) > 100) }
    try table.checkStructure()
  }

  /// A flush holds for every lookup that starts after it.
  @Test func flushIsSeenAtOnce() throws {
    let table = try MACTable(capacity: 1000, portCount: 2, vtepCount: 2, domainCount: 2)
    // Odd: entries may exist; even: they are flushed.
    let phase = Atomic<UInt64>(0)
    let isStopped = Atomic(false)
    let seenAfterFlush = Atomic(0)
    let checks = Atomic(0)
    let reader = table.reader
    let threads = (0..<2).map { _ in
      TestThread {
        while !isStopped.load(ordering: .relaxed) {
          let before = phase.load(ordering: .acquiring)
          var hits = 0
          for number in 0..<20 as Range<UInt64> where reader.find(key(0, number)).isHit { hits += 1 }
          atomicMemoryFence(ordering: .acquiring)
          guard before & 1 == 0, phase.load(ordering: .relaxed) == before else { continue }
          checks.add(1, ordering: .relaxed)
          if hits > 0 { seenAfterFlush.add(1, ordering: .relaxed) }
        }
      }
    }
    let deadline = ContinuousClock.now + .seconds(120)
    for round in 0..<300 {
      phase.add(1, ordering: .acquiringAndReleasing)
      for number in 0..<20 as Range<UInt64> {
        _ = table.learn(key(0, number), at: round & 1 == 0 ? .port(1, vlan: 0) : .vtep(1), nowSeconds: 0)
      }
      switch round % 3 {
      case 0: table.flush(domain: 0)
      case 1: table.removeAll(domain: 0)
      default: if round & 1 == 0 { table.flush(port: 1) } else { table.removeAll(vtep: 1) }
      }
      phase.add(1, ordering: .acquiringAndReleasing)
      let checksBefore = checks.load(ordering: .relaxed)
      while checks.load(ordering: .relaxed) == checksBefore, ContinuousClock.now < deadline {}
    }
    isStopped.store(true, ordering: .relaxed)
    for thread in threads { thread.join() }
    #expect(seenAfterFlush.load(ordering: .relaxed) == 0)
    #expect(checks.load(ordering: .relaxed) >= 300)
  }
}

/// A dedicated thread that can be joined; the concurrency pool is not for spinning loops.
final class TestThread: Sendable {
  private let done = DispatchSemaphore(value: 0)

  init(_ body: @escaping @Sendable () -> Void) {
    let done = done
    Thread.detachNewThread {
      body()
      done.signal()
    }
  }

  func join() { done.wait() }
}
