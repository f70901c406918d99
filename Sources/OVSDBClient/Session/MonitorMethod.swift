// MonitorMethod: the three ways to replicate. A session uses the best one that the server supports.

/// How a session gets its replica.
enum MonitorMethod: Sendable, CaseIterable {
  /// Only what changed since the last connection.
  case condSince
  /// Everything; later changes as differences.
  case cond
  /// Plain RFC 7047: everything; later changes as old and new rows.
  case plain

  /// The fallback if the server does not support this one.
  var next: MonitorMethod? {
    switch self {
    case .condSince: .cond
    case .cond: .plain
    case .plain: nil
    }
  }

  /// The format of the updates.
  var format: TableUpdates.Format {
    self == .plain ? .oldAndNew : .differences
  }
}
