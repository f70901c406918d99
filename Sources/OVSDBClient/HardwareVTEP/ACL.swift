// ACL: a list of filters (vtep(5), table ACL).

extension HardwareVTEP {
  /// A list of filters.
  public struct ACL: HardwareVTEPRow {
    public var id: RowID
    /// Unique.
    public var name: String
    /// ACL_entry rows.
    public var entries: Set<RowID>
    /// `acl_fault_status`
    public var faults: Set<String>

    public init(id: RowID = .zero, name: String, entries: Set<RowID> = [], faults: Set<String> = []) {
      self.id = id
      self.name = name
      self.entries = entries
      self.faults = faults
    }

    public init?(_ id: RowID, _ row: OVSDBRow) {
      guard let name = row.optionalText("acl_name") else { return nil }
      self.id = id
      self.name = name
      entries = row.references("acl_entries")
      faults = row.texts("acl_fault_status")
    }

    public var columns: [String: OVSDBDatum] {
      ["acl_name": OVSDBDatum(name), "acl_entries": OVSDBDatum(entries), "acl_fault_status": OVSDBDatum(faults)]
    }
  }
}
