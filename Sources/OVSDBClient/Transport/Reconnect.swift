// Reconnect: when to connect to which remote. Several remotes are the members of one cluster: after one has failed the others are
// tried at once, and only after a whole round in vain comes a pause, of 1 s at first and twice as long each time, up to
// 8 s. No I/O, no clock: `now` is an argument, in seconds of a monotonic clock.

struct Reconnect {
  /// How a connection, or the attempt at one, ended.
  enum Ending: Equatable, Sendable {
    /// It did not come about, or broke.
    case failed(String)
    /// The member is there, but another one has to be found: it does not lead, or has lost its cluster.
    case unsuitable(String)
    /// We ended it to begin anew with the same remote.
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
  static let longestPause = 8.0

  let remotes: [Remote]
  private var current = 0
  private var state = RemoteStatus.State.void
  private var stateSince: Double
  private var errors: [String?]
  /// Members that may still be tried without a pause.
  private var freeTries: Int
  private var pause = Reconnect.shortestPause
  private var resumesAt: Double?
  /// Since when the connection has been of use.
  private var usefulSince: Double?
  /// A member answered in this round.
  private var hasAnswer = false

  /// - Parameter remotes: at least one.
  init(_ remotes: [Remote], now: Double) {
    precondition(!remotes.isEmpty, "a client without remotes")
    self.remotes = remotes
    errors = Array(repeating: nil, count: remotes.count)
    freeTries = remotes.count - 1
    stateSince = now
  }

  /// The remote that is tried or used, or will be next.
  var currentRemote: Remote { remotes[current] }

  /// What was last wrong with it; nil: nothing, or it is over.
  var currentError: String? { errors[current] }

  /// What to do when there is no connection.
  mutating func next(now: Double) -> Action {
    if let resumesAt, now < resumesAt { return .wait(until: resumesAt) }
    resumesAt = nil
    enter(.connecting, now)
    return .connect(remotes[current])
  }

  /// Makes the next attempt due at once.
  mutating func endPause() { resumesAt = nil }

  /// The connection is there (with TLS: the peer is verified).
  mutating func connected(now: Double) {
    enter(.active, now)
  }

  /// The database is replicated: what was wrong is over.
  mutating func becameUseful(now: Double) {
    guard usefulSince == nil else { return }
    usefulSince = now
    errors[current] = nil
  }

  /// The server was asked whether it is there (true), or has been heard of again (false).
  mutating func probes(_ isProbing: Bool, now: Double) {
    guard state == .active || state == .idle else { return }
    let new = isProbing ? RemoteStatus.State.idle : .active
    if new != state { enter(new, now) }
  }

  /// The connection, or the attempt at one, is over. `next` says how it goes on.
  mutating func ended(_ ending: Ending, now: Double) {
    if let usefulSince, now - usefulSince >= pause {
      // It lived: a new trouble, not the old one.
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
    // A server that connects to us makes its own pauses.
    guard !isPassive else { return }
    if freeTries > 0 {
      freeTries -= 1
      return
    }
    resumesAt = now + pause
    // Members that answer are about to elect a leader: that takes a second, not eight.
    pause = hasAnswer ? Self.shortestPause : min(pause * 2, Self.longestPause)
    freeTries = remotes.count - 1
    hasAnswer = false
  }

  /// State of every remote, in the order they were given.
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
