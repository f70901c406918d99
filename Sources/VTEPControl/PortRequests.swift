// PortRequests: `vtepctl port add|set|prepare|delete`, access ports at run time.

/// Adds an access port. Refused when there is one of this name with other settings.
public struct AddPort: ControlRequest {
  public typealias Answer = ChangeAnswer
  public static let method = "port.add"
  public static let parameterNames = names(of: CodingKeys.self)

  public var name: String
  /// Keys of an element of `ports` in the configuration file.
  public var settings: [String: SettingValue]

  public init(name: String, settings: [String: SettingValue]) {
    self.name = name
    self.settings = settings
  }

  enum CodingKeys: CodingKey, CaseIterable { case name, settings }
}

/// Changes settings of a port that runs. Refused when one of them cannot change without making the port anew.
public struct SetPort: ControlRequest {
  public typealias Answer = ChangeAnswer
  public static let method = "port.set"
  public static let parameterNames = names(of: CodingKeys.self)

  public var name: String
  /// As with `AddPort`; a null takes a key away.
  public var settings: [String: SettingValue]

  public init(name: String, settings: [String: SettingValue]) {
    self.name = name
    self.settings = settings
  }

  enum CodingKeys: CodingKey, CaseIterable { case name, settings }
}

/// Makes a VNI ready for a guest that is about to land here: its group is joined and next hops are resolved, for a while.
public struct PreparePort: ControlRequest {
  public typealias Answer = ChangeAnswer
  public static let method = "port.prepare"
  public static let parameterNames = names(of: CodingKeys.self)

  public var vni: UInt32
  /// VTEPs to resolve besides those that the VNI floods to, e.g. the one that the guest comes from.
  public var vteps: [String]
  /// How long the VNI stays ready without a port.
  public var seconds: UInt32

  public init(vni: UInt32, vteps: [String] = [], seconds: UInt32 = 60) {
    self.vni = vni
    self.vteps = vteps
    self.seconds = seconds
  }

  enum CodingKeys: CodingKey, CaseIterable { case vni, vteps, seconds }
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
