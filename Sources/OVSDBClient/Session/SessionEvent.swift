// SessionEvent: what a session reports to its driver.

/// A result of received bytes or of elapsed time.
public enum SessionEvent: Sendable {
  /// The server's row about the database; nil: it does not have it. Sent on every change.
  case server(ServerDatabase?)
  /// The replica is complete (again).
  case connected(Replica)
  /// One transaction, or several that the server put into one message.
  case changed([TableChange], Replica)
  /// The answer to `transact`.
  case transaction(RequestID, Result<[OperationResult], OVSDBError>)
  /// The answer to `send`.
  case reply(RequestID, Result<JSONValue, OVSDBError>)
  /// A requested lock was granted or lost.
  case lock(String, isHeld: Bool)
  /// A notification for somebody else: updates of a monitor set up through `send`.
  case notification(method: String, JSONValue)
  /// The session cannot continue: close the connection and call `closed`. Always the last event.
  case failed(OVSDBError)
}
