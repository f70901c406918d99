// DatabaseFaults: the requests in the database that cannot be carried out, sorted by the schema's columns for reporting them
// (vtep(5), "Error Notification"). Always rebuilt from the current state: a fault disappears with its cause.

import OVSDBClient

struct DatabaseFaults: Equatable, Sendable {
  /// `Physical_Switch.switch_fault_status`
  var ofSwitch: Set<HardwareVTEP.SwitchFault> = []
  /// `Physical_Port.port_fault_status`, by port name.
  var ofPorts: [String: Set<HardwareVTEP.PortFault>] = [:]
  /// `Logical_Router.LR_fault_status`, by name, of each router that concerns us; most have none.
  var ofRouters: [String: Set<String>] = [:]
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

  mutating func report(router: String, _ message: String) {
    ofRouters[router, default: []].insert("unspecified_fault")
    messages.insert("logical router '\(router)': \(message)")
  }

  /// The union of both.
  func union(_ other: DatabaseFaults) -> DatabaseFaults {
    DatabaseFaults(
      ofSwitch: ofSwitch.union(other.ofSwitch), ofPorts: ofPorts.merging(other.ofPorts) { $0.union($1) },
      ofRouters: ofRouters.merging(other.ofRouters) { $0.union($1) },
      acls: acls.union(other.acls), messages: messages.union(other.messages))
  }
}
