// OVSDBMutation: RFC 7047 §5.1 `<mutation>`: a change of a column relative to its current value.

/// A change of one column.
public struct OVSDBMutation: Sendable, Equatable {
  /// What to do.
  public enum Mutator: String, Sendable {
    case add = "+="
    case subtract = "-="
    case multiply = "*="
    case divide = "/="
    case remainder = "%="
    /// Into a set; into a map, pairs with new keys.
    case insert
    /// From a set; from a map, these keys (given as a set) or pairs (given as a map).
    case delete
  }

  public var column: String
  public var mutator: Mutator
  public var value: OVSDBDatum

  public init(_ column: String, _ mutator: Mutator, _ value: OVSDBDatum) {
    self.column = column
    self.mutator = mutator
    self.value = value
  }
}
