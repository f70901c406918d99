// OVSDBOperation: the operations of a transaction, RFC 7047 §5.2.

/// One operation of a transaction.
public enum OVSDBOperation: Sendable, Equatable {
  /// §5.2.1: a new row. Missing columns get their default. `name` lets other operations of the same transaction refer to the row as
  /// `.named(name)`; it must be an identifier (letters, digits, underscores, not beginning with a digit).
  case insert(table: String, row: [String: OVSDBDatum], name: String? = nil)
  /// §5.2.2: reads rows, with these columns (nil: all).
  case select(table: String, where: [OVSDBCondition], columns: [String]? = nil)
  /// §5.2.3: sets columns.
  case update(table: String, where: [OVSDBCondition], row: [String: OVSDBDatum])
  /// §5.2.4: changes columns relative to their current values.
  case mutate(table: String, where: [OVSDBCondition], mutations: [OVSDBMutation])
  /// §5.2.5
  case delete(table: String, where: [OVSDBCondition])
  /// §5.2.6: waits until the rows equal these (`isEqual`) or differ from them, up to the timeout; nil: forever.
  case wait(
    table: String, where: [OVSDBCondition], columns: [String], isEqual: Bool, rows: [[String: OVSDBDatum]], timeoutMilliseconds: Int?)
  /// §5.2.7: with `durable`, the answer comes once the transaction is on disk.
  case commit(durable: Bool)
  /// §5.2.8: aborts the transaction.
  case abort
  /// §5.2.9: a comment for the server's log.
  case comment(String)
  /// §5.2.10: aborts the transaction unless this session holds the lock.
  case assert(lock: String)

  /// The `op` member.
  public var name: String {
    switch self {
    case .insert: "insert"
    case .select: "select"
    case .update: "update"
    case .mutate: "mutate"
    case .delete: "delete"
    case .wait: "wait"
    case .commit: "commit"
    case .abort: "abort"
    case .comment: "comment"
    case .assert: "assert"
    }
  }

  /// The table it applies to.
  public var table: String? {
    switch self {
    case .insert(let table, _, _), .select(let table, _, _), .update(let table, _, _), .mutate(let table, _, _), .delete(let table, _),
      .wait(let table, _, _, _, _, _):
      table
    case .commit, .abort, .comment, .assert: nil
    }
  }
}
