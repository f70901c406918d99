// PhysicalPort: a port of the switch (vtep(5), table Physical_Port). The switch writes name, description, statistics and
// faults; the controller binds VLANs.

extension HardwareVTEP {
  /// A port.
  public struct PhysicalPort: HardwareVTEPRow {
    public var id: RowID
    public var name: String
    public var description: String
    /// VLAN ID → Logical_Switch; 0: untagged frames.
    public var vlanBindings: [UInt16: RowID]
    /// VLAN ID → ACL.
    public var aclBindings: [UInt16: RowID]
    /// VLAN ID → Logical_Binding_Stats.
    public var vlanStats: [UInt16: RowID]
    public var otherConfig: [String: String]
    /// `port_fault_status`: see `PortFault`.
    public var faults: Set<String>

    public init(
      id: RowID = .zero, name: String, description: String = "", vlanBindings: [UInt16: RowID] = [:], aclBindings: [UInt16: RowID] = [:],
      vlanStats: [UInt16: RowID] = [:], otherConfig: [String: String] = [:], faults: Set<String> = []
    ) {
      self.id = id
      self.name = name
      self.description = description
      self.vlanBindings = vlanBindings
      self.aclBindings = aclBindings
      self.vlanStats = vlanStats
      self.otherConfig = otherConfig
      self.faults = faults
    }

    public init?(_ id: RowID, _ row: OVSDBRow) {
      guard let name = row.optionalText("name") else { return nil }
      self.id = id
      self.name = name
      description = row.text("description")
      vlanBindings = row.vlanMap("vlan_bindings")
      aclBindings = row.vlanMap("acl_bindings")
      vlanStats = row.vlanMap("vlan_stats")
      otherConfig = row.strings("other_config")
      faults = row.texts("port_fault_status")
    }

    public var columns: [String: OVSDBDatum] {
      [
        "name": OVSDBDatum(name), "description": OVSDBDatum(description), "vlan_bindings": OVSDBDatum(vlanBindings),
        "acl_bindings": OVSDBDatum(aclBindings), "vlan_stats": OVSDBDatum(vlanStats), "other_config": OVSDBDatum(otherConfig),
        "port_fault_status": OVSDBDatum(faults),
      ]
    }
  }
}
