// Publisher+Faults: `LR_fault_status`, `acl_fault_status` and `acle_fault_status` (vtep(5), "Error Notification") of the rows that concern
// us, cleared with the cause, and when a row no longer concerns us. Several switches of one database may write them: none of them removes
// what another one has reported, or they would overwrite each other for ever.

import OVSDBClient

extension Publisher {
  mutating func publishFaults(_ plan: inout Plan) {
    var found = plan.state.faults.acls.merging(plan.state.faults.aclEntries) { first, _ in first }
    for row in plan.replica.all(HardwareVTEP.LogicalRouter.self, in: .logicalRouter).values {
      found[row.id] = plan.state.faults.ofRouters[row.name]
    }
    let isAlone = plan.replica.rows(HardwareVTEP.Table.physicalSwitch.rawValue).count <= 1
    for id in Set(found.keys).union(reportedFaults.keys).sorted() {
      /// Rows are of one of three tables.
      func write<Row: HardwareVTEPRow>(_ type: Row.Type, _ table: HardwareVTEP.Table, _ faults: WritableKeyPath<Row, Set<String>>) {
        guard let row = plan.replica.one(type, in: table, id) else { return }
        let there = row[keyPath: faults]
        // What is there when we first see the row may be from before our start. If it is another switch's, that writes it again.
        let ours = isAlone ? there : reportedFaults[id] ?? there
        var new = row
        new[keyPath: faults] = there.subtracting(ours).union(found[id] ?? [])
        plan.add(row.update(to: new, in: table))
      }
      write(HardwareVTEP.ACL.self, .acl, \.faults)
      write(HardwareVTEP.ACLEntry.self, .aclEntry, \.faults)
      write(HardwareVTEP.LogicalRouter.self, .logicalRouter, \.faults)
    }
    reportedFaults = found
  }
}
