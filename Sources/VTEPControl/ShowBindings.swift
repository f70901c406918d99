// ShowBindings: `vtepctl show bindings`, which VNI the frames of each port and VLAN belong to, with counters.

/// Asks for all bindings that match.
public struct ShowBindings: PagedRequest {
  public typealias Row = BindingRow
  public typealias Answer = Page<BindingRow>
  public static let method = "show.bindings"
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  public var port: String?
  public var vni: UInt32?
  public var cursor: UInt64?
  public var limit: Int?

  public init(port: String? = nil, vni: UInt32? = nil, cursor: UInt64? = nil, limit: Int? = nil) {
    self.port = port
    self.vni = vni
    self.cursor = cursor
    self.limit = limit
  }

  enum CodingKeys: CodingKey, CaseIterable { case port, vni, cursor, limit }
}

/// One binding. Counters are since it was made, and count frames as they are on the port.
public struct BindingRow: Codable, Equatable, Sendable {
  public var port: String
  /// nil: untagged frames.
  @Nullable public var vlan: UInt16?
  public var vni: UInt32
  /// Who owns the binding.
  public var source: VNIRow.Source
  /// From the port.
  public var rxPackets: UInt64
  public var rxBytes: UInt64
  /// To the port.
  public var txPackets: UInt64
  public var txBytes: UInt64

  public init(
    port: String, vlan: UInt16? = nil, vni: UInt32, source: VNIRow.Source, rxPackets: UInt64 = 0, rxBytes: UInt64 = 0,
    txPackets: UInt64 = 0, txBytes: UInt64 = 0
  ) {
    self.port = port
    self.vlan = vlan
    self.vni = vni
    self.source = source
    self.rxPackets = rxPackets
    self.rxBytes = rxBytes
    self.txPackets = txPackets
    self.txBytes = txBytes
  }

  enum CodingKeys: String, CodingKey {
    case port, vlan, vni, source
    case rxPackets = "rx_packets"
    case rxBytes = "rx_bytes"
    case txPackets = "tx_packets"
    case txBytes = "tx_bytes"
  }
}
