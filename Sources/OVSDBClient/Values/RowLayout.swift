// RowLayout: the columns of a table's rows, shared by all of them: a row is an array of values, not a dictionary.

/// A table's replicated columns, in the order of the values in a row.
public final class RowLayout: Sendable {
  /// The table's name.
  public let table: String
  /// The names of the columns, ascending.
  public let columns: [String]
  /// Their types.
  let types: [ColumnType]
  /// The names as bytes, as in messages.
  let names: [[UInt8]]
  /// The value of a column that a message omits (ovsdb-server(7) §4.1.14).
  let defaults: [OVSDBDatum]
  private let positions: [String: Int]

  /// The columns of `table` that `selection` names; nil: all. Columns missing from the schema are skipped.
  public init(_ table: TableSchema, selection: [String]? = nil) {
    let chosen = table.columns.values.filter { selection?.contains($0.name) ?? true }.sorted { $0.name < $1.name }
    self.table = table.name
    columns = chosen.map(\.name)
    types = chosen.map(\.type)
    names = chosen.map { Array($0.name.utf8) }
    defaults = chosen.map(\.type.defaultValue)
    positions = Dictionary(uniqueKeysWithValues: chosen.enumerated().map { ($1.name, $0) })
  }

  /// The index of `column` in a row's values; nil if it is not replicated.
  public func position(of column: String) -> Int? { positions[column] }
}
