// TableChange: how one row differs between two replicas.

/// One inserted, changed or deleted row.
public struct TableChange: Sendable, Equatable {
  public var table: String
  public var id: RowID
  /// The row before; nil if it was inserted.
  public var old: OVSDBRow?
  /// The row after; nil if it was deleted.
  public var new: OVSDBRow?

  public init(table: String, id: RowID, old: OVSDBRow?, new: OVSDBRow?) {
    self.table = table
    self.id = id
    self.old = old
    self.new = new
  }

  /// The columns whose values differ; all columns for an inserted or deleted row.
  public var changedColumns: [String] {
    guard let old, let new else { return (old ?? new)?.columns ?? [] }
    return new.columns.filter { old[$0] != new[$0] }
  }
}
