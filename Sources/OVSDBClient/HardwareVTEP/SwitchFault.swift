// SwitchFault: the values of `switch_fault_status` (vtep(5), table Physical_Switch). Controllers refuse to use a faulty switch, so
// a fault must be cleared as soon as its cause is gone.

extension HardwareVTEP {
  /// A condition of the whole switch.
  public enum SwitchFault: String, Sendable, CaseIterable {
    case macTableExhaustion = "mac_table_exhaustion"
    case tunnelExhaustion = "tunnel_exhaustion"
    case routerSwitchBindings = "lr_switch_bindings_fault"
    case routerStaticRoutes = "lr_static_routes_fault"
    case routerCreation = "lr_creation_fault"
    case routerSupport = "lr_support_fault"
    case unspecified = "unspecified_fault"
    case unsupportedSourceNodeReplication = "unsupported_source_node_replication"
  }
}
