// LongPoll: answers that wait a moment for something to happen: events, captured packets, traced frames. The client asks again and again; the
// daemon keeps nothing for it in between, and no thread waits.

enum LongPoll {
  /// Looks until there is news, or the time is up.
  ///
  /// - Parameters:
  ///   - time: to wait at most; 0: one look.
  ///   - pause: between looks.
  ///   - look: an answer, and whether it is worth sending at once.
  /// - Returns: the latest answer. Also when the daemon stops meanwhile.
  static func answer<Answer>(
    within time: Duration, pause: Duration, isolation: isolated (any Actor)? = #isolation,
    _ look: () async throws -> (Answer, isNews: Bool)
  ) async throws -> Answer {
    let end = ContinuousClock.now + time
    while true {
      let (answer, isNews) = try await look()
      if isNews || ContinuousClock.now >= end { return answer }
      guard (try? await Task.sleep(for: pause)) != nil else { return answer }
    }
  }
}
