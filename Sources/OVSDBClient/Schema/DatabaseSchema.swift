// DatabaseSchema: RFC 7047 §3.2 `<database-schema>`, the answer to `get_schema`. Values cannot be read without it: on the wire a
// set of one looks like a scalar, and 1.0 like 1.

/// The tables and columns of a database.
public struct DatabaseSchema: Sendable, Hashable {
  public var name: String
  /// For example "1.7.0".
  public var version: String
  public var tables: [String: TableSchema]

  public init(name: String, version: String, tables: [String: TableSchema]) {
    self.name = name
    self.version = version
    self.tables = tables
  }

  /// Whether the schema has this column.
  public func has(_ table: String, _ column: String) -> Bool {
    tables[table]?.columns[column] != nil
  }
}
