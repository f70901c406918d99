// BindingRequests: `vtepctl binding add|delete`: single bindings of a port and VLAN to a VNI.

/// Binds a VLAN of a port, or its untagged frames, to a VNI.
public struct AddBinding: ControlRequest {
  public typealias Answer = ChangeAnswer
  public static let method = "binding.add"
  public static let access = ControlAccess.change
  public static let parameterNames = names(of: CodingKeys.self)

  public var port: String
  /// 1 to 4094; nil: untagged frames.
  public var vlan: UInt16?
  public var vni: UInt32
  /// Static addresses to add to those behind the binding.
  public var macs: [String]?

  public init(port: String, vlan: UInt16? = nil, vni: UInt32, macs: [String]? = nil) {
    self.port = port
    self.vlan = vlan
    self.vni = vni
    self.macs = macs
  }

  enum CodingKeys: CodingKey, CaseIterable { case port, vlan, vni, macs }
}

/// Deletes a binding and its static addresses.
public struct DeleteBinding: ControlRequest {
  public typealias Answer = ChangeAnswer
  public static let method = "binding.delete"
  public static let access = ControlAccess.change
  public static let parameterNames = names(of: CodingKeys.self)

  public var port: String
  /// nil: untagged frames.
  public var vlan: UInt16?

  public init(port: String, vlan: UInt16? = nil) {
    self.port = port
    self.vlan = vlan
  }

  enum CodingKeys: CodingKey, CaseIterable { case port, vlan }
}
