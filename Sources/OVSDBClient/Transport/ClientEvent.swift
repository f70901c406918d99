// ClientEvent: what a client reports about its database.

/// Events, in order.
public enum ClientEvent: Sendable {
  /// The database is replicated: a fresh, consistent snapshot. Sent after every connection; it includes all changes since the last
  /// event.
  case connected(Replica)
  /// How rows differ from the previous snapshot: one update message, or several merged because they were not taken in time.
  case changed([TableChange], Replica)
  /// The connection is lost, and why. The last snapshot is the latest known state.
  case disconnected(String)
}
