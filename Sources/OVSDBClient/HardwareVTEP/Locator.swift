// Locator: a tunnel endpoint (vtep(5), table Physical_Locator).

extension HardwareVTEP {
  /// A tunnel endpoint.
  public struct Locator: HardwareVTEPRow {
    public var id: RowID
    /// Always `vxlan_over_ipv4`, the schema's only encapsulation.
    public var encapsulation: String
    /// As it was written.
    public var destinationIP: String
    /// The VNI towards this endpoint, if keys belong to locators rather than to the network.
    public var tunnelKey: Int64?

    /// The `encapsulation_type` of VXLAN.
    public static let vxlan = "vxlan_over_ipv4"

    public init(id: RowID = .zero, encapsulation: String = "", destinationIP: String, tunnelKey: Int64? = nil) {
      self.id = id
      self.encapsulation = encapsulation
      self.destinationIP = destinationIP
      self.tunnelKey = tunnelKey
    }

    public init?(_ id: RowID, _ row: OVSDBRow) {
      guard let destinationIP = row.optionalText("dst_ip") else { return nil }
      self.id = id
      encapsulation = row.text("encapsulation_type")
      self.destinationIP = destinationIP
      tunnelKey = row.optionalInteger("tunnel_key")
    }

    public var columns: [String: OVSDBDatum] {
      ["encapsulation_type": OVSDBDatum(encapsulation), "dst_ip": OVSDBDatum(destinationIP), "tunnel_key": OVSDBDatum(optional: tunnelKey)]
    }
  }
}
