// LogicalRouter: a router between virtual networks (vtep(5), table Logical_Router).

extension HardwareVTEP {
  /// A virtual router.
  public struct LogicalRouter: HardwareVTEPRow {
    public var id: RowID
    /// Unique.
    public var name: String
    public var description: String
    /// Prefix → Logical_Switch.
    public var switchBinding: [String: RowID]
    /// Prefix → next hop.
    public var staticRoutes: [String: String]
    /// Prefix → ACL.
    public var aclBinding: [String: RowID]
    public var otherConfig: [String: String]
    /// `LR_fault_status`
    public var faults: Set<String>

    public init(
      id: RowID = .zero, name: String, description: String = "", switchBinding: [String: RowID] = [:], staticRoutes: [String: String] = [:],
      aclBinding: [String: RowID] = [:], otherConfig: [String: String] = [:], faults: Set<String> = []
    ) {
      self.id = id
      self.name = name
      self.description = description
      self.switchBinding = switchBinding
      self.staticRoutes = staticRoutes
      self.aclBinding = aclBinding
      self.otherConfig = otherConfig
      self.faults = faults
    }

    public init?(_ id: RowID, _ row: OVSDBRow) {
      guard let name = row.optionalText("name") else { return nil }
      self.id = id
      self.name = name
      description = row.text("description")
      switchBinding = row.rowMap("switch_binding")
      staticRoutes = row.strings("static_routes")
      aclBinding = row.rowMap("acl_binding")
      otherConfig = row.strings("other_config")
      faults = row.texts("LR_fault_status")
    }

    public var columns: [String: OVSDBDatum] {
      [
        "name": OVSDBDatum(name), "description": OVSDBDatum(description), "switch_binding": OVSDBDatum(switchBinding),
        "static_routes": OVSDBDatum(staticRoutes), "acl_binding": OVSDBDatum(aclBinding), "other_config": OVSDBDatum(otherConfig),
        "LR_fault_status": OVSDBDatum(faults),
      ]
    }
  }
}
