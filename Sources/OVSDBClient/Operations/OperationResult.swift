// OperationResult: the answer to one operation of a committed transaction, RFC 7047 §5.2.

/// The result of one operation.
public enum OperationResult: Sendable, Equatable {
  /// insert: the UUID of the new row.
  case inserted(RowID)
  /// select: rows with their UUIDs (present if `_uuid` or no column was requested).
  case rows([SelectedRow])
  /// update, mutate, delete: the number of rows that matched.
  case count(Int)
  /// wait, commit, comment, assert: done.
  case done

  /// A row that was read.
  public struct SelectedRow: Sendable, Equatable {
    public var id: RowID?
    public var row: OVSDBRow

    public init(id: RowID?, row: OVSDBRow) {
      self.id = id
      self.row = row
    }
  }

  /// The UUID of an inserted row; nil for other operations.
  public var insertedID: RowID? {
    guard case .inserted(let id) = self else { return nil }
    return id
  }

  /// The number of rows that matched; nil for other operations.
  public var count: Int? {
    guard case .count(let count) = self else { return nil }
    return count
  }
}
