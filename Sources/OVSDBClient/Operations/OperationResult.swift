// OperationResult: what one operation of a committed transaction answers, RFC 7047 §5.2.

/// The answer to one operation.
public enum OperationResult: Sendable, Equatable {
  /// insert: the UUID of the new row.
  case inserted(RowID)
  /// select: rows with their UUIDs (which are there if `_uuid` was asked for, or no columns were named).
  case rows([SelectedRow])
  /// update, mutate, delete: how many rows matched.
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

  /// The UUID of an inserted row; nil of another operation.
  public var insertedID: RowID? {
    guard case .inserted(let id) = self else { return nil }
    return id
  }

  /// Rows that matched; nil of another operation.
  public var count: Int? {
    guard case .count(let count) = self else { return nil }
    return count
  }
}
