// TableSchema: RFC 7047 §3.2 `<table-schema>`.

/// A table of a database.
public struct TableSchema: Sendable, Hashable {
  public var name: String
  public var columns: [String: ColumnSchema]
  /// Whether a row survives when nothing refers to it.
  public var isRoot: Bool
  /// Maximum number of rows; `Int.max` if unlimited.
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
