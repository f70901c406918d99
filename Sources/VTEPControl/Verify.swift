// Verify: `vtepctl verify`: what is not as the configuration and the controller want it.

/// Asks for all differences.
public struct Verify: ControlRequest {
  public typealias Answer = [DifferenceRow]
  public static let method = "verify"
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  public init() {}

  enum CodingKeys: CodingKey, CaseIterable {}
}

/// Asks to repair them. The answer has those that were there, and what became of each.
public struct RepairDifferences: ControlRequest {
  public typealias Answer = [DifferenceRow]
  public static let method = "verify.fix"
  public static let access = ControlAccess.change
  public static let parameterNames = names(of: CodingKeys.self)

  public init() {}

  enum CodingKeys: CodingKey, CaseIterable {}
}

/// One difference.
public struct DifferenceRow: Codable, Equatable, Sendable {
  /// `data-plane`, `kernel` or `database`.
  public var place: String
  /// What it is about, for example `port vm1`.
  public var subject: String
  public var intended: String
  public var actual: String
  /// Whether it is gone after the repair; nil: nobody has tried.
  @Nullable public var repaired: Bool?

  public init(place: String, subject: String, intended: String, actual: String, repaired: Bool? = nil) {
    self.place = place
    self.subject = subject
    self.intended = intended
    self.actual = actual
    self.repaired = repaired
  }

  enum CodingKeys: CodingKey { case place, subject, intended, actual, repaired }
}
