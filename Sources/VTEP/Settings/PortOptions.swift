// PortOptions: the settings that a port and a profile have in common. A port says some of them itself and takes the rest
// from its profile; what neither says has a default (PortSettings).

import Encap

/// Settings of a port, or of all ports of a profile; nil: not said here.
public struct PortOptions: Equatable, Sendable {
  /// Binding of untagged frames.
  public var vni: VNI?
  /// Bindings of tagged frames: VLAN identifier (1...4094) to VNI. Said as a whole.
  public var vlans: [UInt16: VNI]?
  /// Interface MTU in bytes.
  public var mtu: Int?
  public var isEnabled: Bool?
  /// Checksums and segmentation between us and the guest.
  public var offloads: PortOffloads?
  public var hasAntiSpoofing: Bool?
  /// Tell the other VTEPs where the port's static addresses are when it comes up.
  public var isAnnounced: Bool?
  /// The port reaches only the overlay and ports that are not isolated.
  public var isIsolated: Bool?
  /// Kind of the tags that are taken off and put on.
  public var tpid: PortTPID?
  /// Learned addresses behind the port; 0: no limit.
  public var macLimit: UInt32?
  /// What becomes of link-local control frames.
  public var linkProtocols: LinkProtocols?
  /// A BPDU has the port shut.
  public var hasBPDUGuard: Bool?
  /// The port looks for loops, and may be shut for one.
  public var probesLoops: Bool?
  public var ingress = RateOptions()
  public var egress = RateOptions()
  public var storm = StormOptions()

  public init() {}

  /// A rate limit; 0: no limit.
  public struct RateOptions: Equatable, Sendable {
    /// Bits a second.
    public var bits: UInt64?
    /// Packets a second.
    public var packets: UInt64?

    public init(bits: UInt64? = nil, packets: UInt64? = nil) {
      self.bits = bits
      self.packets = packets
    }
  }

  /// Storm control, in packets a second; 0: no limit.
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
  /// These settings, and those below where they say nothing.
  func over(_ below: PortOptions) -> PortOptions {
    var options = PortOptions()
    options.vni = vni ?? below.vni
    options.vlans = vlans ?? below.vlans
    options.mtu = mtu ?? below.mtu
    options.isEnabled = isEnabled ?? below.isEnabled
    options.offloads = offloads ?? below.offloads
    options.hasAntiSpoofing = hasAntiSpoofing ?? below.hasAntiSpoofing
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
