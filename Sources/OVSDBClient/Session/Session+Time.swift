// Session+Time: is the peer still alive? RFC 7047 §4.1.11: either side may send `echo` at any time. Any byte from the peer is a
// sign of life, so a large answer on a slow link does not look like silence.

extension Session {
  /// When to call `tick`; nil while there is nothing to wait for.
  public var deadline: ContinuousClock.Instant? {
    guard isOpen, let interval = configuration.probeInterval, let lastHeard else { return nil }
    return (probed ?? lastHeard).advanced(by: interval)
  }

  /// Probes a silent peer, or gives it up. Call it at `deadline`; earlier calls do nothing.
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
