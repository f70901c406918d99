// PolicyState: a port's policy state between bursts, in memory that outlives snapshots, so that an unrelated change does not
// refill its buckets.

import CDPDK
import MACTable

/// Token buckets of one port, and addresses on their way into the MAC table. The workers that serve the port's queues share
/// it and take `lock` once per burst: limits apply to the port, however its frames are spread.
struct PolicyState {
  var lock: UInt32 = 0
  /// Workers' clocks differ slightly; a bucket's clock must never go back.
  var latestCycles: UInt64
  var ingressBytes: rte_meter_srtcm
  var ingressPackets: rte_meter_srtcm
  var egressBytes: rte_meter_srtcm
  var egressPackets: rte_meter_srtcm
  var storm: StormMeters
  /// ICMP errors to its guests about packets that are too big for their path.
  var tooBigReplies: rte_meter_srtcm

  /// Sources admitted below `mac-limit` that the learner may not have entered yet.
  let pending: UnsafeMutablePointer<MACKey>
  var pendingCount = 0
  /// When the last of them was admitted.
  var pendingSince: UInt64 = 0

  /// Further new sources before the next check of the table are refused: they will send again.
  static let pendingCapacity = 64

  /// ICMP errors per port and second, and at once (RFC 1812 section 4.3.2.8, RFC 4443 section 2.4 f). Behind a port may be a host with
  /// hundreds of containers, each of which needs an error for each of its peers.
  static let tooBigReplyRate = MeterRate(unitsPerSecond: 100, burst: 100)

  private init(pending: UnsafeMutablePointer<MACKey>, now: UInt64) {
    self.pending = pending
    latestCycles = now
    ingressBytes = .full(now: now)
    ingressPackets = .full(now: now)
    egressBytes = .full(now: now)
    egressPackets = .full(now: now)
    storm = StormMeters(now: now)
    tooBigReplies = .full(now: now)
  }

  /// For a port that is new at its index, and not yet visible to any worker.
  ///
  /// - Parameter now: time-stamp counter.
  mutating func reset(now: UInt64) {
    self = PolicyState(pending: pending, now: now)
  }

  /// Becomes what another state is at this moment, so that a question to this one takes nothing from the other.
  mutating func imitate(_ other: UnsafeMutablePointer<PolicyState>) {
    cdpdk_spin_lock(&other.pointee.lock)
    latestCycles = other.pointee.latestCycles
    ingressBytes = other.pointee.ingressBytes
    ingressPackets = other.pointee.ingressPackets
    egressBytes = other.pointee.egressBytes
    egressPackets = other.pointee.egressPackets
    storm = other.pointee.storm
    tooBigReplies = other.pointee.tooBigReplies
    pending.update(from: other.pointee.pending, count: other.pointee.pendingCount)
    pendingCount = other.pointee.pendingCount
    pendingSince = other.pointee.pendingSince
    cdpdk_spin_unlock(&other.pointee.lock)
  }

  /// One per port.
  static func allocate() -> UnsafeMutablePointer<PolicyState> {
    let states = UnsafeMutablePointer<PolicyState>.allocate(capacity: Limits.ports)
    let pending = UnsafeMutablePointer<MACKey>.allocate(capacity: Limits.ports * pendingCapacity)
    pending.initialize(repeating: MACKey(domain: 0, mac: .zero), count: Limits.ports * pendingCapacity)
    for port in 0..<Limits.ports { (states + port).initialize(to: PolicyState(pending: pending + port * pendingCapacity, now: 0)) }
    return states
  }
}
