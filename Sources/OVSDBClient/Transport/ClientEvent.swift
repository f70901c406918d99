// ClientEvent: what a client tells about its database.

/// What has happened, in order.
public enum ClientEvent: Sendable {
  /// The database is replicated: a fresh, consistent snapshot. Comes after every connection, and says all that changes since the
  /// last one would have said.
  case connected(Replica)
  /// How rows differ from the snapshot before; one for each update message, or for several when they were not taken in time.
  case changed([TableChange], Replica)
  /// The connection is gone, and why. The last snapshot is all that is known.
  case disconnected(String)
}
