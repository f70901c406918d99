// PortSettings: one access port (`ports`). Its options are read through all layers: `port.mtu` is the port's own, or else its profile's.

import Encap

/// One access port and the VNIs of its frames.
@dynamicMemberLookup
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
  /// The layers below its own options: its profile's, then the mode's; see `DesiredState.resolveProfiles`.
  public internal(set) var inherited: [PortOptions] = []
  /// VLANs (0 = untagged) that the controller has bound; see `DesiredState.merged`.
  public internal(set) var controlledVLANs: Set<UInt16> = []
  /// VLANs (0 = the port) that the controller has bound an access control list to.
  public internal(set) var controlledACLs: Set<UInt16> = []

  /// The port without its profile's options and the defaults.
  public var own: PortSettings {
    var own = self
    own.inherited = []
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

  /// The effective value of an option. Setting it sets the port's own.
  public subscript<Value>(dynamicMember option: WritableKeyPath<PortOptions, PortOption<Value>>) -> Value {
    get {
      if let own = options[keyPath: option].own { return own }
      for layer in inherited {
        if let value = layer[keyPath: option].own { return value }
      }
      return options[keyPath: option].fallback
    }
    set { options[keyPath: option].own = newValue }
  }

  /// The effective value of an option that may have none. Nil leaves it to the layers below.
  public subscript<Value>(dynamicMember option: WritableKeyPath<PortOptions, Value?>) -> Value? {
    get {
      if let own = options[keyPath: option] { return own }
      for layer in inherited {
        if let value = layer[keyPath: option] { return value }
      }
      return nil
    }
    set { options[keyPath: option] = newValue }
  }

  public var policy: PortPolicy { PortPolicy(self) }
}
