// StormState: the buckets of storm control. They stand outside of the snapshots, so that a change elsewhere refills none.

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

/// What workers keep about a domain's storm control between bursts. Shared by all workers: the limit is the VNI's, whatever
/// its frames come in by.
struct StormState {
  var lock: UInt32 = 0
  /// Workers' clocks differ a little; a bucket's must never go back.
  var latestCycles: UInt64
  var meters: StormMeters

  init(now: UInt64) {
    latestCycles = now
    meters = StormMeters(now: now)
  }

  /// One for each domain.
  static func allocate() -> UnsafeMutablePointer<StormState> {
    let states = UnsafeMutablePointer<StormState>.allocate(capacity: Limits.domains)
    states.initialize(repeating: StormState(now: 0), count: Limits.domains)
    return states
  }
}

extension rte_meter_srtcm {
  /// Full, whatever size the bucket gets: the meter cuts it down.
  static func full(now: UInt64) -> rte_meter_srtcm {
    rte_meter_srtcm(time: now, tc: .max / 2, te: 0)
  }
}
