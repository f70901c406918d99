// ShowPorts: `vtepctl show ports`, the access ports, their bindings and counters.

/// Asks for all ports.
public struct ShowPorts: ControlRequest {
  public typealias Answer = [PortRow]
  public static let method = "show.ports"
  public static let parameterNames = names(of: CodingKeys.self)

  public init() {}

  enum CodingKeys: CodingKey, CaseIterable {}
}

/// One access port. Counters count frames as they are on the port.
public struct PortRow: Codable, Equatable, Sendable {
  /// `waiting`: the device is not there yet.
  public enum State: String, Codable, Sendable, CaseIterable { case up, down, waiting }

  public var name: String
  /// `tap`, `netdev`, …
  public var kind: String
  /// Kernel interface, socket or DPDK device.
  public var device: String
  public var state: State
  /// The interface's own MAC address; nil while waiting.
  @Nullable public var mac: String?
  /// Bytes; nil while waiting.
  @Nullable public var mtu: Int?
  /// Binding of untagged frames.
  @Nullable public var vni: UInt32?
  /// Bindings of tagged frames, VLAN identifier to VNI.
  public var vlans: [Int: UInt32]
  /// Profile that the port takes settings from.
  @Nullable public var profile: String?
  /// The port reaches only the overlay and ports that are not isolated.
  public var isolated: Bool
  /// Of the tags that frames get: `0x8100` or `0x88a8`.
  public var tpid: String
  /// Administrative state.
  public var enabled: Bool
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
  /// `auto` or `off`.
  public var offloads: String
  /// `drop`, `tunnel` or `punt`.
  public var linkProtocols: String
  /// Kernel tap that link-local control frames are punted to.
  @Nullable public var puntTap: String?
  public var bpduGuard: Bool
  public var loopProbe: Bool
  /// Why the port is shut for a while; nil: it is not.
  @Nullable public var shut: String?
  /// Seconds until it is tried again.
  @Nullable public var shutSeconds: Int?
  /// What the operator should know about the port, one sentence each, e.g. unfinished checksums.
  public var notes: [String]

  public init(
    name: String, kind: String, device: String, state: State, mac: String? = nil, mtu: Int? = nil, vni: UInt32? = nil,
    vlans: [Int: UInt32] = [:], profile: String? = nil, isolated: Bool = false, tpid: String = "any", enabled: Bool = true,
    limits: PortLimits = PortLimits(), rxPackets: UInt64 = 0,
    rxBytes: UInt64 = 0, txPackets: UInt64 = 0, txBytes: UInt64 = 0,
    drops: UInt64 = 0, features: [String] = [], queues: Int = 0, guestMTU: Int? = nil, offloads: String = "auto",
    linkProtocols: String = "drop", puntTap: String? = nil, bpduGuard: Bool = false, loopProbe: Bool = false, shut: String? = nil,
    shutSeconds: Int? = nil, notes: [String] = []
  ) {
    self.name = name
    self.kind = kind
    self.device = device
    self.state = state
    self.mac = mac
    self.mtu = mtu
    self.vni = vni
    self.vlans = vlans
    self.profile = profile
    self.isolated = isolated
    self.tpid = tpid
    self.enabled = enabled
    self.limits = limits
    self.rxPackets = rxPackets
    self.rxBytes = rxBytes
    self.txPackets = txPackets
    self.txBytes = txBytes
    self.drops = drops
    self.features = features
    self.queues = queues
    self.guestMTU = guestMTU
    self.offloads = offloads
    self.linkProtocols = linkProtocols
    self.puntTap = puntTap
    self.bpduGuard = bpduGuard
    self.loopProbe = loopProbe
    self.shut = shut
    self.shutSeconds = shutSeconds
    self.notes = notes
  }

  enum CodingKeys: String, CodingKey {
    case name, kind, device, state, mac, mtu, vni, vlans, profile, isolated, tpid, enabled, limits
    case rxPackets = "rx_packets"
    case rxBytes = "rx_bytes"
    case txPackets = "tx_packets"
    case txBytes = "tx_bytes"
    case drops, features, queues
    case guestMTU = "guest_mtu"
    case offloads
    case linkProtocols = "l2_protocols"
    case puntTap = "punt_tap"
    case bpduGuard = "bpdu_guard"
    case loopProbe = "loop_probe"
    case shut
    case shutSeconds = "shut_s"
    case notes
  }
}
