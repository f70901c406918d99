// ShowDrops: `vtepctl show drops`, the reasons why frames and packets were not forwarded, and how often.

/// Asks for the drop counters.
public struct ShowDrops: ControlRequest {
  public typealias Answer = [DropRow]
  public static let method = "show.drops"
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  /// Counters that are zero, too.
  public var all: Bool
  /// Kind of the places that drops are counted by.
  public var by: DropGrouping?

  public init(all: Bool = false, by: DropGrouping? = nil) {
    self.all = all
    self.by = by
  }

  enum CodingKeys: CodingKey, CaseIterable { case all, by }
}

/// Kinds of places that drops are counted by.
public enum DropGrouping: String, Codable, CaseIterable, Sendable {
  /// Every drop has a port, or an uplink.
  case port
  /// Drops of frames whose VNI, or VTEP, was known.
  case vni, vtep
}

/// One drop counter.
public struct DropRow: Codable, Equatable, Sendable {
  /// The reason's name, stable.
  public var reason: String
  /// Name of a port or uplink, `vni 5001` or `vtep 192.0.2.2`.
  public var place: String
  public var count: UInt64
  /// One line.
  public var description: String

  public init(reason: String, place: String, count: UInt64, description: String) {
    self.reason = reason
    self.place = place
    self.count = count
    self.description = description
  }

  enum CodingKeys: String, CodingKey {
    case reason
    case place = "where"
    case count, description
  }
}
