// TableSchema: RFC 7047 §3.2 `<table-schema>`.

/// A table of a database.
public struct TableSchema: Sendable, Hashable {
  public var name: String
  public var columns: [String: ColumnSchema]
  /// Whether a row stays that nothing refers to.
  public var isRoot: Bool
  /// Most rows there can be; `Int.max` when not limited.
  public var maximumRows: Int
  /// Each is a list of columns whose values together are unique.
  public var indexes: [[String]]

  public init(name: String, columns: [String: ColumnSchema], isRoot: Bool = true, maximumRows: Int = .max, indexes: [[String]] = []) {
    self.name = name
    self.columns = columns
    self.isRoot = isRoot
    self.maximumRows = maximumRows
    self.indexes = indexes
  }
}
