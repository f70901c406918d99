// VNIRequests: `vtepctl vni add|set|delete` and `vtepctl peer add|delete`, changes of VXLAN segments and their flood lists.

/// Adds a VNI. The keys are the configuration file's; nil: its default. Refused when there is one that differs.
public struct AddVNI: ControlRequest {
  public typealias Answer = ChangeAnswer
  public static let method = "vni.add"
  public static let access = ControlAccess.change
  public static let parameterNames = names(of: CodingKeys.self)

  public var vni: UInt32
  /// `multicast`, `replicate` or `none`.
  public var flood: String?
  public var group: String?
  public var peers: [String]?
  public var learning: Bool?
  /// `any` or `peers`.
  public var acceptFrom: String?
  /// `discard` or `carry`.
  public var innerVLAN: String?
  public var ageingSeconds: UInt32?
  public var macLimit: UInt32?
  /// Storm control, in packets per second.
  public var stormBroadcast: UInt64?
  public var stormUnknownUnicast: UInt64?
  public var stormUnknownMulticast: UInt64?
  /// `freeze` or `report`.
  public var macMoveAction: String?
  /// `off` or `known`.
  public var neighborSuppression: String?

  public init(
    vni: UInt32, flood: String? = nil, group: String? = nil, peers: [String]? = nil, learning: Bool? = nil,
    acceptFrom: String? = nil, innerVLAN: String? = nil, ageingSeconds: UInt32? = nil, macLimit: UInt32? = nil,
    stormBroadcast: UInt64? = nil, stormUnknownUnicast: UInt64? = nil, stormUnknownMulticast: UInt64? = nil,
    macMoveAction: String? = nil, neighborSuppression: String? = nil
  ) {
    self.vni = vni
    self.flood = flood
    self.group = group
    self.peers = peers
    self.learning = learning
    self.acceptFrom = acceptFrom
    self.innerVLAN = innerVLAN
    self.ageingSeconds = ageingSeconds
    self.macLimit = macLimit
    self.stormBroadcast = stormBroadcast
    self.stormUnknownUnicast = stormUnknownUnicast
    self.stormUnknownMulticast = stormUnknownMulticast
    self.macMoveAction = macMoveAction
    self.neighborSuppression = neighborSuppression
  }

  enum CodingKeys: String, CodingKey, CaseIterable {
    case vni, flood, group, peers, learning
    case acceptFrom = "accept_from"
    case innerVLAN = "inner_vlan"
    case ageingSeconds = "ageing_s"
    case macLimit = "mac_limit"
    case stormBroadcast = "storm_broadcast"
    case stormUnknownUnicast = "storm_unknown_unicast"
    case stormUnknownMulticast = "storm_unknown_multicast"
    case macMoveAction = "mac_move_action"
    case neighborSuppression = "neighbor_suppression"
  }
}

/// Changes settings of a running VNI. The parameters are those of `AddVNI`; nil: unchanged.
public struct SetVNI: ControlRequest {
  public typealias Answer = ChangeAnswer
  public static let method = "vni.set"
  public static let access = ControlAccess.change
  public static let parameterNames = AddVNI.parameterNames

  public var settings: AddVNI

  public init(_ settings: AddVNI) {
    self.settings = settings
  }

  public init(from decoder: any Decoder) throws {
    settings = try AddVNI(from: decoder)
  }

  public func encode(to encoder: any Encoder) throws {
    try settings.encode(to: encoder)
  }
}

/// Deletes a VNI. Refused while ports are bound to it.
public struct DeleteVNI: ControlRequest {
  public typealias Answer = ChangeAnswer
  public static let method = "vni.delete"
  public static let access = ControlAccess.change
  public static let parameterNames = names(of: CodingKeys.self)

  public var vni: UInt32

  public init(vni: UInt32) {
    self.vni = vni
  }

  enum CodingKeys: CodingKey, CaseIterable { case vni }
}

/// Adds a VTEP to the flood list of a VNI.
public struct AddPeer: ControlRequest {
  public typealias Answer = ChangeAnswer
  public static let method = "peer.add"
  public static let access = ControlAccess.change
  public static let parameterNames = names(of: CodingKeys.self)

  public var vni: UInt32
  public var address: String

  public init(vni: UInt32, address: String) {
    self.vni = vni
    self.address = address
  }

  enum CodingKeys: CodingKey, CaseIterable { case vni, address }
}

/// Removes a VTEP from the flood list of a VNI.
public struct DeletePeer: ControlRequest {
  public typealias Answer = ChangeAnswer
  public static let method = "peer.delete"
  public static let access = ControlAccess.change
  public static let parameterNames = names(of: CodingKeys.self)

  public var vni: UInt32
  public var address: String

  public init(vni: UInt32, address: String) {
    self.vni = vni
    self.address = address
  }

  enum CodingKeys: CodingKey, CaseIterable { case vni, address }
}
