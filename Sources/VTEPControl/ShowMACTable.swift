// ShowMACTable: `vtepctl show mac-table`, the forwarding database page by page, so that a million entries never
// build up in the daemon.

/// Asks for MAC table entries; every filter that is given must match.
public struct ShowMACTable: PagedRequest {
  public typealias Row = MACTableRow
  public typealias Answer = Page<MACTableRow>
  public static let method = "show.mac-table"
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  public var vni: UInt32?
  /// Port name.
  public var port: String?
  /// Address of the remote VTEP.
  public var vtep: String?
  public var mac: String?
  public var type: MACTableRow.Kind?
  public var cursor: UInt64?
  public var limit: Int?

  public init(
    vni: UInt32? = nil, port: String? = nil, vtep: String? = nil, mac: String? = nil, type: MACTableRow.Kind? = nil,
    cursor: UInt64? = nil, limit: Int? = nil
  ) {
    self.vni = vni
    self.port = port
    self.vtep = vtep
    self.mac = mac
    self.type = type
    self.cursor = cursor
    self.limit = limit
  }

  enum CodingKeys: CodingKey, CaseIterable { case vni, port, vtep, mac, type, cursor, limit }
}

/// One MAC table entry.
public struct MACTableRow: Codable, Equatable, Sendable {
  /// Where the entry comes from.
  public enum Kind: String, Codable, Sendable, CaseIterable { case learned, `static`, controller }
  /// Which side the address lives on.
  public enum Location: String, Codable, Sendable, CaseIterable { case port, vtep }

  public var vni: UInt32
  /// Lower-case, colon-separated.
  public var mac: String
  public var type: Kind
  public var location: Location
  /// Port name; nil behind a VTEP.
  @Nullable public var port: String?
  /// VLAN tag that the address uses on the port; nil: untagged, or behind a VTEP.
  @Nullable public var vlan: UInt16?
  /// Remote VTEP's address, several of a multicast address; nil on a local port.
  @Nullable public var vtep: String?
  /// Seconds since the address was last seen as a source; nil where entries do not age.
  @Nullable public var ageSeconds: UInt32?
  /// How often the address changed its place.
  public var moves: UInt32

  public init(
    vni: UInt32, mac: String, type: Kind, location: Location, port: String? = nil, vlan: UInt16? = nil,
    vtep: String? = nil, ageSeconds: UInt32? = nil, moves: UInt32 = 0
  ) {
    self.vni = vni
    self.mac = mac
    self.type = type
    self.location = location
    self.port = port
    self.vlan = vlan
    self.vtep = vtep
    self.ageSeconds = ageSeconds
    self.moves = moves
  }

  enum CodingKeys: String, CodingKey {
    case vni, mac, type, location, port, vlan, vtep
    case ageSeconds = "age_s"
    case moves
  }
}
