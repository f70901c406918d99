// BindingRequests: `vtepctl binding add|delete`: which VNI the frames of a port and VLAN belong to, one at a time.

/// Binds a VLAN of a port, or its untagged frames, to a VNI.
public struct AddBinding: ControlRequest {
  public typealias Answer = ChangeAnswer
  public static let method = "binding.add"
  public static let parameterNames = names(of: CodingKeys.self)

  public var port: String
  /// 1 to 4094; nil: untagged frames.
  public var vlan: UInt16?
  public var vni: UInt32
  /// Addresses known to live behind the binding, besides those that it has.
  public var macs: [String]?

  public init(port: String, vlan: UInt16? = nil, vni: UInt32, macs: [String]? = nil) {
    self.port = port
    self.vlan = vlan
    self.vni = vni
    self.macs = macs
  }

  enum CodingKeys: CodingKey, CaseIterable { case port, vlan, vni, macs }
}

/// Ends a binding, its static addresses with it.
public struct DeleteBinding: ControlRequest {
  public typealias Answer = ChangeAnswer
  public static let method = "binding.delete"
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
