// Replica: the monitored contents of the database, always as of one committed transaction. A value: each copy is a snapshot, and
// copies are cheap, because they share unchanged parts (hash trees).

public import HashTreeCollections

/// A consistent snapshot of a database.
public struct Replica: Sendable {
  /// Rows by their UUID. A persistent hash tree: copies share memory, a change costs O(log n).
  public typealias Rows = TreeDictionary<RowID, OVSDBRow>

  /// The server's schema.
  public let schema: DatabaseSchema
  /// The replicated tables that exist in the schema.
  public internal(set) var tables: [String: Rows]
  /// The row layout of each table.
  public let layouts: [String: RowLayout]
  /// The last transaction included; `zero` if the server does not report it.
  public internal(set) var lastTransaction: RowID

  /// An empty replica of these tables (nil: all of the schema) and columns (empty list: all). Tables and columns missing from the
  /// schema are skipped.
  public init(schema: DatabaseSchema, columns: [String: [String]]? = nil) {
    self.schema = schema
    var layouts: [String: RowLayout] = [:]
    for (name, table) in schema.tables {
      guard let columns else {
        layouts[name] = RowLayout(table)
        continue
      }
      guard let selection = columns[name] else { continue }
      layouts[name] = RowLayout(table, selection: selection.isEmpty ? nil : selection)
    }
    self.layouts = layouts
    tables = layouts.mapValues { _ in Rows() }
    lastTransaction = .zero
  }

  /// The rows of a table; empty if the table is not replicated.
  public func rows(_ table: String) -> Rows { tables[table] ?? Rows() }

  /// One row.
  public subscript(_ table: String, _ id: RowID) -> OVSDBRow? { tables[table]?[id] }

  /// Number of rows in all tables.
  public var rowCount: Int { tables.values.reduce(0) { $0 + $1.count } }
}

extension Replica: Equatable {
  /// Whether both hold the same rows; the transaction is ignored.
  public static func == (a: Replica, b: Replica) -> Bool { a.tables == b.tables }
}
