// SessionConfiguration: what a session replicates, and its timeouts and limits.

/// The settings of a session.
public struct SessionConfiguration: Sendable {
  /// The database's name.
  public var database: String
  /// The tables to replicate and their columns (empty list: all columns); nil: the whole database. Columns missing from the
  /// server's schema are skipped.
  public var columns: [String: [String]]?
  /// Whether only the leader of a clustered database is acceptable. Followers answer too, but with slightly stale data.
  public var requiresLeader: Bool
  /// Seconds of silence before the peer is probed, and again before it is given up; nil: never.
  public var probeInterval: Duration?
  /// Limits on the peer's messages.
  public var limits: JSONLimits

  public init(
    database: String, columns: [String: [String]]? = nil, requiresLeader: Bool = true, probeInterval: Duration? = .seconds(5),
    limits: JSONLimits = JSONLimits()
  ) {
    self.database = database
    self.columns = columns
    self.requiresLeader = requiresLeader
    self.probeInterval = probeInterval
    self.limits = limits
  }
}
