// ShowPorts: `vtepctl show ports`, the access ports, their bindings and counters.

/// Asks for all ports.
public struct ShowPorts: ControlRequest {
  public typealias Answer = [PortRow]
  public static let method = "show.ports"
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  public init() {}

  enum CodingKeys: CodingKey, CaseIterable {}
}

/// One access port: its state, and the values of its keys that are in force. In JSON these are one object.
@dynamicMemberLookup
public struct PortRow: Codable, Equatable, Sendable {
  public var port: PortState
  /// By their keys in the configuration file; absent: none.
  public var settings: [String: SettingValue]

  public init(_ port: PortState, settings: [String: SettingValue] = [:]) {
    self.port = port
    self.settings = settings
  }

  public subscript<Value>(dynamicMember path: KeyPath<PortState, Value>) -> Value { port[keyPath: path] }

  public init(from decoder: any Decoder) throws {
    port = try PortState(from: decoder)
    settings = try PortKey.decode(inLimits: false, from: decoder)
  }

  public func encode(to encoder: any Encoder) throws {
    try port.encode(to: encoder)
    try PortKey.encode(settings, inLimits: false, to: encoder)
  }
}

/// State and counters of an access port. Counters count frames as they are on the port.
public struct PortState: Codable, Equatable, Sendable {
  /// `waiting`: the device is not there yet.
  public enum Link: String, Codable, Sendable, CaseIterable { case up, down, waiting }

  public var name: String
  /// `tap`, `netdev`, …
  public var kind: String
  /// Kernel interface, socket or DPDK device.
  public var device: String
  public var state: Link
  /// The interface's own MAC address; nil while waiting.
  @Nullable public var mac: String?
  /// Bytes; nil while waiting.
  @Nullable public var mtu: Int?
  public var limits: PortLimits
  /// From the guest or host behind the port.
  public var rxPackets: UInt64
  public var rxBytes: UInt64
  public var txPackets: UInt64
  public var txBytes: UInt64
  /// Frames dropped at this port in either direction, all reasons.
  public var drops: UInt64
  /// What the guest's driver has negotiated, e.g. `mrg-rxbuf`.
  public var features: [String]
  /// Queue pairs in use.
  public var queues: Int
  /// The MTU that the guest driver was told to use, in bytes.
  @Nullable public var guestMTU: Int?
  /// Kernel tap that link-local control frames are punted to.
  @Nullable public var puntTap: String?
  /// Why the port is shut for a while; nil: it is not.
  @Nullable public var shut: String?
  /// Seconds until it is tried again.
  @Nullable public var shutSeconds: Int?
  /// What the operator should know about the port, one sentence each, e.g. unfinished checksums.
  public var notes: [String]

  public init(
    name: String, kind: String, device: String, state: Link, mac: String? = nil, mtu: Int? = nil, limits: PortLimits = PortLimits(),
    rxPackets: UInt64 = 0, rxBytes: UInt64 = 0, txPackets: UInt64 = 0, txBytes: UInt64 = 0, drops: UInt64 = 0, features: [String] = [],
    queues: Int = 0, guestMTU: Int? = nil, puntTap: String? = nil, shut: String? = nil, shutSeconds: Int? = nil, notes: [String] = []
  ) {
    self.name = name
    self.kind = kind
    self.device = device
    self.state = state
    self.mac = mac
    self.mtu = mtu
    self.limits = limits
    self.rxPackets = rxPackets
    self.rxBytes = rxBytes
    self.txPackets = txPackets
    self.txBytes = txBytes
    self.drops = drops
    self.features = features
    self.queues = queues
    self.guestMTU = guestMTU
    self.puntTap = puntTap
    self.shut = shut
    self.shutSeconds = shutSeconds
    self.notes = notes
  }

  enum CodingKeys: String, CodingKey {
    case name, kind, device, state, mac, mtu, limits
    case rxPackets = "rx_packets"
    case rxBytes = "rx_bytes"
    case txPackets = "tx_packets"
    case txBytes = "tx_bytes"
    case drops, features, queues
    case guestMTU = "guest_mtu"
    case puntTap = "punt_tap"
    case shut
    case shutSeconds = "shut_s"
    case notes
  }
}
