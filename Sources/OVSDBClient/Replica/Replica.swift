// Replica: the monitored contents of the database, always as of one committed transaction. A value: each copy is a snapshot, and
// copies are cheap, because they share unchanged parts (hash trees).

public import HashTreeCollections

/// A consistent snapshot of a database.
public struct Replica: Sendable {
  /// Rows by their UUID. A persistent hash tree: copies share memory, a change costs O(log n).
  public typealias Rows = TreeDictionary<RowID, OVSDBRow>

  /// The schema that the server has.
  public let schema: DatabaseSchema
  /// The replicated tables that the schema has.
  public internal(set) var tables: [String: Rows]
  /// What rows of each table look like.
  public let layouts: [String: RowLayout]
  /// The transaction that it is the state after; `zero` when the server does not say.
  public internal(set) var lastTransaction: RowID

  /// An empty one of the tables in `columns` (nil: all of the schema), with these columns of them (an empty list: all).
  /// What the schema lacks is left out.
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

  /// The rows of a table; none of a table that is not replicated.
  public func rows(_ table: String) -> Rows { tables[table] ?? Rows() }

  /// One row.
  public subscript(_ table: String, _ id: RowID) -> OVSDBRow? { tables[table]?[id] }

  /// Rows of all tables together.
  public var rowCount: Int { tables.values.reduce(0) { $0 + $1.count } }
}

extension Replica: Equatable {
  /// Whether both hold the same rows; the transaction does not count.
  public static func == (a: Replica, b: Replica) -> Bool { a.tables == b.tables }
}
