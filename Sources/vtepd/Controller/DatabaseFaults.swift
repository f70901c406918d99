// DatabaseFaults: the requests in the database that cannot be carried out, sorted by the schema's columns for reporting them
// (vtep(5), "Error Notification"). Always rebuilt from the current state: a fault disappears with its cause.

import OVSDBClient

struct DatabaseFaults: Equatable, Sendable {
  /// `Physical_Switch.switch_fault_status`
  var ofSwitch: Set<HardwareVTEP.SwitchFault> = []
  /// `Physical_Port.port_fault_status`, by port name.
  var ofPorts: [String: Set<HardwareVTEP.PortFault>] = [:]
  /// Rows of Logical_Router that concern us: routing is not supported.
  var routers: Set<RowID> = []
  /// Those with ACL bindings.
  var routersWithACLs: Set<RowID> = []
  /// Rows of ACL that our ports refer to: filtering is not supported.
  var acls: Set<RowID> = []
  /// For the log: one sentence per fault, without a full stop.
  var messages: Set<String> = []

  mutating func report(_ fault: HardwareVTEP.SwitchFault, _ message: String) {
    ofSwitch.insert(fault)
    messages.insert(message)
  }

  mutating func report(_ fault: HardwareVTEP.PortFault, port: String, _ message: String) {
    ofPorts[port, default: []].insert(fault)
    messages.insert("port \(port): \(message)")
  }

  /// The union of both.
  func union(_ other: DatabaseFaults) -> DatabaseFaults {
    DatabaseFaults(
      ofSwitch: ofSwitch.union(other.ofSwitch), ofPorts: ofPorts.merging(other.ofPorts) { $0.union($1) },
      routers: routers.union(other.routers), routersWithACLs: routersWithACLs.union(other.routersWithACLs),
      acls: acls.union(other.acls), messages: messages.union(other.messages))
  }
}
