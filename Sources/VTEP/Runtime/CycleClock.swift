// CycleClock: the time of day at which a worker read the processor's time-stamp counter. DPDK's idea of that counter's frequency is rounded;
// what has passed since the start tells it exactly.

import CDPDK
import Glibc

/// The time of day by the time-stamp counter, at one moment.
struct CycleClock {
  private static let origin = (cycles: cdpdk_cycles(), nanoseconds: read(CLOCK_MONOTONIC))

  private let cycles: UInt64
  private let nanoseconds: UInt64
  private let nanosecondsPerCycle: Double

  init() {
    let origin = Self.origin
    let passed = Self.read(CLOCK_MONOTONIC) &- origin.nanoseconds
    cycles = cdpdk_cycles()
    nanoseconds = Self.read(CLOCK_REALTIME)
    let isLong = passed > 1_000_000_000 && cycles > origin.cycles
    nanosecondsPerCycle = isLong ? Double(passed) / Double(cycles - origin.cycles) : 1e9 / Double(cdpdk_cycles_per_second())
  }

  /// Begins to measure. The earlier, the more exact.
  static func start() { _ = origin }

  /// Nanoseconds since 1970, UTC.
  func nanoseconds(at past: UInt64) -> UInt64 {
    guard cycles > past else { return nanoseconds }
    return nanoseconds &- UInt64(min(Double(cycles - past) * nanosecondsPerCycle, Double(nanoseconds)))
  }

  private static func read(_ clock: clockid_t) -> UInt64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}
