// ShowTransactions: `vtepctl ovsdb transactions`, the daemon's latest transactions with the controller's database.

/// Asks for the latest transactions.
public struct ShowTransactions: ControlRequest {
  public typealias Answer = [TransactionRow]
  public static let method = "ovsdb.transactions"
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  /// Most transactions to return; nil: all that are recorded.
  public var last: Int?

  public init(last: Int? = nil) {
    self.last = last
  }

  enum CodingKeys: CodingKey, CaseIterable { case last }
}

/// One transaction of ours.
public struct TransactionRow: Codable, Equatable, Sendable {
  /// Seconds ago.
  public var ageSeconds: Int
  /// Operations by kind and table.
  public var summary: String
  public var operations: Int
  /// `committed`, or why it was not.
  public var result: String
  /// Until the server had answered.
  public var milliseconds: Double

  public init(ageSeconds: Int, summary: String, operations: Int, result: String, milliseconds: Double) {
    self.ageSeconds = ageSeconds
    self.summary = summary
    self.operations = operations
    self.result = result
    self.milliseconds = milliseconds
  }

  enum CodingKeys: String, CodingKey {
    case ageSeconds = "age_s"
    case summary, operations, result
    case milliseconds = "ms"
  }
}
