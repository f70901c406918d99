// SessionConfiguration: what a session replicates, and how patient it is.

/// What a session is for.
public struct SessionConfiguration: Sendable {
  /// The database's name.
  public var database: String
  /// The tables to replicate, with these columns of them (an empty list: all); nil means all of the database.
  /// What the server's schema lacks is left out.
  public var columns: [String: [String]]?
  /// Whether of a clustered database only the leader will do. Followers answer too, but with what they had a moment ago.
  public var requiresLeader: Bool
  /// How long the peer may be silent until it is asked for a sign of life, and then once more until it is given up; nil: never.
  public var probeInterval: Duration?
  /// What the peer may send.
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
