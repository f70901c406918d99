// PortSettings: one access port (`ports`). What its options, its profile and the defaults say together: PortSettings+Options.

import Encap

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
