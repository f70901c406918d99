// PortRequests: `vtepctl port add|set|prepare|delete`, access ports at run time.

/// Adds an access port. Refused when there is one of this name with other settings.
public struct AddPort: ControlRequest {
  public typealias Answer = ChangeAnswer
  public static let method = "port.add"
  public static let access = ControlAccess.change
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

/// Changes settings of a running port. Refused when one of them cannot change while the port exists.
public struct SetPort: ControlRequest {
  public typealias Answer = ChangeAnswer
  public static let method = "port.set"
  public static let access = ControlAccess.change
  public static let parameterNames = names(of: CodingKeys.self)

  public var name: String
  /// As with `AddPort`; a null removes a key.
  public var settings: [String: SettingValue]

  public init(name: String, settings: [String: SettingValue]) {
    self.name = name
    self.settings = settings
  }

  enum CodingKeys: CodingKey, CaseIterable { case name, settings }
}

/// Prepares a VNI for a guest that is about to migrate here: joins its group and resolves its next hops, for a while.
public struct PreparePort: ControlRequest {
  public typealias Answer = ChangeAnswer
  public static let method = "port.prepare"
  public static let access = ControlAccess.change
  public static let parameterNames = names(of: CodingKeys.self)

  public var vni: UInt32
  /// VTEPs to resolve in addition to the flood list, e.g. the one that the guest comes from.
  public var vteps: [String]
  /// How long the VNI stays prepared without a port.
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
  public static let access = ControlAccess.change
  public static let parameterNames = names(of: CodingKeys.self)

  public var name: String

  public init(name: String) {
    self.name = name
  }

  enum CodingKeys: CodingKey, CaseIterable { case name }
}
