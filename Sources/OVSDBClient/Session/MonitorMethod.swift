// MonitorMethod: the three ways of replicating, of which the best is used that the server knows.

/// How a session gets its replica.
enum MonitorMethod: Sendable, CaseIterable {
  /// Only what changed since the last connection.
  case condSince
  /// All of it, changes as differences.
  case cond
  /// RFC 7047 itself: all of it, changes as old and new rows.
  case plain

  /// What is tried when the server does not know this one.
  var next: MonitorMethod? {
    switch self {
    case .condSince: .cond
    case .cond: .plain
    case .plain: nil
    }
  }

  /// How updates are told.
  var format: TableUpdates.Format {
    self == .plain ? .oldAndNew : .differences
  }
}
