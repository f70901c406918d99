// ArpSource: an address that routers use as the source of ARP (vtep(5), tables Arp_Sources_Local and Arp_Sources_Remote).

extension HardwareVTEP {
  /// A source address for ARP and its locator.
  public struct ArpSource: HardwareVTEPRow {
    public var id: RowID
    /// As it was written.
    public var mac: String
    /// Physical_Locator
    public var locator: RowID

    public init(id: RowID = .zero, mac: String, locator: RowID) {
      self.id = id
      self.mac = mac
      self.locator = locator
    }

    public init?(_ id: RowID, _ row: OVSDBRow) {
      guard let mac = row.optionalText("src_mac"), let locator = row.reference("locator") else { return nil }
      self.id = id
      self.mac = mac
      self.locator = locator
    }

    public var columns: [String: OVSDBDatum] {
      ["src_mac": OVSDBDatum(mac), "locator": OVSDBDatum(locator)]
    }
  }
}
