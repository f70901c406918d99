// PhysicalSwitch: the switch (vtep(5), table Physical_Switch). The switch writes it, except other_config and tunnels, where others
// write too.

extension HardwareVTEP {
  /// A switch.
  public struct PhysicalSwitch: HardwareVTEPRow {
    public var id: RowID
    /// Unique.
    public var name: String
    public var description: String
    public var managementIPs: Set<String>
    /// Source addresses of tunnels.
    public var tunnelIPs: Set<String>
    /// Physical_Port rows.
    public var ports: Set<RowID>
    /// Tunnel rows.
    public var tunnels: Set<RowID>
    public var otherConfig: [String: String]
    /// `switch_fault_status`: see `SwitchFault`.
    public var faults: Set<String>

    public init(
      id: RowID = .zero, name: String, description: String = "", managementIPs: Set<String> = [], tunnelIPs: Set<String> = [],
      ports: Set<RowID> = [], tunnels: Set<RowID> = [], otherConfig: [String: String] = [:], faults: Set<String> = []
    ) {
      self.id = id
      self.name = name
      self.description = description
      self.managementIPs = managementIPs
      self.tunnelIPs = tunnelIPs
      self.ports = ports
      self.tunnels = tunnels
      self.otherConfig = otherConfig
      self.faults = faults
    }

    public init?(_ id: RowID, _ row: OVSDBRow) {
      guard let name = row.optionalText("name") else { return nil }
      self.id = id
      self.name = name
      description = row.text("description")
      managementIPs = row.texts("management_ips")
      tunnelIPs = row.texts("tunnel_ips")
      ports = row.references("ports")
      tunnels = row.references("tunnels")
      otherConfig = row.strings("other_config")
      faults = row.texts("switch_fault_status")
    }

    public var columns: [String: OVSDBDatum] {
      [
        "name": OVSDBDatum(name), "description": OVSDBDatum(description), "management_ips": OVSDBDatum(managementIPs),
        "tunnel_ips": OVSDBDatum(tunnelIPs), "ports": OVSDBDatum(ports), "tunnels": OVSDBDatum(tunnels),
        "other_config": OVSDBDatum(otherConfig), "switch_fault_status": OVSDBDatum(faults),
      ]
    }
  }
}
