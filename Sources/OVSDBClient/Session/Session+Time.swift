// Session+Time: is the peer still there? RFC 7047 §4.1.11: either side may send `echo` at any time. Any byte of the peer is a
// sign of life, so that a large answer on a slow line is not taken for silence.

extension Session {
  /// When `tick` wants to be called; nil while there is nothing to wait for.
  public var deadline: ContinuousClock.Instant? {
    guard isOpen, let interval = configuration.probeInterval, let lastHeard else { return nil }
    return (probed ?? lastHeard).advanced(by: interval)
  }

  /// Asks a silent peer for a sign of life, or gives it up. To be called at `deadline`; earlier calls do nothing.
  public mutating func tick(now: ContinuousClock.Instant) -> [SessionEvent] {
    guard let deadline, now >= deadline, let lastHeard else { return [] }
    var events: [SessionEvent] = []
    if probed == nil {
      probed = now
      request(.echo([]), .ignored)
    } else {
      fail(.silent(seconds: lastHeard.duration(to: now) / .seconds(1)), &events)
    }
    return events
  }
}
