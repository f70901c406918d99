// HardwareVTEPRow: what all typed rows share: they are read from replicated rows, and only the differing columns are written.

/// A typed row of `hardware_vtep`.
public protocol HardwareVTEPRow: Sendable, Equatable {
  /// The row's UUID; `RowID.zero` before it is inserted.
  var id: RowID { get }
  /// Reads a row; nil if an essential column is missing.
  init?(_ id: RowID, _ row: OVSDBRow)
  /// The values to write.
  var columns: [String: OVSDBDatum] { get }
}

extension HardwareVTEPRow {
  /// The operation that inserts the row.
  ///
  /// - Parameter name: other operations of the transaction refer to the row as `.named(name)`.
  /// - Parameter references: columns that refer to rows of the same transaction; they override the typed value.
  public func insertion(
    into table: HardwareVTEP.Table, name: String? = nil, references: [String: OVSDBDatum] = [:]
  ) -> OVSDBOperation {
    .insert(table: table.rawValue, row: columns.merging(references) { $1 }, name: name)
  }

  /// The operation that turns the row into `new`: only the columns that differ; nil if none does.
  public func update(to new: Self, in table: HardwareVTEP.Table) -> OVSDBOperation? {
    let old = columns
    let changed = new.columns.filter { old[$0.key] != $0.value }
    return changed.isEmpty ? nil : .update(table: table.rawValue, where: [.row(id)], row: changed)
  }

  /// The operation that deletes the row.
  public func deletion(from table: HardwareVTEP.Table) -> OVSDBOperation {
    .delete(table: table.rawValue, where: [.row(id)])
  }
}

extension Replica {
  /// The rows of a table as typed values. Rows that cannot be read are skipped.
  public func all<Row: HardwareVTEPRow>(_ type: Row.Type, in table: HardwareVTEP.Table) -> [RowID: Row] {
    let rows = rows(table.rawValue)
    var typed: [RowID: Row] = [:]
    typed.reserveCapacity(rows.count)
    for (id, row) in rows { typed[id] = Row(id, row) }
    return typed
  }

  /// One row as a typed value; nil if it does not exist or cannot be read.
  public func one<Row: HardwareVTEPRow>(_ type: Row.Type, in table: HardwareVTEP.Table, _ id: RowID) -> Row? {
    self[table.rawValue, id].flatMap { Row(id, $0) }
  }
}
