// RemoteStatus: the state of the connection to one remote, in the terms of the Manager table (vtep(5)).

/// State of one remote.
public struct RemoteStatus: Equatable, Sendable {
  public enum State: String, Sendable {
    /// Not tried for now: another remote of the cluster is in use.
    case void = "VOID"
    /// Waiting before the next attempt.
    case backoff = "BACKOFF"
    /// Connecting, or waiting for the server to connect to us.
    case connecting = "CONNECTING"
    /// Connected, and the server answers.
    case active = "ACTIVE"
    /// Connected but silent; a probe has been sent.
    case idle = "IDLE"
  }

  public var remote: Remote
  public var state: State
  /// Seconds in this state.
  public var sinceSeconds: Double
  /// Why the last connection or attempt ended; nil: there was none, or the connection is healthy.
  public var lastError: String?

  public init(remote: Remote, state: State, sinceSeconds: Double, lastError: String?) {
    self.remote = remote
    self.state = state
    self.sinceSeconds = sinceSeconds
    self.lastError = lastError
  }
}
