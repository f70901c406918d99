// ReloadService: SIGHUP reads the configuration file again.

import Logging
import ServiceLifecycle
import UnixSignals

struct ReloadService: Service {
  let daemon: Daemon
  let log: Logger

  func run() async throws {
    let signals = await UnixSignalsSequence(trapping: .sighup)
    for await _ in signals.cancelOnGracefulShutdown() {
      do {
        let answer = try await daemon.reload()
        let changes = answer.changes.isEmpty ? "nothing changed" : answer.changes.joined(separator: ", ")
        log.notice("configuration reloaded: \(changes)")
        for key in answer.needsRestart { log.warning("\(key) changed: it takes effect with the next start") }
      } catch {
        log.error("configuration not reloaded, running on as before: \(error)")
      }
      await daemon.ovsdb.reloadCertificates()
    }
  }
}
