// CounterBaselines: an index may have had another owner before; what it counted then is subtracted.

import Encap
import MACTable

struct CounterBaselines {
  private var ports: [PortIndex: TrafficReport] = [:]
  private var portDrops: [PortIndex: [UInt64]] = [:]
  private var bindings: [UInt32: TrafficReport] = [:]
  private var vteps: [VTEPIndex: TrafficReport] = [:]
  private var domains: [DomainIndex: (traffic: TrafficReport, flooded: UInt64, storms: [UInt64])] = [:]

  mutating func reset(port index: PortIndex, counters: [WorkerCounters]) {
    ports[index] = Self.sum(counters) { $0.ports + Int(index) }
    portDrops[index] = Self.drops(index, counters)
  }

  /// - Parameter vlan: 0 = untagged.
  mutating func reset(port index: PortIndex, vlan: UInt16, counters: [WorkerCounters]) {
    let counted = Self.sum(counters) { $0.binding(port: index, vlan: vlan) }
    bindings[UInt32(index.rawValue) << 12 | UInt32(vlan)] = counted == TrafficReport() ? nil : counted
  }

  mutating func reset(vtep index: VTEPIndex, counters: [WorkerCounters]) {
    vteps[index] = Self.sum(counters) { $0.vteps + Int(index) }
  }

  mutating func reset(domain index: DomainIndex, counters: [WorkerCounters]) {
    domains[index] = (
      Self.sum(counters) { $0.domains + Int(index) }, Self.flooded(index, counters), Self.stormDrops(index, counters)
    )
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

  func flooded(domain index: DomainIndex, _ counters: [WorkerCounters]) -> UInt64 {
    Self.flooded(index, counters) &- (domains[index]?.flooded ?? 0)
  }

  /// Per class of flooded frames, in order of raw values.
  func stormDrops(domain index: DomainIndex, _ counters: [WorkerCounters]) -> [UInt64] {
    let now = Self.stormDrops(index, counters)
    guard let before = domains[index]?.storms else { return now }
    return zip(now, before).map { $0 &- $1 }
  }

  /// Per drop reason, in order of raw values.
  func drops(port index: PortIndex, _ counters: [WorkerCounters]) -> [UInt64] {
    let now = Self.drops(index, counters)
    guard let before = portDrops[index] else { return now }
    return zip(now, before).map { $0 &- $1 }
  }

  private static func drops(_ index: PortIndex, _ counters: [WorkerCounters]) -> [UInt64] {
    DropReason.allCases.map { reason in
      counters.reduce(0) { $0 &+ $1.drop(port: index, reason).pointee.value }
    }
  }

  private static func stormDrops(_ index: DomainIndex, _ counters: [WorkerCounters]) -> [UInt64] {
    FloodClass.allCases.map { flood in
      counters.reduce(0) { $0 &+ $1.stormDrops(domain: index, flood).pointee.value }
    }
  }

  private static func flooded(_ index: DomainIndex, _ counters: [WorkerCounters]) -> UInt64 {
    counters.reduce(0) { $0 &+ ($1.flooded + Int(index)).pointee.value }
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
