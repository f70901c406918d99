// Global: the root row of the switch side (vtep(5), table Global).

extension HardwareVTEP {
  /// The root of the database.
  public struct Global: HardwareVTEPRow {
    public var id: RowID
    /// Manager rows: where an embedded server listens or connects to.
    public var managers: Set<RowID>
    /// Physical_Switch rows.
    public var switches: Set<RowID>
    public var otherConfig: [String: String]

    public init(id: RowID = .zero, managers: Set<RowID> = [], switches: Set<RowID> = [], otherConfig: [String: String] = [:]) {
      self.id = id
      self.managers = managers
      self.switches = switches
      self.otherConfig = otherConfig
    }

    public init?(_ id: RowID, _ row: OVSDBRow) {
      self.id = id
      managers = row.references("managers")
      switches = row.references("switches")
      otherConfig = row.strings("other_config")
    }

    public var columns: [String: OVSDBDatum] {
      ["managers": OVSDBDatum(managers), "switches": OVSDBDatum(switches), "other_config": OVSDBDatum(otherConfig)]
    }
  }
}
