// PortSettings: one access port (`ports`). PortSettings+Options combines its options, its profile and the defaults.

import Encap

/// One access port and the VNIs of its frames.
public struct PortSettings: Equatable, Sendable {
  public var name: String
  public var attachment: PortAttachment
  /// Static addresses behind the port, in the untagged binding's VNI.
  public var macs: [MACAddress] = []
  /// Static addresses behind the port in a VLAN, in that binding's VNI.
  public var vlanMACs: [UInt16: [MACAddress]] = [:]
  /// Profile that supplies the options that the port does not set.
  public var profile: String?
  /// The options that the port itself sets.
  public var options = PortOptions()
  /// The options of its profile, or else the defaults; see `DesiredState.resolveProfiles`.
  public internal(set) var inherited = PortOptions()
  /// VLANs (0 = untagged) that the controller has bound; see `DesiredState.merged`.
  public internal(set) var controlledVLANs: Set<UInt16> = []

  /// The port without its profile's options and the defaults.
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
