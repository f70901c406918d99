// LogicalBindingStats: counters of one binding (vtep(5), table Logical_Binding_Stats). The switch writes them.

extension HardwareVTEP {
  /// Counters of a binding, from the port's point of view: local is the port's side.
  public struct LogicalBindingStats: HardwareVTEPRow {
    public var id: RowID
    public var bytesFromLocal: Int64
    public var packetsFromLocal: Int64
    public var bytesToLocal: Int64
    public var packetsToLocal: Int64

    public init(
      id: RowID = .zero, bytesFromLocal: Int64 = 0, packetsFromLocal: Int64 = 0, bytesToLocal: Int64 = 0, packetsToLocal: Int64 = 0
    ) {
      self.id = id
      self.bytesFromLocal = bytesFromLocal
      self.packetsFromLocal = packetsFromLocal
      self.bytesToLocal = bytesToLocal
      self.packetsToLocal = packetsToLocal
    }

    public init?(_ id: RowID, _ row: OVSDBRow) {
      self.id = id
      bytesFromLocal = row.integer("bytes_from_local")
      packetsFromLocal = row.integer("packets_from_local")
      bytesToLocal = row.integer("bytes_to_local")
      packetsToLocal = row.integer("packets_to_local")
    }

    public var columns: [String: OVSDBDatum] {
      [
        "bytes_from_local": OVSDBDatum(bytesFromLocal), "packets_from_local": OVSDBDatum(packetsFromLocal),
        "bytes_to_local": OVSDBDatum(bytesToLocal), "packets_to_local": OVSDBDatum(packetsToLocal),
      ]
    }
  }
}
