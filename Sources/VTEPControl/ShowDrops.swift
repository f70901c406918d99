// ShowDrops: `vtepctl show drops`, the reasons why frames and packets were not forwarded, and how often.

/// Asks for the drop counters.
public struct ShowDrops: ControlRequest {
  public typealias Answer = [DropRow]
  public static let method = "show.drops"
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  /// Counters that are zero, too.
  public var all: Bool

  public init(all: Bool = false) {
    self.all = all
  }

  enum CodingKeys: CodingKey, CaseIterable { case all }
}

/// One drop counter.
public struct DropRow: Codable, Equatable, Sendable {
  /// The reason's name, stable.
  public var reason: String
  /// Port name, or the part of the packet walk.
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
