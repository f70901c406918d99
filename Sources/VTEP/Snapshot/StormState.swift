// StormState: the token buckets of storm control. They are outside the snapshots, so that an unrelated change does not refill
// them.

import CDPDK

/// The buckets.
struct StormMeters {
  var broadcast: rte_meter_srtcm
  var unknownUnicast: rte_meter_srtcm
  var unknownMulticast: rte_meter_srtcm

  init(now: UInt64) {
    broadcast = .full(now: now)
    unknownUnicast = .full(now: now)
    unknownMulticast = .full(now: now)
  }
}

/// A domain's storm control state between bursts. All workers share it: the limit applies to the VNI, wherever its frames come
/// from.
struct StormState {
  var lock: UInt32 = 0
  /// Workers' clocks differ slightly; a bucket's clock must never go back.
  var latestCycles: UInt64
  var meters: StormMeters

  init(now: UInt64) {
    latestCycles = now
    meters = StormMeters(now: now)
  }

  /// Becomes what another state is at this moment, so that a question to this one takes nothing from the other.
  mutating func imitate(_ other: UnsafeMutablePointer<StormState>) {
    cdpdk_spin_lock(&other.pointee.lock)
    latestCycles = other.pointee.latestCycles
    meters = other.pointee.meters
    cdpdk_spin_unlock(&other.pointee.lock)
  }

  /// One per domain.
  static func allocate() -> UnsafeMutablePointer<StormState> {
    let states = UnsafeMutablePointer<StormState>.allocate(capacity: Limits.domains)
    states.initialize(repeating: StormState(now: 0), count: Limits.domains)
    return states
  }
}

extension rte_meter_srtcm {
  /// Full, whatever the bucket's size: the meter clamps it.
  static func full(now: UInt64) -> rte_meter_srtcm {
    rte_meter_srtcm(time: now, tc: .max / 2, te: 0)
  }
}
