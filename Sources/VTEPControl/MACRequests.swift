// MACRequests: `vtepctl mac add|delete|flush`, changes of the forwarding database by hand.

/// Adds a static entry, or IP addresses to the one that is there.
public struct AddMAC: ControlRequest {
  public typealias Answer = ChangeAnswer
  public static let method = "mac.add"
  public static let access = ControlAccess.change
  public static let parameterNames = names(of: CodingKeys.self)

  public var vni: UInt32
  public var mac: String
  /// Address of the remote VTEP. Either this or `port`.
  public var vtep: String?
  /// Name of the local port.
  public var port: String?
  /// VLAN tag on the port; nil: untagged.
  public var vlan: UInt16?
  /// IP addresses of the station, for neighbour suppression; nil: none.
  public var ip: [String]?

  public init(
    vni: UInt32, mac: String, vtep: String? = nil, port: String? = nil, vlan: UInt16? = nil, ip: [String]? = nil
  ) {
    self.vni = vni
    self.mac = mac
    self.vtep = vtep
    self.port = port
    self.vlan = vlan
    self.ip = ip
  }

  enum CodingKeys: CodingKey, CaseIterable { case vni, mac, vtep, port, vlan, ip }
}

/// Deletes an entry, static or learned.
public struct DeleteMAC: ControlRequest {
  public typealias Answer = ChangeAnswer
  public static let method = "mac.delete"
  public static let access = ControlAccess.change
  public static let parameterNames = names(of: CodingKeys.self)

  public var vni: UInt32
  public var mac: String

  public init(vni: UInt32, mac: String) {
    self.vni = vni
    self.mac = mac
  }

  enum CodingKeys: CodingKey, CaseIterable { case vni, mac }
}

/// Forgets learned entries; every filter that is given must match. Without a filter: all of them.
public struct FlushMACs: ControlRequest {
  public typealias Answer = ChangeAnswer
  public static let method = "mac.flush"
  public static let access = ControlAccess.change
  public static let parameterNames = names(of: CodingKeys.self)

  public var vni: UInt32?
  public var port: String?
  public var vtep: String?

  public init(vni: UInt32? = nil, port: String? = nil, vtep: String? = nil) {
    self.vni = vni
    self.port = port
    self.vtep = vtep
  }

  enum CodingKeys: CodingKey, CaseIterable { case vni, port, vtep }
}
