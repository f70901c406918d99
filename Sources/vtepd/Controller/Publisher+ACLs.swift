// Publisher+ACLs: `acl_fault_status` and `acle_fault_status`: what of the controller's access control lists cannot be done. Set and cleared
// in the rows that concern us, and cleared in those that no longer do, if the fault was ours.

import OVSDBClient

extension Publisher {
  mutating func publishACLFaults(_ plan: inout Plan) {
    let faults = plan.state.faults
    for (id, texts) in faults.acls.merging(reportedACLs.map { ($0, []) }, uniquingKeysWith: { first, _ in first })
      .sorted(by: { $0.key < $1.key })
    {
      guard let row = plan.replica.one(HardwareVTEP.ACL.self, in: .acl, id) else { continue }
      var new = row
      new.faults = texts
      plan.add(row.update(to: new, in: .acl))
    }
    for (id, texts) in faults.aclEntries.merging(reportedACLEntries.map { ($0, []) }, uniquingKeysWith: { first, _ in first })
      .sorted(by: { $0.key < $1.key })
    {
      guard let row = plan.replica.one(HardwareVTEP.ACLEntry.self, in: .aclEntry, id) else { continue }
      var new = row
      new.faults = texts
      plan.add(row.update(to: new, in: .aclEntry))
    }
    reportedACLs = Set(faults.acls.filter { !$0.value.isEmpty }.keys)
    reportedACLEntries = Set(faults.aclEntries.filter { !$0.value.isEmpty }.keys)
  }
}
