// DesiredState: what the operator wants the data plane to be. Every source of change (configuration file, vtepctl,
// later OVSDB) edits one value of this type; the reconciler turns the difference from the running state into
// data-plane changes. A value that passes `validate()` can be applied; nothing else reaches the data plane.

import Encap
import MulticastLearn

/// What the daemon shall forward: underlay, VNIs and ports.
public struct DesiredState: Equatable, Sendable {
  public var underlay: UnderlaySettings
  public var vnis: [VNI: VNISettings]
  /// Keyed by port name.
  public var ports: [String: PortSettings]
  /// Keyed by name.
  public var profiles: [String: PortOptions]
  public var protection: ProtectionSettings
  /// What holds where neither a port nor its profile says anything.
  public var portDefaults: PortOptions
  /// What a controller wants besides; `merged()` says what of it can run.
  public var controller = ControllerLayer()
  /// A controller binds ports.
  public var hasController = false

  public init(
    underlay: UnderlaySettings, vnis: [VNI: VNISettings] = [:], ports: [String: PortSettings] = [:],
    profiles: [String: PortOptions] = [:], protection: ProtectionSettings = ProtectionSettings(),
    portDefaults: PortOptions = PortOptions()
  ) {
    self.underlay = underlay
    self.vnis = vnis
    self.ports = ports
    self.profiles = profiles
    self.protection = protection
    self.portDefaults = portDefaults
    resolveProfiles()
  }

  /// Hands each port what its profile says, and the defaults. To be called after every change of profiles or of a port's profile.
  public mutating func resolveProfiles() {
    for (name, port) in ports {
      let inherited = (port.profile.flatMap { profiles[$0] } ?? PortOptions()).over(portDefaults)
      if port.inherited != inherited { ports[name]?.inherited = inherited }
    }
  }
}

extension DesiredState {
  /// The VNIs that are different, or depend on something that is different, in another state; new and gone ones are among them.
  func changedVNIs(in new: DesiredState) -> Set<VNI> {
    if underlay != new.underlay { return Set(vnis.keys).union(new.vnis.keys) }
    if vnis == new.vnis { return [] }
    return Set(vnis.keys).union(new.vnis.keys).filter { vnis[$0] != new.vnis[$0] }
  }
}

/// Workers and memory. Fixed for the life of the process.
public struct DataplaneSettings: Equatable, Sendable {
  public enum Polling: String, Sendable, CaseIterable { case adaptive, busy }
  public enum Hugepages: String, Sendable, CaseIterable { case auto, required, off }

  /// Forwarding threads, 1...64.
  public var workers = 1
  /// CPU of each worker; empty: the scheduler's choice.
  public var cores: [Int] = []
  public var polling = Polling.adaptive
  public var hugepages = Hugepages.auto
  /// Memory for packet buffers, in MiB.
  public var memoryMiB = 256
  /// MAC table capacity, in entries.
  public var macTableSize = 65536

  public init() {}
}

extension DesiredState {
  /// Open files that the daemon needs for all this at most: of the program itself, for each worker, underlay device and port, and for
  /// clients of the control socket.
  public func descriptorCount(workers: Int) -> Int {
    64 + 8 * workers + (2 + workers) * underlay.devices.count + 64
      + ports.values.reduce(0) { $0 + $1.kind.driver.descriptorCount($1.attachment) }
  }
}

/// The IP network below: VTEP source addresses, the attachment, and how outer headers are filled.
public struct UnderlaySettings: Equatable, Sendable {
  public enum Driver: String, Sendable, CaseIterable { case afPacket = "af_packet" }
  public enum TTL: Equatable, Sendable { case fixed(UInt8), inherit }
  public enum DSCP: Equatable, Sendable { case fixed(UInt8), inherit }
  public enum UDPChecksum: String, Sendable, CaseIterable { case auto, on, off }
  public enum IPsecPolicyMode: String, Sendable, CaseIterable { case warn, refuse }

  /// VTEP source addresses: at most one of each family.
  public var addresses: [IPAddress]
  /// Kernel interfaces shared with the kernel; several when the host is routed over several uplinks.
  public var devices: [String]
  public var driver = Driver.afPacket
  public var udpPort: UInt16 = 4789
  public var ttl = TTL.fixed(64)
  public var multicastTTL: UInt8 = 1
  public var dscp = DSCP.inherit
  public var udpChecksum = UDPChecksum.auto
  /// 802.1p priorities as DSCPs.
  public var priorities = PriorityMap()
  /// What to do about IPsec policies of the host that match our packets, which do not pass them.
  public var ipsecPolicy = IPsecPolicyMode.warn
  /// Accept a zero UDP checksum over IPv6 (RFC 6935 §5).
  public var acceptsZeroUDP6Checksum = false

  public init(addresses: [IPAddress], devices: [String]) {
    self.addresses = addresses
    self.devices = devices
  }
}

/// One VXLAN segment.
public struct VNISettings: Equatable, Sendable {
  public enum AcceptFrom: String, Sendable, CaseIterable { case any, peers }
  public enum InnerVLAN: String, Sendable, CaseIterable { case discard, carry }

  public var vni: VNI
  public var flood: FloodMode
  /// Learn remote addresses from the data plane.
  public var learning = true
  public var acceptFrom = AcceptFrom.any
  public var innerVLAN = InnerVLAN.discard
  /// 0 = never.
  public var ageingSeconds: UInt32 = 300
  /// Learned entries in this VNI; 0 = only the table's limit.
  public var macLimit: UInt32 = 0
  /// What may be flooded in this VNI, from ports and from the overlay together.
  public var storm = StormLimits()
  /// About addresses that move too often; nil: as `protection` says.
  public var macMoveAction: ProtectionSettings.MACMove.Action?
  /// Static remote addresses.
  public var macs: [MACAddress: IPAddress] = [:]
  /// What the controller says, where the VNI is its own and not the operator's.
  public internal(set) var logicalSwitch: LogicalSwitchSettings?

  public init(vni: VNI, flood: FloodMode) {
    self.vni = vni
    self.flood = flood
  }
}

/// One access port and the VNIs that its frames belong to.
public struct PortSettings: Equatable, Sendable {
  public var name: String
  public var attachment: PortAttachment
  /// Addresses known to live behind the port: static entries of the untagged binding's VNI.
  public var macs: [MACAddress] = []
  /// Addresses known to live behind the port in a VLAN: static entries of that binding's VNI.
  public var vlanMACs: [UInt16: [MACAddress]] = [:]
  /// Profile that says what the port does not say itself.
  public var profile: String?
  /// What the port says itself.
  public var options = PortOptions()
  /// What its profile says, or else the defaults; see `DesiredState.resolveProfiles`.
  public internal(set) var inherited = PortOptions()
  /// VLANs (0 = untagged) whose binding is the controller's; see `DesiredState.merged`.
  public internal(set) var controlledVLANs: Set<UInt16> = []

  /// The port without what its profile and the defaults say.
  public var own: PortSettings {
    var own = self
    own.inherited = PortOptions()
    return own
  }

  public var kind: PortKind { attachment.kind }

  public init(name: String, attachment: PortAttachment) {
    self.name = name
    self.attachment = attachment
  }

  /// A port of a kind that needs only a kernel interface.
  public init(name: String, kind: PortKind, device: String) {
    var attachment = PortAttachment(kind)
    attachment.device = device
    self.init(name: name, attachment: attachment)
  }
}
