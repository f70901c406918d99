// RateEntry: rate limits in the form of DPDK's meter (RFC 2697).

import CDPDK
import Encap

/// A rate in the form of DPDK's meter: a token bucket (RFC 2697 without an excess bucket).
struct MeterRate {
  private(set) var profile = rte_meter_srtcm_profile()

  var isSet: Bool { profile.cir_period != 0 }

  /// - Parameters:
  ///   - unitsPerSecond: bytes or packets; 0: no limit.
  ///   - burst: units that may pass at once after an idle period.
  init(unitsPerSecond: UInt64, burst: UInt64) {
    guard unitsPerSecond > 0 else { return }
    var parameters = rte_meter_srtcm_params(cir: unitsPerSecond, cbs: max(burst, 1), ebs: 0)
    let code = rte_meter_srtcm_profile_config(&profile, &parameters)
    precondition(code == 0, "a rate and a burst above zero are all that a meter asks for")
  }

  static let none = MeterRate(unitsPerSecond: 0, burst: 0)

  /// Takes tokens from a bucket if it has enough.
  ///
  /// - Parameter now: time-stamp counter; never less than at the call before.
  func admits(_ units: UInt32, _ meter: inout rte_meter_srtcm, now: UInt64) -> Bool {
    withUnsafePointer(to: profile) { cdpdk_meter_conforms(&meter, $0, now, units) != 0 }
  }
}

/// A limit in bits and one in packets.
struct RateEntry {
  var bytes = MeterRate.none
  var packets = MeterRate.none

  init() {}

  /// The burst is a tenth of a second's worth, but at least one frame of the maximum length.
  init(_ rate: PortPolicy.Rate) {
    let bytesPerSecond = rate.bits == 0 ? 0 : max(rate.bits / 8, 1)
    bytes = MeterRate(unitsPerSecond: bytesPerSecond, burst: max(bytesPerSecond / 10, Self.largestFrame))
    packets = MeterRate(unitsPerSecond: rate.packets, burst: max(rate.packets / 10, Self.largestFramePackets))
  }

  /// A TCP segment of 64 KiB with its headers.
  private static let largestFrame: UInt64 = 65_536 + 64
  /// The packets that it becomes with the usual MTU, and some spare.
  private static let largestFramePackets: UInt64 = 64
}
