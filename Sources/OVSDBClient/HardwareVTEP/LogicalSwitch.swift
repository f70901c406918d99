// LogicalSwitch: a virtual network (vtep(5), table Logical_Switch). The controller writes it.

extension HardwareVTEP {
  /// A virtual network.
  public struct LogicalSwitch: HardwareVTEPRow {
    public var id: RowID
    /// Unique.
    public var name: String
    public var description: String
    /// The VNI, if keys belong to the network rather than to each locator.
    public var tunnelKey: Int64?
    /// The column's text; see `replicationMode`.
    public var replicationModeText: String?
    public var otherConfig: [String: String]

    /// Who replicates broadcast, unknown unicast and multicast frames.
    public enum ReplicationMode: String, Sendable {
      /// One of the locators, which receives a single copy.
      case serviceNode = "service_node"
      /// The sender, once for every locator.
      case sourceNode = "source_node"
    }

    /// A missing mode means service node (vtep(5)); so does an unknown one.
    public var replicationMode: ReplicationMode { replicationModeText.flatMap(ReplicationMode.init) ?? .serviceNode }

    public init(
      id: RowID = .zero, name: String, description: String = "", tunnelKey: Int64? = nil, replicationModeText: String? = nil,
      otherConfig: [String: String] = [:]
    ) {
      self.id = id
      self.name = name
      self.description = description
      self.tunnelKey = tunnelKey
      self.replicationModeText = replicationModeText
      self.otherConfig = otherConfig
    }

    public init?(_ id: RowID, _ row: OVSDBRow) {
      guard let name = row.optionalText("name") else { return nil }
      self.id = id
      self.name = name
      description = row.text("description")
      tunnelKey = row.optionalInteger("tunnel_key")
      replicationModeText = row.optionalText("replication_mode")
      otherConfig = row.strings("other_config")
    }

    public var columns: [String: OVSDBDatum] {
      [
        "name": OVSDBDatum(name), "description": OVSDBDatum(description), "tunnel_key": OVSDBDatum(optional: tunnelKey),
        "replication_mode": OVSDBDatum(optional: replicationModeText), "other_config": OVSDBDatum(otherConfig),
      ]
    }
  }
}
