// SessionEvent: what a session tells whoever drives it.

/// Something that bytes of the peer, or the passing of time, brought about.
public enum SessionEvent: Sendable {
  /// What the server says about the database; nil: it does not have it. Comes at every change.
  case server(ServerDatabase?)
  /// The replica is complete, or complete again.
  case connected(Replica)
  /// One transaction, or several that the server put into one message.
  case changed([TableChange], Replica)
  /// The answer to `transact`.
  case transaction(RequestID, Result<[OperationResult], OVSDBError>)
  /// The answer to `send`.
  case reply(RequestID, Result<JSONValue, OVSDBError>)
  /// A lock that was asked for was got, or lost.
  case lock(String, isHeld: Bool)
  /// A notification that is not the session's business: updates of a monitor that was set up with `send`.
  case notification(method: String, JSONValue)
  /// The session cannot go on: close the connection and call `closed`. Always the last.
  case failed(OVSDBError)
}
