// RemoteStatus: how the connection to one remote stands, in the words of the Manager table (vtep(5)).

/// State of one remote.
public struct RemoteStatus: Equatable, Sendable {
  public enum State: String, Sendable {
    /// Not tried for now: another remote of the cluster is.
    case void = "VOID"
    /// Waits before the next attempt.
    case backoff = "BACKOFF"
    /// A connection is being made, or waited for where the server connects to us.
    case connecting = "CONNECTING"
    /// Connected, and the server answers.
    case active = "ACTIVE"
    /// Connected, silent for a while, and asked whether it is still there.
    case idle = "IDLE"
  }

  public var remote: Remote
  public var state: State
  /// Since when it has been in this state, in seconds.
  public var sinceSeconds: Double
  /// Why the last connection ended or failed; nil: there was none, or it is healthy.
  public var lastError: String?

  public init(remote: Remote, state: State, sinceSeconds: Double, lastError: String?) {
    self.remote = remote
    self.state = state
    self.sinceSeconds = sinceSeconds
    self.lastError = lastError
  }
}
