// Tunnel: a tunnel monitored by BFD (vtep(5), table Tunnel).

extension HardwareVTEP {
  /// A tunnel between two locators.
  public struct Tunnel: HardwareVTEPRow {
    public var id: RowID
    /// Physical_Locator
    public var local: RowID
    /// Physical_Locator
    public var remote: RowID
    public var bfdConfigLocal: [String: String]
    public var bfdConfigRemote: [String: String]
    public var bfdParams: [String: String]
    public var bfdStatus: [String: String]

    public init(
      id: RowID = .zero, local: RowID, remote: RowID, bfdConfigLocal: [String: String] = [:], bfdConfigRemote: [String: String] = [:],
      bfdParams: [String: String] = [:], bfdStatus: [String: String] = [:]
    ) {
      self.id = id
      self.local = local
      self.remote = remote
      self.bfdConfigLocal = bfdConfigLocal
      self.bfdConfigRemote = bfdConfigRemote
      self.bfdParams = bfdParams
      self.bfdStatus = bfdStatus
    }

    public init?(_ id: RowID, _ row: OVSDBRow) {
      guard let local = row.reference("local"), let remote = row.reference("remote") else { return nil }
      self.id = id
      self.local = local
      self.remote = remote
      bfdConfigLocal = row.strings("bfd_config_local")
      bfdConfigRemote = row.strings("bfd_config_remote")
      bfdParams = row.strings("bfd_params")
      bfdStatus = row.strings("bfd_status")
    }

    public var columns: [String: OVSDBDatum] {
      [
        "local": OVSDBDatum(local), "remote": OVSDBDatum(remote), "bfd_config_local": OVSDBDatum(bfdConfigLocal),
        "bfd_config_remote": OVSDBDatum(bfdConfigRemote), "bfd_params": OVSDBDatum(bfdParams), "bfd_status": OVSDBDatum(bfdStatus),
      ]
    }
  }
}
