// Publisher+Counters: publishes the counters of bindings.

import OVSDBClient
import VTEP

extension Publisher {
  /// A row of Logical_Binding_Stats for each binding, in `vlan_stats` of its port. Counters continue from an existing row: a
  /// restart of vtepd neither resets nor rewrites them.
  mutating func publishCounters(_ counters: Counters, _ plan: inout Plan) {
    guard let own = plan.replica.physicalSwitch(named: plan.state.name) else { return }
    var seen: Set<RowID> = []
    for port in plan.replica.ports(of: own) {
      let bindings = counters.filter { $0.key.port == port.name }.sorted { $0.key < $1.key }
      var references = port.vlanStats.filter { counters[.init(port: port.name, vlan: $0.key)] != nil }.mapValues(OVSDBAtom.uuid)
      var isChanged = references.count != port.vlanStats.count
      for (binding, traffic) in bindings {
        let vlan = binding.vlan
        if let id = port.vlanStats[vlan],
          let row = plan.replica.one(HardwareVTEP.LogicalBindingStats.self, in: .logicalBindingStats, id)
        {
          seen.insert(id)
          var before = countersBefore[id] ?? SwitchState.Traffic(row) - traffic
          if newCounters.remove(binding) != nil { before = SwitchState.Traffic() }
          // The binding was deleted and re-created in the meantime.
          if (before + traffic).packetsFromLocal < row.packetsFromLocal || (before + traffic).packetsToLocal < row.packetsToLocal {
            before = SwitchState.Traffic(row) - traffic
          }
          countersBefore[id] = before
          plan.add(row.update(to: HardwareVTEP.LogicalBindingStats(id, before + traffic), in: .logicalBindingStats))
        } else {
          let reference = "stats\(plan.operations.count)"
          let row = HardwareVTEP.LogicalBindingStats(.zero, traffic)
          plan.add(row.insertion(into: .logicalBindingStats, name: reference))
          references[vlan] = .named(reference)
          newCounters.insert(binding)
          isChanged = true
        }
      }
      guard isChanged else { continue }
      let map = OVSDBDatum(map: references.map { OVSDBDatum.Pair(key: .integer(Int64($0.key)), value: $0.value) })
      plan.add(.update(table: HardwareVTEP.Table.physicalPort.rawValue, where: [.row(port.id)], row: ["vlan_stats": map]))
    }
    countersBefore = countersBefore.filter { seen.contains($0.key) }
  }
}

extension SwitchState.Traffic {
  fileprivate init(_ row: HardwareVTEP.LogicalBindingStats) {
    self.init(
      packetsFromLocal: row.packetsFromLocal, bytesFromLocal: row.bytesFromLocal, packetsToLocal: row.packetsToLocal,
      bytesToLocal: row.bytesToLocal)
  }

  fileprivate static func + (left: Self, right: Self) -> Self {
    Self(
      packetsFromLocal: left.packetsFromLocal &+ right.packetsFromLocal, bytesFromLocal: left.bytesFromLocal &+ right.bytesFromLocal,
      packetsToLocal: left.packetsToLocal &+ right.packetsToLocal, bytesToLocal: left.bytesToLocal &+ right.bytesToLocal)
  }

  fileprivate static func - (left: Self, right: Self) -> Self {
    Self(
      packetsFromLocal: left.packetsFromLocal &- right.packetsFromLocal, bytesFromLocal: left.bytesFromLocal &- right.bytesFromLocal,
      packetsToLocal: left.packetsToLocal &- right.packetsToLocal, bytesToLocal: left.bytesToLocal &- right.bytesToLocal)
  }
}

extension HardwareVTEP.LogicalBindingStats {
  fileprivate init(_ id: RowID, _ traffic: SwitchState.Traffic) {
    self.init(
      id: id, bytesFromLocal: traffic.bytesFromLocal, packetsFromLocal: traffic.packetsFromLocal, bytesToLocal: traffic.bytesToLocal,
      packetsToLocal: traffic.packetsToLocal)
  }
}
