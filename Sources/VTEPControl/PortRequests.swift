// PortRequests: `vtepctl port add|delete`, access ports at run time.

/// Adds an access port. The keys are the configuration file's.
public struct AddPort: ControlRequest {
  public typealias Answer = ChangeAnswer
  public static let method = "port.add"
  public static let parameterNames = names(of: CodingKeys.self)

  public var name: String
  /// `tap` or `netdev`.
  public var kind: String
  /// Kernel interface name.
  public var device: String
  /// Binding of untagged frames.
  public var vni: UInt32?
  /// Bindings of tagged frames, VLAN identifier to VNI.
  public var vlans: [Int: UInt32]?
  /// Addresses known to live behind the port.
  public var macs: [String]?
  /// Bytes.
  public var mtu: Int?

  public init(
    name: String, kind: String, device: String, vni: UInt32? = nil, vlans: [Int: UInt32]? = nil, macs: [String]? = nil,
    mtu: Int? = nil
  ) {
    self.name = name
    self.kind = kind
    self.device = device
    self.vni = vni
    self.vlans = vlans
    self.macs = macs
    self.mtu = mtu
  }

  enum CodingKeys: CodingKey, CaseIterable { case name, kind, device, vni, vlans, macs, mtu }
}

/// Deletes an access port.
public struct DeletePort: ControlRequest {
  public typealias Answer = ChangeAnswer
  public static let method = "port.delete"
  public static let parameterNames = names(of: CodingKeys.self)

  public var name: String

  public init(name: String) {
    self.name = name
  }

  enum CodingKeys: CodingKey, CaseIterable { case name }
}
