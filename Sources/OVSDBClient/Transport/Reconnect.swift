// Reconnect: when to connect to which remote. Several remotes are members of one cluster: after one fails, the others are tried at
// once. Only after a whole round without success does it pause, for 1 s at first, doubling up to a limit. No I/O, no clock: `now` is an
// argument, in seconds of a monotonic clock.

struct Reconnect {
  /// How a connection, or an attempt, ended.
  enum Ending: Equatable, Sendable {
    /// It failed or broke.
    case failed(String)
    /// The member answers, but is unsuitable: it does not lead, or has lost contact with its cluster.
    case unsuitable(String)
    /// We closed it to reconnect to the same remote.
    case renewed(String)

    var reason: String {
      switch self {
      case .failed(let reason), .unsuitable(let reason), .renewed(let reason): reason
      }
    }
  }

  enum Action: Equatable {
    case connect(Remote)
    case wait(until: Double)
  }

  static let shortestPause = 1.0
  static let defaultLongestPause = 8.0

  let remotes: [Remote]
  private let longestPause: Double
  private var current = 0
  private var state = RemoteStatus.State.void
  private var stateSince: Double
  private var errors: [String?]
  /// Members that may still be tried without a pause.
  private var freeTries: Int
  private var pause = Reconnect.shortestPause
  private var resumesAt: Double?
  /// Since when the database has been replicated over this connection.
  private var usefulSince: Double?
  /// A member answered in this round.
  private var hasAnswer = false

  /// - Parameters:
  ///   - remotes: at least one.
  ///   - longestPause: in seconds, at least 1.
  init(_ remotes: [Remote], longestPause: Double = Self.defaultLongestPause, now: Double) {
    precondition(!remotes.isEmpty, "a client without remotes")
    self.remotes = remotes
    self.longestPause = longestPause
    errors = Array(repeating: nil, count: remotes.count)
    freeTries = remotes.count - 1
    stateSince = now
  }

  /// The remote in use, or the next one to try.
  var currentRemote: Remote { remotes[current] }

  /// Its last error; nil: none, or it is resolved.
  var currentError: String? { errors[current] }

  /// What to do while there is no connection.
  mutating func next(now: Double) -> Action {
    if let resumesAt, now < resumesAt { return .wait(until: resumesAt) }
    resumesAt = nil
    enter(.connecting, now)
    return .connect(remotes[current])
  }

  /// Makes the next attempt due at once.
  mutating func endPause() { resumesAt = nil }

  /// The connection is established (with TLS: the peer is verified).
  mutating func connected(now: Double) {
    enter(.active, now)
  }

  /// The database is replicated: earlier errors are resolved.
  mutating func becameUseful(now: Double) {
    guard usefulSince == nil else { return }
    usefulSince = now
    errors[current] = nil
  }

  /// The server is being probed (true), or has been heard from again (false).
  mutating func probes(_ isProbing: Bool, now: Double) {
    guard state == .active || state == .idle else { return }
    let new = isProbing ? RemoteStatus.State.idle : .active
    if new != state { enter(new, now) }
  }

  /// The connection or attempt has ended. `next` says how to continue.
  mutating func ended(_ ending: Ending, now: Double) {
    if let usefulSince, now - usefulSince >= pause {
      // It worked for a while: count this as a first failure.
      pause = Self.shortestPause
      freeTries = remotes.count - 1
      hasAnswer = false
    }
    usefulSince = nil
    switch ending {
    case .renewed(let reason):
      errors[current] = reason
      enter(.backoff, now)
      return
    case .unsuitable(let reason):
      errors[current] = reason
      hasAnswer = true
    case .failed(let reason): errors[current] = reason
    }
    let isPassive = remotes[current].isPassive
    current = (current + 1) % remotes.count
    enter(.backoff, now)
    // A server that connects to us paces its own attempts.
    guard !isPassive else { return }
    if freeTries > 0 {
      freeTries -= 1
      return
    }
    resumesAt = now + pause
    // Members that answer are about to elect a leader: that takes a second, not eight.
    pause = hasAnswer ? Self.shortestPause : min(pause * 2, longestPause)
    freeTries = remotes.count - 1
    hasAnswer = false
  }

  /// The state of every remote, in the configured order.
  func status(now: Double) -> [RemoteStatus] {
    remotes.indices.map { index in
      let isConcerned = index == current || state == .backoff
      return RemoteStatus(
        remote: remotes[index], state: isConcerned ? state : .void, sinceSeconds: now - stateSince, lastError: errors[index])
    }
  }

  private mutating func enter(_ new: RemoteStatus.State, _ now: Double) {
    state = new
    stateSince = now
  }
}
