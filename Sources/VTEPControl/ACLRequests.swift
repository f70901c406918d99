// ACLRequests: `vtepctl acl add|delete|bind|unbind`, access control lists at run time.

/// Adds an entry to an access control list, which is made if there is none of this name. Without an entry, only the list.
public struct AddACL: ControlRequest {
  public typealias Answer = ChangeAnswer
  public static let method = "acl.add"
  public static let access = ControlAccess.change
  public static let parameterNames = names(of: CodingKeys.self)

  public var name: String
  /// Keys of an element of `acls[].entries` in the configuration file.
  public var entry: [String: SettingValue]?

  public init(name: String, entry: [String: SettingValue]? = nil) {
    self.name = name
    self.entry = entry
  }

  enum CodingKeys: CodingKey, CaseIterable { case name, entry }
}

/// Deletes entries of an access control list, or the list if nothing is bound to it.
public struct DeleteACL: ControlRequest {
  public typealias Answer = ChangeAnswer
  public static let method = "acl.delete"
  public static let access = ControlAccess.change
  public static let parameterNames = names(of: CodingKeys.self)

  public var name: String
  /// The entry's; nil: the list.
  public var sequence: Int64?
  /// `ingress` or `egress`; nil: both.
  public var direction: String?

  public init(name: String, sequence: Int64? = nil, direction: String? = nil) {
    self.name = name
    self.sequence = sequence
    self.direction = direction
  }

  enum CodingKeys: CodingKey, CaseIterable { case name, sequence, direction }
}

/// Binds an access control list to a port, or to one of its VLANs, in place of the one that is bound there; or removes that binding.
public struct BindACL: ControlRequest {
  public typealias Answer = ChangeAnswer
  public static let method = "acl.bind"
  public static let access = ControlAccess.change
  public static let parameterNames = names(of: CodingKeys.self)

  /// Nil: none.
  public var name: String?
  public var port: String
  /// Nil: all VLANs without a list of their own, and untagged frames.
  public var vlan: UInt16?

  public init(name: String?, port: String, vlan: UInt16? = nil) {
    self.name = name
    self.port = port
    self.vlan = vlan
  }

  enum CodingKeys: CodingKey, CaseIterable { case name, port, vlan }
}
