// StateKeeper: saves what the next run has to know: at intervals, for a daemon that is killed, and at the end. Neither workers nor the learner
// wait for it.

import Glibc
import Logging
import NIOPosix
import VTEP

actor StateKeeper {
  nonisolated let file: RestartFile
  private let log: Logger
  private var task: Task<Void, Never>?
  /// As last written, without the time.
  private var written: (state: SavedState, seconds: UInt32)?
  private var toldError = ""

  /// A daemon that is killed loses what it has learned since the last time: at most 30 s, with the time that saving takes.
  private static let interval = Duration.seconds(25)
  /// A state that does not change is written again before it counts as old.
  private static let longestSeconds: UInt32 = 600

  init(stateDirectory: String, log: Logger) {
    file = RestartFile(stateDirectory: stateDirectory, log: log)
    self.log = log
  }

  func start(_ reconciler: Reconciler) {
    task = Task { [weak self] in
      while true {
        try? await Task.sleep(for: Self.interval)
        guard !Task.isCancelled else { return }
        await self?.save(reconciler)
      }
    }
  }

  /// Waits for a save that is under way.
  func stop() async {
    task?.cancel()
    await task?.value
    task = nil
  }

  private func save(_ reconciler: Reconciler) async {
    let file = file
    let before = written
    do {
      written = try await NIOThreadPool.singleton.runIfActive {
        var state = reconciler.saved()
        let seconds = state.savedSeconds
        let bytes = state.bytes(boot: RestartFile.boot)
        state.savedSeconds = 0
        if let before, before.state == state, seconds &- before.seconds < Self.longestSeconds { return before }
        try file.save(bytes)
        return (state, seconds)
      }
      toldError = ""
    } catch {
      // Once for each reason.
      if "\(error)" != toldError { log.error("learned addresses and counters are not saved, and a restart would forget them: \(error)") }
      toldError = "\(error)"
    }
  }
}
