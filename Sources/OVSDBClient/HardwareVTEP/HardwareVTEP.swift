// HardwareVTEP: the schema for hardware and software VTEPs (vtep(5), versions 1.3 to 1.7) as typed rows, one file per table.
// Columns that a version lacks read as empty; OVSDBOperation.fitted(to:) omits them when writing.

/// The database `hardware_vtep`.
public enum HardwareVTEP {
  /// The database's name.
  public static let database = "hardware_vtep"

  /// Its tables.
  public enum Table: String, Sendable, CaseIterable {
    case global = "Global"
    case manager = "Manager"
    case physicalSwitch = "Physical_Switch"
    case physicalPort = "Physical_Port"
    case tunnel = "Tunnel"
    case logicalSwitch = "Logical_Switch"
    case logicalBindingStats = "Logical_Binding_Stats"
    case ucastMacsLocal = "Ucast_Macs_Local"
    case ucastMacsRemote = "Ucast_Macs_Remote"
    case mcastMacsLocal = "Mcast_Macs_Local"
    case mcastMacsRemote = "Mcast_Macs_Remote"
    case locatorSet = "Physical_Locator_Set"
    case locator = "Physical_Locator"
    case logicalRouter = "Logical_Router"
    case arpSourcesLocal = "Arp_Sources_Local"
    case arpSourcesRemote = "Arp_Sources_Remote"
    case acl = "ACL"
    case aclEntry = "ACL_entry"
  }
}
