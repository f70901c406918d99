// PortOptions: the settings that ports and profiles have in common. A port sets some of them itself and takes the rest from its profile or,
// failing that, from the defaults of the mode; PortSettings reads each of them through these layers.
//
// A new setting is a property here, a row in VTEPControl/PortKeys, and a line in vtepd's PortFields.

import Encap

/// A setting, and the value that holds where no layer sets it.
public struct PortOption<Value: Equatable & Sendable>: Equatable, Sendable {
  /// Nil: not set in this layer.
  public var own: Value?
  public let fallback: Value

  init(_ fallback: Value) {
    self.fallback = fallback
  }
}

/// One layer of settings: those of a port, of a profile, or of a mode. A setting without a fallback is an optional.
public struct PortOptions: Equatable, Sendable {
  /// Binding of untagged frames.
  public var vni: VNI?
  /// Bindings of tagged frames: VLAN identifier (1...4094) to VNI. Set as a whole.
  public var vlans = PortOption<[UInt16: VNI]>([:])
  /// Name of the access control list of all bindings that have none of their own.
  public var acl: String?
  /// Lists of single VLANs. Set as a whole.
  public var vlanACLs = PortOption<[UInt16: String]>([:])
  /// Interface MTU in bytes; nil: tap gets the underlay's MTU less the overhead, netdev keeps its own.
  public var mtu: Int?
  /// Checksum and segmentation offloads of the guest.
  public var offloads = PortOption(PortOffloads.auto)
  /// Administrative state: a disabled port is down and carries nothing.
  public var isEnabled = PortOption(true)
  /// Accept the port's static addresses as sources, and no others.
  public var antiSpoofing = PortOption(false)
  /// Announce the port's static addresses to the other VTEPs when it comes up.
  public var isAnnounced = PortOption(false)
  /// The port reaches only the overlay and ports that are not isolated.
  public var isIsolated = PortOption(false)
  /// TPID of the tags that are removed and added.
  public var tpid = PortOption(PortTPID.any)
  /// What to do with link-local control frames.
  public var linkProtocols = PortOption(LinkProtocols.drop)
  /// A BPDU shuts the port.
  public var hasBPDUGuard = PortOption(false)
  /// The port sends loop probes, and may be shut when one returns.
  public var probesLoops = PortOption(false)
  /// Learned addresses behind the port; 0: no limit.
  public var macLimit = PortOption<UInt32>(0)
  /// Rate limits from the guest, in bits and packets per second; 0: no limit.
  public var ingressBits = PortOption<UInt64>(0)
  public var ingressPackets = PortOption<UInt64>(0)
  /// Rate limits to the guest.
  public var egressBits = PortOption<UInt64>(0)
  public var egressPackets = PortOption<UInt64>(0)
  /// Storm control, in packets per second from the guest; 0: no limit.
  public var stormBroadcast = PortOption<UInt64>(0)
  public var stormUnknownUnicast = PortOption<UInt64>(0)
  public var stormUnknownMulticast = PortOption<UInt64>(0)

  public init() {}
}
