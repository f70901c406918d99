// OVSDBCondition: RFC 7047 §5.1 `<condition>`: which rows an operation works on.

/// A comparison of a column with a value. Rows match when all conditions do; no condition matches every row.
public struct OVSDBCondition: Sendable, Equatable {
  /// How to compare.
  public enum Function: String, Sendable {
    case lessThan = "<"
    case lessThanOrEqual = "<="
    case equal = "=="
    case notEqual = "!="
    case greaterThanOrEqual = ">="
    case greaterThan = ">"
    /// Of a set or map: has all of these; of a scalar: equal.
    case includes
    /// Of a set or map: has none of these; of a scalar: not equal.
    case excludes
  }

  public var column: String
  public var function: Function
  public var value: OVSDBDatum

  public init(_ column: String, _ function: Function, _ value: OVSDBDatum) {
    self.column = column
    self.function = function
    self.value = value
  }

  /// The row with this UUID.
  public static func row(_ id: RowID) -> OVSDBCondition {
    OVSDBCondition("_uuid", .equal, OVSDBDatum(.uuid(id)))
  }
}
