// UcastMAC: the location of a unicast address (vtep(5), tables Ucast_Macs_Local and Ucast_Macs_Remote). The switch writes the local
// table, the controller the remote one.

extension HardwareVTEP {
  /// A unicast address and its locator.
  public struct UcastMAC: HardwareVTEPRow {
    public var id: RowID
    /// As it was written; six pairs of hexadecimal digits if valid.
    public var mac: String
    public var logicalSwitch: RowID
    /// Physical_Locator
    public var locator: RowID
    /// Empty when not known.
    public var ipAddress: String

    public init(id: RowID = .zero, mac: String, logicalSwitch: RowID, locator: RowID, ipAddress: String = "") {
      self.id = id
      self.mac = mac
      self.logicalSwitch = logicalSwitch
      self.locator = locator
      self.ipAddress = ipAddress
    }

    public init?(_ id: RowID, _ row: OVSDBRow) {
      guard let mac = row.optionalText("MAC"),
        let logicalSwitch = row.reference("logical_switch"),
        let locator = row.reference("locator")
      else { return nil }
      self.id = id
      self.mac = mac
      self.logicalSwitch = logicalSwitch
      self.locator = locator
      ipAddress = row.text("ipaddr")
    }

    public var columns: [String: OVSDBDatum] {
      [
        "MAC": OVSDBDatum(mac), "logical_switch": OVSDBDatum(logicalSwitch), "locator": OVSDBDatum(locator),
        "ipaddr": OVSDBDatum(ipAddress),
      ]
    }
  }
}
