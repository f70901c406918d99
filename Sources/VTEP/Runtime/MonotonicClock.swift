// MonotonicClock: seconds for MAC ages and holds.

import Glibc

/// Seconds that never go back.
public enum MonotonicClock {
  /// For MAC ages.
  public static func seconds() -> UInt32 { UInt32(truncatingIfNeeded: time().tv_sec) }

  static func preciseSeconds() -> Double {
    let time = time()
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  static func microseconds() -> UInt64 {
    let time = time()
    return UInt64(time.tv_sec) * 1_000_000 + UInt64(time.tv_nsec) / 1000
  }

  private static func time() -> timespec {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now
  }
}
