// PortFault: the values of `port_fault_status` (vtep(5), table Physical_Port).

extension HardwareVTEP {
  /// A condition of one port.
  public enum PortFault: String, Sendable, CaseIterable {
    case invalidVLANMap = "invalid_vlan_map"
    case invalidACLBinding = "invalid_ACL_binding"
    case unspecified = "unspecified_fault"
  }
}
