// PolicyEntry: a port's policy as workers see it, in the snapshot beside the port's entry.

import CDPDK
import Encap

/// A rate as DPDK's meter wants it: a token bucket (RFC 2697 without an excess bucket).
struct MeterRate {
  private(set) var profile = rte_meter_srtcm_profile()

  var isSet: Bool { profile.cir_period != 0 }

  /// - Parameters:
  ///   - unitsPerSecond: bytes or packets; 0: no limit.
  ///   - burst: units that may pass at once after a pause.
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

  /// A tenth of a second's worth may pass at once, but at least one of the longest frames there are.
  init(_ rate: PortPolicy.Rate) {
    let bytesPerSecond = rate.bits == 0 ? 0 : max(rate.bits / 8, 1)
    bytes = MeterRate(unitsPerSecond: bytesPerSecond, burst: max(bytesPerSecond / 10, Self.largestFrame))
    packets = MeterRate(unitsPerSecond: rate.packets, burst: max(rate.packets / 10, Self.largestFramePackets))
  }

  /// A TCP segment of 64 KiB with its headers.
  private static let largestFrame: UInt64 = 65_536 + 64
  /// Packets that it becomes with the usual MTU, and some.
  private static let largestFramePackets: UInt64 = 64
}

/// What a port may send and receive.
struct PolicyEntry {
  var isDisabled = false
  var checksSources = false
  /// Range of `allowedSources`.
  var firstSource: UInt32 = 0
  var sourceCount: UInt32 = 0
  /// Learned addresses; 0: no limit.
  var macLimit: UInt32 = 0
  var ingress = RateEntry()
  var egress = RateEntry()
  var storm = StormEntry()

  init() {}

  init(_ settings: PortSettings) {
    let policy = settings.policy
    isDisabled = !settings.isEnabled
    checksSources = policy.hasAntiSpoofing
    macLimit = policy.macLimit
    ingress = RateEntry(policy.ingress)
    egress = RateEntry(policy.egress)
    storm = StormEntry(policy.storm)
  }
}

extension PortSettings {
  /// The flags that the port's policy asks for.
  var policyFeatures: PortFeatures {
    let policy = policy
    var features: PortFeatures = []
    if !isEnabled || policy.hasAntiSpoofing || policy.macLimit > 0 || policy.ingress.isLimited || policy.storm.isLimited {
      features.insert(.isPoliced)
    }
    if policy.egress.isLimited { features.insert(.limitsEgress) }
    return features
  }

  /// With anti-spoofing: all (VLAN, source) pairs that may come in, ascending.
  var allowedSources: [UInt64] {
    guard policy.hasAntiSpoofing else { return [] }
    return bindings.flatMap { vlan, _ in macs(vlan: vlan).map { PolicyEntry.source($0, vlan: vlan) } }.sorted()
  }
}

extension PolicyEntry {
  @inline(always)
  static func source(_ mac: MACAddress, vlan: UInt16) -> UInt64 {
    UInt64(vlan) << 48 | mac.bits
  }
}
