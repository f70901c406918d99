// RowLayout: the columns that rows of one table have, shared by all of them: a row is an array of values, not a dictionary.

/// The columns of a table that are replicated, in the order in which rows hold their values.
public final class RowLayout: Sendable {
  /// The table's name.
  public let table: String
  /// The names of the columns, ascending.
  public let columns: [String]
  /// Their types.
  let types: [ColumnType]
  /// The names as the bytes that stand in messages.
  let names: [[UInt8]]
  /// What a column has that a message leaves out (ovsdb-server(7) §4.1.14).
  let defaults: [OVSDBDatum]
  private let positions: [String: Int]

  /// The layout of the columns of `table` that `selection` names; nil means all. Columns that the schema lacks are left out.
  public init(_ table: TableSchema, selection: [String]? = nil) {
    let chosen = table.columns.values.filter { selection?.contains($0.name) ?? true }.sorted { $0.name < $1.name }
    self.table = table.name
    columns = chosen.map(\.name)
    types = chosen.map(\.type)
    names = chosen.map { Array($0.name.utf8) }
    defaults = chosen.map(\.type.defaultValue)
    positions = Dictionary(uniqueKeysWithValues: chosen.enumerated().map { ($1.name, $0) })
  }

  /// Where the values of `column` stand; nil when it is not replicated.
  public func position(of column: String) -> Int? { positions[column] }
}
