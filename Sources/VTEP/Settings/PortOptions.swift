// PortOptions: the settings that a port and a profile have in common. A port sets some of them itself and takes the rest from its
// profile; options that neither sets have a default (PortSettings).

import Encap

/// Settings of a port, or of all ports of a profile; nil: not set here.
public struct PortOptions: Equatable, Sendable {
  /// Binding of untagged frames.
  public var vni: VNI?
  /// Bindings of tagged frames: VLAN identifier (1...4094) to VNI. Set as a whole.
  public var vlans: [UInt16: VNI]?
  /// Interface MTU in bytes.
  public var mtu: Int?
  public var isEnabled: Bool?
  /// Checksum and segmentation offloads of the guest.
  public var offloads: PortOffloads?
  public var antiSpoofing: Bool?
  /// Announce the port's static addresses to the other VTEPs when it comes up.
  public var isAnnounced: Bool?
  /// The port reaches only the overlay and ports that are not isolated.
  public var isIsolated: Bool?
  /// Type of the tags that are removed and added.
  public var tpid: PortTPID?
  /// Learned addresses behind the port; 0: no limit.
  public var macLimit: UInt32?
  /// What to do with link-local control frames.
  public var linkProtocols: LinkProtocols?
  /// A BPDU shuts the port.
  public var hasBPDUGuard: Bool?
  /// The port sends loop probes, and may be shut when one returns.
  public var probesLoops: Bool?
  public var ingress = RateOptions()
  public var egress = RateOptions()
  public var storm = StormOptions()

  public init() {}

  /// A rate limit; 0: no limit.
  public struct RateOptions: Equatable, Sendable {
    /// Bits per second.
    public var bits: UInt64?
    /// Packets per second.
    public var packets: UInt64?

    public init(bits: UInt64? = nil, packets: UInt64? = nil) {
      self.bits = bits
      self.packets = packets
    }
  }

  /// Storm control, in packets per second; 0: no limit.
  public struct StormOptions: Equatable, Sendable {
    public var broadcast: UInt64?
    public var unknownUnicast: UInt64?
    public var unknownMulticast: UInt64?

    public init(broadcast: UInt64? = nil, unknownUnicast: UInt64? = nil, unknownMulticast: UInt64? = nil) {
      self.broadcast = broadcast
      self.unknownUnicast = unknownUnicast
      self.unknownMulticast = unknownMulticast
    }
  }
}

extension PortOptions {
  /// These settings, completed by those of a lower layer.
  func over(_ below: PortOptions) -> PortOptions {
    var options = PortOptions()
    options.vni = vni ?? below.vni
    options.vlans = vlans ?? below.vlans
    options.mtu = mtu ?? below.mtu
    options.isEnabled = isEnabled ?? below.isEnabled
    options.offloads = offloads ?? below.offloads
    options.antiSpoofing = antiSpoofing ?? below.antiSpoofing
    options.isAnnounced = isAnnounced ?? below.isAnnounced
    options.isIsolated = isIsolated ?? below.isIsolated
    options.tpid = tpid ?? below.tpid
    options.macLimit = macLimit ?? below.macLimit
    options.linkProtocols = linkProtocols ?? below.linkProtocols
    options.hasBPDUGuard = hasBPDUGuard ?? below.hasBPDUGuard
    options.probesLoops = probesLoops ?? below.probesLoops
    options.ingress = ingress.over(below.ingress)
    options.egress = egress.over(below.egress)
    options.storm = storm.over(below.storm)
    return options
  }
}

extension PortOptions.RateOptions {
  func over(_ below: Self) -> Self {
    Self(bits: bits ?? below.bits, packets: packets ?? below.packets)
  }
}

extension PortOptions.StormOptions {
  func over(_ below: Self) -> Self {
    Self(
      broadcast: broadcast ?? below.broadcast, unknownUnicast: unknownUnicast ?? below.unknownUnicast,
      unknownMulticast: unknownMulticast ?? below.unknownMulticast)
  }
}
