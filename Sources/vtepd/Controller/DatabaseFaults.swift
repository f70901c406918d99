// DatabaseFaults: what in the database cannot be carried out, sorted by the columns in which the schema has it told
// (vtep(5), "Error Notification"). Always made anew from what is so now: a fault goes with its cause.

import OVSDBClient

struct DatabaseFaults: Equatable, Sendable {
  /// `Physical_Switch.switch_fault_status`
  var ofSwitch: Set<HardwareVTEP.SwitchFault> = []
  /// `Physical_Port.port_fault_status`, by port name.
  var ofPorts: [String: Set<HardwareVTEP.PortFault>] = [:]
  /// Rows of Logical_Router that concern us: we do not route.
  var routers: Set<RowID> = []
  /// Those of them with ACL bindings.
  var routersWithACLs: Set<RowID> = []
  /// Rows of ACL that our ports refer to: we do not filter.
  var acls: Set<RowID> = []
  /// Rows of Tunnel of ours for which BFD is asked: we do not speak it.
  var tunnels: Set<RowID> = []
  /// For the log: one sentence for each fault, without final stop.
  var messages: Set<String> = []

  mutating func report(_ fault: HardwareVTEP.SwitchFault, _ message: String) {
    ofSwitch.insert(fault)
    messages.insert(message)
  }

  mutating func report(_ fault: HardwareVTEP.PortFault, port: String, _ message: String) {
    ofPorts[port, default: []].insert(fault)
    messages.insert("port \(port): \(message)")
  }

  /// These and others.
  func union(_ other: DatabaseFaults) -> DatabaseFaults {
    DatabaseFaults(
      ofSwitch: ofSwitch.union(other.ofSwitch), ofPorts: ofPorts.merging(other.ofPorts) { $0.union($1) },
      routers: routers.union(other.routers), routersWithACLs: routersWithACLs.union(other.routersWithACLs),
      acls: acls.union(other.acls), tunnels: tunnels.union(other.tunnels), messages: messages.union(other.messages))
  }
}
