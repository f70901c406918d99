// OVSDBCondition: RFC 7047 §5.1 `<condition>`: the rows that an operation applies to.

/// A comparison of a column with a value. A row matches if all conditions do; without conditions every row matches.
public struct OVSDBCondition: Sendable, Equatable {
  /// How to compare.
  public enum Function: String, Sendable {
    case lessThan = "<"
    case lessThanOrEqual = "<="
    case equal = "=="
    case notEqual = "!="
    case greaterThanOrEqual = ">="
    case greaterThan = ">"
    /// A set or map contains all of these; a scalar is equal.
    case includes
    /// A set or map contains none of these; a scalar is not equal.
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
