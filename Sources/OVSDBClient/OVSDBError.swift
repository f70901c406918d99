// OVSDBError: this module's only error type.

/// A failed operation on a database.
public enum OVSDBError: Error, Sendable, Equatable {
  /// The peer's bytes are not valid JSON.
  case json(JSONError)
  /// The peer's message is valid JSON but violates RFC 7047; the text names the place.
  case malformed(String)
  /// The server refused a request: the method and the server's error.
  case refused(method: String, error: String, details: String?)
  /// The server rejected a transaction; nothing was changed.
  case transaction(TransactionFailure)
  /// The connection ended before the server answered. Only the replica will show whether the transaction was committed.
  case unknownOutcome(String)
  /// Nothing was sent: there is no connection, or the database is not replicated yet.
  case notConnected(String)
  /// The peer has been silent for too long.
  case silent(seconds: Double)
  /// The remote was unreachable or the connection broke; the text gives the peer and the cause.
  case connection(String)
  /// TLS failed; the text names the certificate or version and the cause.
  case tls(String)
  /// We cancelled the request.
  case cancelled

  /// The operation that failed a transaction.
  public struct TransactionFailure: Error, Sendable, Equatable {
    /// The operation's position; nil if each was valid but they could not be committed together.
    public var index: Int?
    /// For example "insert Ucast_Macs_Local"; "commit" when `index` is nil.
    public var operation: String
    /// The server's error, for example "constraint violation" (RFC 7047 §3.1, §5.2).
    public var error: String
    /// The server's details, if any.
    public var details: String?

    public init(index: Int?, operation: String, error: String, details: String?) {
      self.index = index
      self.operation = operation
      self.error = error
      self.details = details
    }
  }
}

extension OVSDBError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .json(let error): "\(error)"
    case .malformed(let text): text
    case .refused(let method, let error, let details): "\(method): " + Self.join(error, details)
    case .transaction(let failure): "\(failure.operation): " + Self.join(failure.error, failure.details)
    case .unknownOutcome(let text): "outcome unknown: \(text)"
    case .notConnected(let text): "not connected: \(text)"
    case .silent(let seconds): "no answer for \(seconds) s"
    case .connection(let text), .tls(let text): text
    case .cancelled: "cancelled"
    }
  }

  private static func join(_ error: String, _ details: String?) -> String {
    details.map { "\(error) (\($0))" } ?? error
  }
}
