// ControlClientError: why a command failed. It determines vtepctl's exit status.

import Glibc

/// A failure of the control client.
public enum ControlClientError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The socket cannot be reached, or the connection broke. `code` is an errno value; 0: the daemon closed it.
  case unreachable(operation: String, path: String, code: Int32)
  /// No complete answer within the time allowed.
  case timedOut(method: String, seconds: Double)
  /// The answer violates the protocol.
  case malformedAnswer(method: String, reason: String)
  /// The daemon's own refusal.
  case refused(ControlError)

  public var description: String {
    switch self {
    case .unreachable(let operation, let path, let code):
      let reason = code == 0 ? "the daemon closed the connection" : Self.text(of: code)
      return "\(operation) \(path): \(reason)"
    case .timedOut(let method, let seconds):
      return "\(method): no answer within \(seconds) s"
    case .malformedAnswer(let method, let reason):
      return "\(method): malformed answer: \(reason)"
    case .refused(let error):
      return error.description
    }
  }

  private static func text(of code: Int32) -> String {
    strerror(code).map { String(cString: $0) } ?? "error \(code)"
  }
}
