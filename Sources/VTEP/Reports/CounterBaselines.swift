// CounterBaselines: an index may have had another owner before; what it counted then is subtracted. What an earlier run of the daemon has
// counted is added.

import CDPDK
import Encap
import MACTable

struct CounterBaselines {
  private var ports: [PortIndex: TrafficReport] = [:]
  private var portDrops: [PortIndex: [UInt64]] = [:]
  private var bindings: [UInt32: TrafficReport] = [:]
  private var vteps: [VTEPIndex: TrafficReport] = [:]
  private var routed: [UInt16: TrafficReport] = [:]
  private var domainDrops: [DomainIndex: [UInt64]] = [:]
  private var vtepDrops: [VTEPIndex: [UInt64]] = [:]
  private var aclEntries: [UInt32: (packets: UInt64, bytes: UInt64)] = [:]
  /// Time-stamp counter when a port got its index.
  private(set) var portTimes: [PortIndex: UInt64] = [:]
  private var domains: [DomainIndex: (traffic: TrafficReport, flooded: UInt64, storms: [UInt64])] = [:]
  private var neighbors: [DomainIndex: NeighborCounts] = [:]
  /// What an earlier run has counted of an uplink's NIC or tap, and where it dropped frames.
  private(set) var earlierUplinks: [PortIndex: EarlierUplink] = [:]
  /// By reason, in order of raw values; empty: nothing.
  private var earlierDropTotals: [UInt64] = []

  /// By raw values, of what has no baseline of its own.
  struct EarlierUplink {
    var ignored: [UInt64]
    var passed: [UInt64]
    var limited: [UInt64]
    var missed: UInt64
  }

  mutating func reset(port index: PortIndex, counters: [WorkerCounters]) {
    ports[index] = Self.sum(counters) { $0.ports + Int(index) }
    portDrops[index] = Self.drops(index, counters)
    portTimes[index] = cdpdk_cycles()
  }

  /// - Parameter vlan: 0 = untagged.
  mutating func reset(port index: PortIndex, vlan: UInt16, counters: [WorkerCounters]) {
    let counted = Self.sum(counters) { $0.binding(port: index, vlan: vlan) }
    bindings[UInt32(index.rawValue) << 12 | UInt32(vlan)] = counted == TrafficReport() ? nil : counted
  }

  mutating func reset(routerInterface index: UInt16, counters: [WorkerCounters]) {
    routed[index] = Self.sum(counters) { $0.routed + Int(index) }
  }

  mutating func reset(vtep index: VTEPIndex, counters: [WorkerCounters]) {
    vteps[index] = Self.sum(counters) { $0.vteps + Int(index) }
    let drops = Self.drops(counters) { $0.drop(vtep: index, $1) }
    vtepDrops[index] = drops.allSatisfy { $0 == 0 } ? nil : drops
  }

  mutating func reset(domain index: DomainIndex, counters: [WorkerCounters]) {
    domains[index] = (
      Self.sum(counters) { $0.domains + Int(index) }, Self.flooded(index, counters), Self.stormDrops(index, counters)
    )
    let counted = Self.neighbors(index, counters)
    neighbors[index] = counted == NeighborCounts() ? nil : counted
    let drops = Self.drops(counters) { $0.drop(domain: index, $1) }
    domainDrops[index] = drops.allSatisfy { $0 == 0 } ? nil : drops
  }

  /// - Parameter slots: of `ACLVerdict`.
  mutating func reset(aclEntries slots: [UInt32], counters: [WorkerCounters]) {
    for slot in slots {
      let counted = Self.sum(aclEntry: slot, counters)
      aclEntries[slot] = counted.packets == 0 ? nil : counted
    }
  }

  // -- counts of an earlier run ------------------------------------------------------------------------------------------
  // Called once for each, after `reset`.

  /// - Parameter drops: by reason, in order of raw values.
  mutating func add(port index: PortIndex, _ traffic: TrafficReport, drops: [UInt64]) {
    ports[index] = (ports[index] ?? TrafficReport()) - traffic
    portDrops[index] = Self.difference(portDrops[index] ?? drops.map { _ in 0 }, drops)
  }

  mutating func add(port index: PortIndex, vlan: UInt16, _ traffic: TrafficReport) {
    let key = UInt32(index.rawValue) << 12 | UInt32(vlan)
    bindings[key] = (bindings[key] ?? TrafficReport()) - traffic
  }

  mutating func add(vtep index: VTEPIndex, _ traffic: TrafficReport, drops: [UInt64]) {
    vteps[index] = (vteps[index] ?? TrafficReport()) - traffic
    vtepDrops[index] = Self.difference(vtepDrops[index] ?? drops.map { _ in 0 }, drops)
  }

  mutating func add(
    domain index: DomainIndex, _ traffic: TrafficReport, flooded: UInt64, storms: [UInt64], drops: [UInt64],
    neighbors counts: NeighborCounts
  ) {
    guard let before = domains[index] else { return }
    domains[index] = (before.traffic - traffic, before.flooded &- flooded, Self.difference(before.storms, storms))
    domainDrops[index] = Self.difference(domainDrops[index] ?? drops.map { _ in 0 }, drops)
    neighbors[index] = (neighbors[index] ?? NeighborCounts()) - counts
  }

  mutating func add(routerInterface index: UInt16, _ traffic: TrafficReport) {
    routed[index] = (routed[index] ?? TrafficReport()) - traffic
  }

  mutating func add(aclEntry slot: UInt32, _ count: ACLCount) {
    let before = aclEntries[slot] ?? (0, 0)
    aclEntries[slot] = (before.packets &- count.packets, before.bytes &- count.bytes)
  }

  mutating func add(uplink index: PortIndex, _ earlier: EarlierUplink) { earlierUplinks[index] = earlier }

  mutating func add(dropTotals: [UInt64]) { earlierDropTotals = dropTotals }

  // -- reports -----------------------------------------------------------------------------------------------------------

  /// In all places, those that are gone included.
  func dropTotal(_ reason: DropReason, _ counters: [WorkerCounters]) -> UInt64 {
    let earlier = earlierDropTotals.isEmpty ? 0 : earlierDropTotals[Int(reason.rawValue)]
    return counters.reduce(earlier) { sum, worker in
      (0..<Limits.ports).reduce(sum) { $0 &+ worker.drop(port: PortIndex(rawValue: UInt16($1)), reason).pointee.value }
    }
  }

  func ignored(port index: PortIndex, _ cause: IgnoredCause, _ counters: [WorkerCounters]) -> UInt64 {
    let earlier = earlierUplinks[index]?.ignored[Int(cause.rawValue)] ?? 0
    return counters.reduce(earlier) { $0 &+ $1.ignored(port: index, cause).pointee.value }
  }

  /// Frames of a class from a NIC to its tap, or from the tap.
  func passed(port index: PortIndex, _ kind: HostFrameClass, _ counters: [WorkerCounters]) -> UInt64 {
    let earlier = earlierUplinks[index]?.passed[Int(kind.rawValue)] ?? 0
    return counters.reduce(earlier) { $0 &+ $1.hostFrames(port: index, kind).pointee.value }
  }

  /// Those that exceeded the limit of their class.
  func limited(port index: PortIndex, _ kind: HostFrameClass, _ counters: [WorkerCounters]) -> UInt64 {
    let earlier = earlierUplinks[index]?.limited[Int(kind.rawValue)] ?? 0
    return counters.reduce(earlier) { $0 &+ $1.hostDrops(port: index, kind).pointee.value }
  }

  func traffic(port index: PortIndex, _ counters: [WorkerCounters]) -> TrafficReport {
    Self.sum(counters) { $0.ports + Int(index) } - (ports[index] ?? TrafficReport())
  }

  func traffic(port index: PortIndex, vlan: UInt16, _ counters: [WorkerCounters]) -> TrafficReport {
    Self.sum(counters) { $0.binding(port: index, vlan: vlan) } - (bindings[UInt32(index.rawValue) << 12 | UInt32(vlan)] ?? TrafficReport())
  }

  func traffic(vtep index: VTEPIndex, _ counters: [WorkerCounters]) -> TrafficReport {
    Self.sum(counters) { $0.vteps + Int(index) } - (vteps[index] ?? TrafficReport())
  }

  func traffic(domain index: DomainIndex, _ counters: [WorkerCounters]) -> TrafficReport {
    Self.sum(counters) { $0.domains + Int(index) } - (domains[index]?.traffic ?? TrafficReport())
  }

  func traffic(routerInterface index: UInt16, _ counters: [WorkerCounters]) -> TrafficReport {
    Self.sum(counters) { $0.routed + Int(index) } - (routed[index] ?? TrafficReport())
  }

  func flooded(domain index: DomainIndex, _ counters: [WorkerCounters]) -> UInt64 {
    Self.flooded(index, counters) &- (domains[index]?.flooded ?? 0)
  }

  func neighbors(domain index: DomainIndex, _ counters: [WorkerCounters]) -> NeighborCounts {
    Self.neighbors(index, counters) - (neighbors[index] ?? NeighborCounts())
  }

  /// Per class of flooded frames, in order of raw values.
  func stormDrops(domain index: DomainIndex, _ counters: [WorkerCounters]) -> [UInt64] {
    Self.difference(Self.stormDrops(index, counters), domains[index]?.storms)
  }

  /// Frames that an entry of an access control list has matched, and their octets.
  func matched(aclEntry slot: UInt32, _ counters: [WorkerCounters]) -> (packets: UInt64, bytes: UInt64) {
    let (now, before) = (Self.sum(aclEntry: slot, counters), aclEntries[slot] ?? (0, 0))
    return (now.packets &- before.packets, now.bytes &- before.bytes)
  }

  private static func sum(aclEntry slot: UInt32, _ counters: [WorkerCounters]) -> (packets: UInt64, bytes: UInt64) {
    counters.reduce((0, 0)) { sum, worker in
      let entry = worker.aclEntries + Int(slot)
      return (sum.0 &+ entry.pointee.packets.value, sum.1 &+ entry.pointee.bytes.value)
    }
  }

  /// Per drop reason, in order of raw values.
  func drops(port index: PortIndex, _ counters: [WorkerCounters]) -> [UInt64] {
    Self.difference(Self.drops(index, counters), portDrops[index])
  }

  func drops(domain index: DomainIndex, _ counters: [WorkerCounters]) -> [UInt64] {
    Self.difference(Self.drops(counters) { $0.drop(domain: index, $1) }, domainDrops[index])
  }

  func drops(vtep index: VTEPIndex, _ counters: [WorkerCounters]) -> [UInt64] {
    Self.difference(Self.drops(counters) { $0.drop(vtep: index, $1) }, vtepDrops[index])
  }

  private static func difference(_ now: [UInt64], _ before: [UInt64]?) -> [UInt64] {
    guard let before else { return now }
    return zip(now, before).map { $0 &- $1 }
  }

  private static func drops(_ index: PortIndex, _ counters: [WorkerCounters]) -> [UInt64] {
    drops(counters) { $0.drop(port: index, $1) }
  }

  private static func drops(
    _ counters: [WorkerCounters], _ at: (WorkerCounters, DropReason) -> UnsafeMutablePointer<Counter>
  ) -> [UInt64] {
    DropReason.allCases.map { reason in counters.reduce(0) { $0 &+ at($1, reason).pointee.value } }
  }

  private static func stormDrops(_ index: DomainIndex, _ counters: [WorkerCounters]) -> [UInt64] {
    FloodClass.allCases.map { flood in
      counters.reduce(0) { $0 &+ $1.stormDrops(domain: index, flood).pointee.value }
    }
  }

  private static func flooded(_ index: DomainIndex, _ counters: [WorkerCounters]) -> UInt64 {
    counters.reduce(0) { $0 &+ ($1.flooded + Int(index)).pointee.value }
  }

  private static func neighbors(_ index: DomainIndex, _ counters: [WorkerCounters]) -> NeighborCounts {
    counters.reduce(NeighborCounts()) { sum, worker in
      sum
        + NeighborCounts(
          answers: worker.neighborAnswers[Int(index)].value, passes: worker.neighborPasses[Int(index)].value)
    }
  }

  private static func sum(
    _ counters: [WorkerCounters], _ at: (WorkerCounters) -> UnsafeMutablePointer<TrafficCounters>
  ) -> TrafficReport {
    counters.reduce(into: TrafficReport()) { sum, worker in
      let memory = at(worker)
      sum.rxPackets &+= memory.pointee.rxPackets.value
      sum.rxBytes &+= memory.pointee.rxBytes.value
      sum.txPackets &+= memory.pointee.txPackets.value
      sum.txBytes &+= memory.pointee.txBytes.value
    }
  }
}

extension TrafficReport {
  public static func + (left: TrafficReport, right: TrafficReport) -> TrafficReport {
    TrafficReport(
      rxPackets: left.rxPackets &+ right.rxPackets, rxBytes: left.rxBytes &+ right.rxBytes,
      txPackets: left.txPackets &+ right.txPackets, txBytes: left.txBytes &+ right.txBytes)
  }

  static func - (left: TrafficReport, right: TrafficReport) -> TrafficReport {
    TrafficReport(
      rxPackets: left.rxPackets &- right.rxPackets, rxBytes: left.rxBytes &- right.rxBytes,
      txPackets: left.txPackets &- right.txPackets, txBytes: left.txBytes &- right.txBytes)
  }
}
