// Manager: a controller that the database server talks to (vtep(5), table Manager). Used only by the server.

extension HardwareVTEP {
  /// A connection of the database server.
  public struct Manager: HardwareVTEPRow {
    public var id: RowID
    /// For example "ssl:192.0.2.100:6640" or "ptcp:6640".
    public var target: String
    /// Longest pause between connection attempts, in milliseconds.
    public var maxBackoff: Int64?
    /// Silence before a probe, in milliseconds; 0: never.
    public var inactivityProbe: Int64?
    public var otherConfig: [String: String]
    public var isConnected: Bool
    public var status: [String: String]

    public init(
      id: RowID = .zero, target: String, maxBackoff: Int64? = nil, inactivityProbe: Int64? = nil, otherConfig: [String: String] = [:],
      isConnected: Bool = false, status: [String: String] = [:]
    ) {
      self.id = id
      self.target = target
      self.maxBackoff = maxBackoff
      self.inactivityProbe = inactivityProbe
      self.otherConfig = otherConfig
      self.isConnected = isConnected
      self.status = status
    }

    public init?(_ id: RowID, _ row: OVSDBRow) {
      guard let target = row.optionalText("target") else { return nil }
      self.id = id
      self.target = target
      maxBackoff = row.optionalInteger("max_backoff")
      inactivityProbe = row.optionalInteger("inactivity_probe")
      otherConfig = row.strings("other_config")
      isConnected = row["is_connected"]?.scalar?.boolean ?? false
      status = row.strings("status")
    }

    public var columns: [String: OVSDBDatum] {
      [
        "target": OVSDBDatum(target), "max_backoff": OVSDBDatum(optional: maxBackoff),
        "inactivity_probe": OVSDBDatum(optional: inactivityProbe), "other_config": OVSDBDatum(otherConfig),
        "is_connected": OVSDBDatum(.boolean(isConnected)), "status": OVSDBDatum(status),
      ]
    }
  }
}
