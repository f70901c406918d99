// How long a forwarding worker is kept from its next round while another thread changes the MAC table.

import CDPDK
import Encap
import Glibc
import MACTable
import Synchronization

@testable import VTEP

/// Gaps between the rounds of a worker, by what was done to the table meanwhile.
final class Interruptions {
  enum Phase: Int, CaseIterable {
    case quiet, load, age, flush
  }

  private static let entries = 100_000
  private static let rounds = 20
  /// A gap of this many microseconds or more counts as this many.
  private static let longest = 100_000

  private let scenario: Scenario
  private let phase = Atomic<Int>(-1)
  private let stops = Atomic<Bool>(false)
  /// By phase and microseconds.
  private let counts: UnsafeMutablePointer<UInt64>
  /// By phase: how often another thread had the worker's processor for a while. That time does not count.
  private let preemptions: UnsafeMutablePointer<UInt64>
  private var milliseconds: [Phase: Double] = [:]

  private init(_ scenario: Scenario) {
    self.scenario = scenario
    counts = .allocate(capacity: Phase.allCases.count * (Self.longest + 1))
    counts.initialize(repeating: 0, count: Phase.allCases.count * (Self.longest + 1))
    preemptions = .allocate(capacity: Phase.allCases.count)
    preemptions.initialize(repeating: 0, count: Phase.allCases.count)
  }

  deinit {
    counts.deallocate()
    preemptions.deallocate()
  }

  static func report(runtime: DPDKRuntime) throws {
    let folder = try Bench.temporaryFolder()
    let scenario = try Scenario(.encapsulation, Line(name: "100k", macs: 100_000), runtime: runtime, folder: folder)
    defer {
      scenario.close()
      Bench.removeFolder(folder)
    }
    let interruptions = Interruptions(scenario)
    let argument = Unmanaged.passUnretained(interruptions).toOpaque()
    let code = rte_eal_remote_launch(
      { argument in
        if let argument { Unmanaged<Interruptions>.fromOpaque(argument).takeUnretainedValue().forward() }
        return 0
      }, argument, 1)
    try VTEPError.check(code, "start the worker")
    interruptions.change()
    interruptions.stops.store(true, ordering: .releasing)
    rte_eal_wait_lcore(1)
    interruptions.printTable()
  }

  /// The worker's thread.
  private func forward() {
    var worker = scenario.worker()
    let perMicrosecond = cdpdk_cycles_per_second() / 1_000_000
    var before = cdpdk_cycles()
    let statistics = open("/proc/thread-self/schedstat", O_RDONLY)
    defer { close(statistics) }
    var waited = Self.nanosecondsWaited(statistics)
    while !stops.load(ordering: .relaxed) {
      _ = worker.runOnce()
      var now = cdpdk_cycles()
      let current = phase.load(ordering: .relaxed)
      var microseconds = Int((now &- before) / perMicrosecond)
      if microseconds >= 20 {
        let all = Self.nanosecondsWaited(statistics)
        if all &- waited >= 1000 && current >= 0 { preemptions[current] += 1 }
        microseconds = max(0, microseconds - Int((all &- waited) / 1000))
        waited = all
        now = cdpdk_cycles()
      }
      if current >= 0 { counts[current * (Self.longest + 1) + min(microseconds, Self.longest)] += 1 }
      before = now
    }
  }

  /// How long the thread has been ready to run while its processor was busy with another.
  static func nanosecondsWaited(_ statistics: Int32) -> UInt64 {
    var text = [CChar](repeating: 0, count: 128)
    guard pread(statistics, &text, text.count - 1, 0) > 0 else { return 0 }
    var end: UnsafeMutablePointer<CChar>?
    return text.withUnsafeMutableBufferPointer { text in
      guard let start = text.baseAddress else { return 0 }
      _ = strtoull(start, &end, 10)
      return end.map { UInt64(strtoull($0, nil, 10)) } ?? 0
    }
  }

  /// The thread of the table's writer. The addresses are in a domain of their own: what the worker forwards stays the same.
  private func change() {
    let table = scenario.table
    let keys = (0..<Self.entries).map { MACKey(domain: 1, mac: TrafficFile.remoteMAC($0)) }
    table.configureDomain(1, ageSeconds: 300, limit: 0)
    usleep(300_000)
    for round in 0..<Self.rounds {
      let now = UInt32(1000 * (round + 1))
      // About as long as a load, or it would be luckier.
      measure(.quiet) { usleep(70_000) }
      measure(.load) { for (index, key) in keys.enumerated() { _ = table.learn(key, at: .vtep(VTEPIndex(index % 16)), nowSeconds: now) } }
      precondition(table.learnedCount(domain: 1) == keys.count, "all addresses are in the table")
      measure(.age) { table.sweep(slots: table.slotCount, nowSeconds: now + 301) }
      precondition(table.learnedCount(domain: 1) == 0, "all addresses have aged")
      for (index, key) in keys.enumerated() { _ = table.learn(key, at: .vtep(VTEPIndex(index % 16)), nowSeconds: now) }
      measure(.flush) {
        table.flush(domain: 1)
        table.sweep(slots: table.slotCount, nowSeconds: now)
      }
      precondition(table.learnedCount(domain: 1) == 0, "all addresses are flushed")
    }
  }

  private func measure(_ current: Phase, _ body: () -> Void) {
    let start = cdpdk_cycles()
    phase.store(current.rawValue, ordering: .relaxed)
    body()
    phase.store(-1, ordering: .relaxed)
    milliseconds[current, default: 0] += Double(cdpdk_cycles() &- start) / Double(cdpdk_cycles_per_second()) * 1000
  }

  private func printTable() {
    print("time from a worker's round to its next while \(Self.entries) addresses change, \(Self.rounds) times; microseconds")
    print("| | ms each | worker's rounds | p50 | p99.9 | p99.999 | longest | rounds above 100 µs | preempted, without that time |")
    print("|---|---|---|---|---|---|---|---|---|")
    for phase in Phase.allCases {
      let found = UnsafeBufferPointer(start: counts + phase.rawValue * (Self.longest + 1), count: Self.longest + 1)
      let total = found.reduce(0, +)
      let columns = [
        "\(phase)", String(Int((milliseconds[phase] ?? 0) / Double(Self.rounds))), String(total), quantile(found, total, 0.5),
        quantile(found, total, 0.999), quantile(found, total, 0.99999), String(found.lastIndex { $0 > 0 } ?? 0),
        String(found.dropFirst(101).reduce(0, +)), String(preemptions[phase.rawValue]),
      ]
      print("| " + columns.joined(separator: " | ") + " |")
    }
  }

  private func quantile(_ found: UnsafeBufferPointer<UInt64>, _ total: UInt64, _ share: Double) -> String {
    var seen: UInt64 = 0
    for (microseconds, count) in found.enumerated() {
      seen += count
      if Double(seen) >= Double(total) * share { return String(microseconds) }
    }
    return "-"
  }
}
