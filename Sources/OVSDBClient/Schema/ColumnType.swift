// ColumnType: RFC 7047 §3.2 `<type>`: what a column can hold.

/// The type of a column: a set of `minimum` to `maximum` keys, or a map.
public struct ColumnType: Sendable, Hashable {
  /// The type of the elements, or of a map's keys.
  public var key: BaseType
  /// The type of a map's values; nil for a set.
  public var value: BaseType?
  /// Minimum number of elements: 0 or 1.
  public var minimum: Int
  /// Maximum number of elements; `Int.max` for "unlimited".
  public var maximum: Int

  public init(key: BaseType, value: BaseType? = nil, minimum: Int = 1, maximum: Int = 1) {
    self.key = key
    self.value = value
    self.minimum = minimum
    self.maximum = maximum
  }

  /// Whether changes are sent as a difference, not as the new value (ovsdb-server(7) §4.1.14).
  public var isComposite: Bool { maximum > 1 }

  /// The value in a row that is inserted without this column (RFC 7047 §5.2.1).
  public var defaultValue: OVSDBDatum {
    if let value {
      return minimum == 0 ? .emptyMap : OVSDBDatum(map: [.init(key: key.defaultValue, value: value.defaultValue)])
    }
    return minimum == 0 ? .emptySet : OVSDBDatum(key.defaultValue)
  }
}
