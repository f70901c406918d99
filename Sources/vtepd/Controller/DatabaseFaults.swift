// DatabaseFaults: the requests in the database that cannot be carried out, sorted by the schema's columns for reporting them
// (vtep(5), "Error Notification"). Always rebuilt from the current state: a fault disappears with its cause. Each goes to the
// narrowest column: networking-l2gw connects nothing new to a switch with a fault, and nothing to a port with one.

import OVSDBClient

struct DatabaseFaults: Equatable, Sendable {
  /// `Physical_Switch.switch_fault_status`
  var ofSwitch: Set<HardwareVTEP.SwitchFault> = []
  /// `Physical_Port.port_fault_status`, by port name.
  var ofPorts: [String: Set<HardwareVTEP.PortFault>] = [:]
  /// Logical switches with rows that cannot be used, for which the schema has no column: faults of the ports bound to them.
  var networks: Set<RowID> = []
  /// `Logical_Router.LR_fault_status`, by name, of each router that concerns us; most have none.
  var ofRouters: [String: Set<String>] = [:]
  /// `ACL.acl_fault_status` and `ACL_entry.acle_fault_status` of the rows that concern us; empty: there is no fault.
  var acls: [RowID: Set<String>] = [:]
  var aclEntries: [RowID: Set<String>] = [:]
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

  mutating func report(router: String, fault: String = "unspecified_fault", _ message: String) {
    ofRouters[router, default: []].insert(fault)
    messages.insert("logical router '\(router)': \(message)")
  }

  /// A fault of each router that has been read: of a row whose own table has no column for faults.
  mutating func report(allRouters message: String) {
    for name in ofRouters.keys { ofRouters[name]?.insert("unspecified_fault") }
    messages.insert(message)
  }

  /// A contradiction within one logical switch.
  mutating func report(network: RowID, _ message: String) {
    networks.insert(network)
    messages.insert(message)
  }

  /// Passes the faults of logical switches on to their ports. Without a port here, they are only told.
  ///
  /// - Parameter ports: our ports by the logical switches that they are bound to.
  mutating func attribute(to ports: [RowID: Set<String>]) {
    for network in networks {
      for port in ports[network] ?? [] { ofPorts[port, default: []].insert(.unspecified) }
    }
  }

  /// The union of both.
  func union(_ other: DatabaseFaults) -> DatabaseFaults {
    DatabaseFaults(
      ofSwitch: ofSwitch.union(other.ofSwitch), ofPorts: ofPorts.merging(other.ofPorts) { $0.union($1) },
      networks: networks.union(other.networks), ofRouters: ofRouters.merging(other.ofRouters) { $0.union($1) },
      acls: acls.merging(other.acls) { $0.union($1) }, aclEntries: aclEntries.merging(other.aclEntries) { $0.union($1) },
      messages: messages.union(other.messages))
  }
}
