// McastMAC: the destinations of a multicast address or of unknown unicast (vtep(5), tables Mcast_Macs_Local and Mcast_Macs_Remote).

extension HardwareVTEP {
  /// A multicast address, or `unknown-dst`, and its locators.
  public struct McastMAC: HardwareVTEPRow {
    public var id: RowID
    /// As it was written: an address, or `unknown-dst`.
    public var mac: String
    public var logicalSwitch: RowID
    /// Physical_Locator_Set
    public var locatorSet: RowID
    /// Empty when not known.
    public var ipAddress: String

    /// The `MAC` of the row for every other destination.
    public static let unknownDestination = "unknown-dst"

    /// Whether this is the row for every other destination.
    /// Controllers write it in upper case, too.
    public var isUnknownDestination: Bool {
      mac.lowercased().split(whereSeparator: \.isWhitespace) == [Self.unknownDestination[...]]
    }

    public init(id: RowID = .zero, mac: String, logicalSwitch: RowID, locatorSet: RowID, ipAddress: String = "") {
      self.id = id
      self.mac = mac
      self.logicalSwitch = logicalSwitch
      self.locatorSet = locatorSet
      self.ipAddress = ipAddress
    }

    public init?(_ id: RowID, _ row: OVSDBRow) {
      guard let mac = row.optionalText("MAC"),
        let logicalSwitch = row.reference("logical_switch"),
        let locatorSet = row.reference("locator_set")
      else { return nil }
      self.id = id
      self.mac = mac
      self.logicalSwitch = logicalSwitch
      self.locatorSet = locatorSet
      ipAddress = row.text("ipaddr")
    }

    public var columns: [String: OVSDBDatum] {
      [
        "MAC": OVSDBDatum(mac), "logical_switch": OVSDBDatum(logicalSwitch), "locator_set": OVSDBDatum(locatorSet),
        "ipaddr": OVSDBDatum(ipAddress),
      ]
    }
  }
}
