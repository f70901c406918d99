// ShowVNIs: `vtepctl show vnis`, the VXLAN segments with their policy and counters.

/// Asks for all VNIs.
public struct ShowVNIs: PagedRequest {
  public typealias Row = VNIRow
  public typealias Answer = Page<VNIRow>
  public static let method = "show.vnis"
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  public var cursor: UInt64?
  public var limit: Int?

  public init(cursor: UInt64? = nil, limit: Int? = nil) {
    self.cursor = cursor
    self.limit = limit
  }

  enum CodingKeys: CodingKey, CaseIterable { case cursor, limit }
}

/// One VNI. Counters are since the VNI was made, and count inner frames.
public struct VNIRow: Codable, Equatable, Sendable {
  /// Who owns the VNI.
  public enum Source: String, Codable, Sendable, CaseIterable { case config, ovsdb }

  public var vni: UInt32
  public var source: Source
  /// Name that the controller gives it; nil: the VNI is the configuration's.
  @Nullable public var logicalSwitch: String?
  /// `multicast`, `replicate` or `none`.
  public var flood: String
  /// Multicast group; nil unless flooded by multicast.
  @Nullable public var group: String?
  /// Flood list; empty unless flooded by replication.
  public var peers: [String]
  /// Names of the ports with a binding to this VNI.
  public var ports: [String]
  /// Entries of the MAC table.
  public var macs: Int
  public var learning: Bool
  /// `any` or `peers`.
  public var acceptFrom: String
  /// `discard` or `carry`.
  public var innerVLAN: String
  /// 0 = never.
  public var ageingSeconds: UInt32
  /// 0 = only the table's limit.
  public var macLimit: UInt32
  /// From other VTEPs.
  public var rxPackets: UInt64
  public var rxBytes: UInt64
  /// To other VTEPs; a flooded frame counts once per copy.
  public var txPackets: UInt64
  public var txBytes: UInt64
  /// Frames from ports that were flooded: broadcast, multicast and unknown unicast.
  public var flooded: UInt64
  /// `off` or `known`.
  public var neighborSuppression: String
  /// Requests for neighbours that were answered here, and not flooded.
  public var neighborAnswers: UInt64
  /// Those that were flooded, although the VNI answers requests.
  public var neighborPasses: UInt64
  public var storm: VNIStorm
  /// Addresses not learned because the VNI was at its limit.
  public var learnRefusals: UInt64
  /// Seconds that the VNI stays prepared for a guest (`port prepare`); nil: it was not prepared.
  @Nullable public var preparedSeconds: Int?

  public init(
    vni: UInt32, source: Source, logicalSwitch: String? = nil, flood: String, group: String? = nil, peers: [String] = [],
    ports: [String] = [],
    macs: Int = 0, learning: Bool = true, acceptFrom: String = "any", innerVLAN: String = "discard",
    ageingSeconds: UInt32 = 300, macLimit: UInt32 = 0, rxPackets: UInt64 = 0, rxBytes: UInt64 = 0,
    txPackets: UInt64 = 0, txBytes: UInt64 = 0, flooded: UInt64 = 0, neighborSuppression: String = "off", neighborAnswers: UInt64 = 0,
    neighborPasses: UInt64 = 0,
    storm: VNIStorm = VNIStorm(), learnRefusals: UInt64 = 0,
    preparedSeconds: Int? = nil
  ) {
    self.vni = vni
    self.source = source
    self.logicalSwitch = logicalSwitch
    self.flood = flood
    self.group = group
    self.peers = peers
    self.ports = ports
    self.macs = macs
    self.learning = learning
    self.acceptFrom = acceptFrom
    self.innerVLAN = innerVLAN
    self.ageingSeconds = ageingSeconds
    self.macLimit = macLimit
    self.rxPackets = rxPackets
    self.rxBytes = rxBytes
    self.txPackets = txPackets
    self.txBytes = txBytes
    self.flooded = flooded
    self.neighborSuppression = neighborSuppression
    self.neighborAnswers = neighborAnswers
    self.neighborPasses = neighborPasses
    self.storm = storm
    self.learnRefusals = learnRefusals
    self.preparedSeconds = preparedSeconds
  }

  enum CodingKeys: String, CodingKey {
    case vni, source
    case logicalSwitch = "logical_switch"
    case flood, group, peers, ports, macs, learning
    case acceptFrom = "accept_from"
    case innerVLAN = "inner_vlan"
    case ageingSeconds = "ageing_s"
    case macLimit = "mac_limit"
    case rxPackets = "rx_packets"
    case rxBytes = "rx_bytes"
    case txPackets = "tx_packets"
    case txBytes = "tx_bytes"
    case flooded, storm
    case neighborSuppression = "neighbor_suppression"
    case neighborAnswers = "neighbor_answers"
    case neighborPasses = "neighbor_passes"
    case learnRefusals = "learn_refusals"
    case preparedSeconds = "prepared_s"
  }
}

/// Storm control of a VNI, in packets per second; 0: no limit.
public struct VNIStorm: Codable, Equatable, Sendable {
  public var broadcast: UInt64
  public var unknownUnicast: UInt64
  public var unknownMulticast: UInt64
  /// Frames dropped, by reason; reasons that never occurred are left out.
  public var drops: [String: UInt64]

  public init(broadcast: UInt64 = 0, unknownUnicast: UInt64 = 0, unknownMulticast: UInt64 = 0, drops: [String: UInt64] = [:]) {
    self.broadcast = broadcast
    self.unknownUnicast = unknownUnicast
    self.unknownMulticast = unknownMulticast
    self.drops = drops
  }

  enum CodingKeys: String, CodingKey {
    case broadcast
    case unknownUnicast = "unknown_unicast"
    case unknownMulticast = "unknown_multicast"
    case drops
  }
}
