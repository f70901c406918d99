// `vtepd-bench table`: the MAC table by itself. Look-ups against DPDK's rte_hash, learning, and how long changes of the table keep a
// forwarding worker from its next round.

import ArgumentParser
import CDPDK
import Encap
import Glibc
import MACTable
import Synchronization

@testable import VTEP

/// Ends the threads of a measurement.
private final class BenchEnd: Sendable {
  let hasCome = Atomic(false)
}

struct TableBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "table", abstract: "Measures look-ups, learning, and the interruptions that changes of the MAC table cause.")

  private static let rounds = 7
  private static let secondsPerRound = 0.3

  @Option(help: "Processor of the forwarding worker.")
  var core = 1

  func run() throws {
    var settings = DataplaneSettings()
    settings.memoryMiB = 600
    settings.cores = [core]
    let runtime = try DPDKRuntime(settings: settings, maxFrameByteCount: 2048, log: { print("#", $0) })
    try Self.lookups()
    try Self.learning(readers: 0)
    try Self.learning(readers: 1)
    try Interruptions.report(runtime: runtime)
  }

  // MARK: - Look-ups

  private static func lookups() throws {
    print("look-ups, bursts of 32, random order; millions per second")
    print("| addresses | vtepd | rte_hash | ratio | rte_hash, lock-free readers | ratio |")
    print("|---|---|---|---|---|---|")
    for count in [1_000, 100_000, 1_000_000] {
      var generator = SplitMix(state: 1)
      let keys = (0..<count).map { MACKey(domain: 0, mac: TrafficFile.remoteMAC($0)) }.shuffled(using: &generator)
      let table = try MACTable(capacity: max(65_536, 2 * count), portCount: 1, vtepCount: 16, domainCount: 1)
      table.configureDomain(0, ageSeconds: 0, limit: 0)
      for (index, key) in keys.enumerated() {
        _ = table.learn(key, at: .vtep(VTEPIndex(index % 16)), nowSeconds: 0)
      }
      precondition(table.count == count, "\(table.count) of \(count) addresses are in the table")
      let plain = try PeerHash(keys, flags: 0)
      let lockFree = try PeerHash(keys, flags: UInt8(RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF))
      var ours: [Double] = []
      var theirs: [Double] = []
      var theirsLockFree: [Double] = []
      for _ in 0..<rounds {
        ours.append(rate(count) { lookUp(keys, table.reader) })
        theirs.append(rate(count) { plain.lookUp() })
        theirsLockFree.append(rate(count) { lockFree.lookUp() })
      }
      let columns = [
        String(count), text(median(ours)), text(median(theirs)), text(median(zip(ours, theirs).map { $0 / $1 })),
        text(median(theirsLockFree)), text(median(zip(ours, theirsLockFree).map { $0 / $1 })),
      ]
      print("| " + columns.joined(separator: " | ") + " |")
    }
  }

  /// All keys once, as a worker does it: hashes and prefetches of a burst, then its look-ups. Returns the number found.
  @inline(never)
  private static func lookUp(_ keys: [MACKey], _ reader: MACTableReader) -> Int {
    var found = 0
    let isCrowded = reader.isCrowded
    withUnsafeTemporaryAllocation(of: MACBucket.self, capacity: 32) { buckets in
      keys.withUnsafeBufferPointer { keys in
        var start = 0
        while start < keys.count {
          let end = min(start + 32, keys.count)
          for index in start..<end {
            let bucket = reader.bucket(of: reader.hash(keys[index]))
            buckets[index - start] = bucket
            cdpdk_prefetch(bucket.address)
          }
          if isCrowded {
            for index in start..<end {
              let place = reader.likelyPlace(of: keys[index], in: buckets[index - start])
              buckets[index - start] = place
              cdpdk_prefetch(place.address)
            }
          }
          for index in start..<end where reader.lookup(keys[index], in: buckets[index - start]).isHit { found += 1 }
          start = end
        }
      }
    }
    return found
  }

  /// Millions of keys per second; `body` looks `count` of them up and returns how many it found.
  private static func rate(_ count: Int, _ body: () -> Int) -> Double {
    let length = UInt64(secondsPerRound * Double(cdpdk_cycles_per_second()))
    let start = cdpdk_cycles()
    var passes = 0
    repeat {
      let found = body()
      precondition(found == count, "\(found) of \(count) addresses were found")
      passes += 1
    } while cdpdk_cycles() &- start < length
    return Double(passes * count) / Double(cdpdk_cycles() &- start) * Double(cdpdk_cycles_per_second()) / 1e6
  }

  // MARK: - Learning

  /// From the worker's ring to the table, by the learner, a million addresses each time.
  ///
  /// - Parameter readers: of events, each as `vtepctl monitor` without a filter: a page every 50 ms.
  private static func learning(readers: Int) throws {
    let count = 1_000_000
    var rates: [Double] = []
    for round in 0..<5 {
      let table = try MACTable(capacity: 2 * count, portCount: 1, vtepCount: 16, domainCount: 1)
      table.configureDomain(0, ageSeconds: 300, limit: 0)
      let ring = try LearnRing(worker: 90 + round + 10 * readers)
      guard let rcu = cdpdk_rcu_create(1) else { throw VTEPError(.environment, "RCU state", "out of memory") }
      let shared = UnsafeMutablePointer<SharedState>.allocate(capacity: 1)
      shared.initialize(to: SharedState(learnerEvent: cdpdk_event_create(), rcu: rcu))
      let learner = Learner(table: table, shared: shared, rings: [ring], reportUnknownVTEP: { _ in }, reportMove: { _ in })
      let end = BenchEnd()
      let threads = try (0..<readers).map { _ in
        try BackgroundThread(name: "bench-reader") {
          var last: UInt64 = 0
          while !end.hasCome.load(ordering: .relaxed) {
            last = learner.events.page(after: last, limit: 4096).last
            usleep(50_000)
          }
        }
      }
      let start = cdpdk_cycles()
      var next = 0
      while next < count {
        while next < count {
          let key = MACKey(domain: 0, mac: TrafficFile.remoteMAC(next))
          let event = LearnEvent(key: key, location: .vtep(VTEPIndex(next % 16)), vtep: IPAddress(high: 0, low: 0))
          guard ring.send(event, hash: table.reader.hash(key)) else { break }
          next += 1
        }
        learner.drain()
      }
      rates.append(Double(count) / Double(cdpdk_cycles() &- start) * Double(cdpdk_cycles_per_second()) / 1e6)
      end.hasCome.store(true, ordering: .relaxed)
      for thread in threads { thread.join() }
      precondition(table.count == count, "\(table.count) of \(count) addresses were learned")
    }
    let reader = readers == 0 ? "" : ", with a reader of events"
    print("learning, reports and table on one processor\(reader): \(text(median(rates))) million addresses per second")
  }

  private static func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
  private static func text(_ value: Double) -> String { String((value * 100).rounded() / 100) }
}

/// The same order in every run.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
    return mixed ^ mixed >> 31
  }
}

/// DPDK's hash table with the same keys.
private final class PeerHash {
  private let table: OpaquePointer
  private let keys: UnsafeMutablePointer<UInt64>
  private let keyPointers: UnsafeMutablePointer<UnsafeRawPointer?>
  private let data = UnsafeMutablePointer<UnsafeMutableRawPointer?>.allocate(capacity: 32)
  private let count: Int
  nonisolated(unsafe) private static var tables = 0

  init(_ keys: [MACKey], flags: UInt8) throws {
    count = keys.count
    self.keys = .allocate(capacity: count)
    keyPointers = .allocate(capacity: count)
    Self.tables += 1
    let table = "peer\(Self.tables)".withCString { name in
      var parameters = rte_hash_parameters()
      parameters.name = name
      parameters.entries = UInt32(max(65_536, 2 * keys.count))
      parameters.key_len = 8
      parameters.socket_id = 0
      parameters.extra_flag = flags
      return rte_hash_create(&parameters)
    }
    guard let table else { throw VTEPError(.environment, "rte_hash", VTEPError.errnoText(cdpdk_errno())) }
    self.table = table
    for (index, key) in keys.enumerated() {
      self.keys[index] = key.raw
      keyPointers[index] = UnsafeRawPointer(self.keys + index)
    }
    // Not in the order of the look-ups, in which its keys would lie in memory: traffic comes in another order than addresses were learned.
    for (index, key) in keys.sorted(by: { $0.raw < $1.raw }).enumerated() {
      try withUnsafePointer(to: key.raw) { key in
        try VTEPError.check(rte_hash_add_key_data(table, key, UnsafeMutableRawPointer(bitPattern: index + 1)), "rte_hash")
      }
    }
  }

  deinit {
    rte_hash_free(table)
    keys.deallocate()
    keyPointers.deallocate()
    data.deallocate()
  }

  /// All keys once, in bursts of 32. Returns the number found.
  @inline(never)
  func lookUp() -> Int {
    var found = 0
    var start = 0
    while start < count {
      var hits: UInt64 = 0
      let size = min(32, count - start)
      rte_hash_lookup_bulk_data(table, keyPointers + start, UInt32(size), &hits, data)
      found += hits.nonzeroBitCount
      start += size
    }
    return found
  }
}
