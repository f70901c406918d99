// ReloadService: SIGHUP rereads the configuration file. The file may be half written when the signal arrives: a file that removes
// something is applied only after it has been unchanged for a moment.

import Logging
import ServiceLifecycle

struct ReloadService: Service {
  let daemon: Daemon
  let log: Logger

  /// How long a file that removes something must be unchanged.
  private static let quietTime = Duration.seconds(2)
  private static let pollTime = Duration.milliseconds(100)

  func run() async throws {
    await cancelWhenGracefulShutdown {
      for await sender in Signals.reloads.stream {
        // Signals that arrive during the start are handled once we run.
        while await daemon.state == .starting, !Task.isCancelled { try? await Task.sleep(for: Self.pollTime) }
        await ChangeOrigin.$current.withValue(.process(sender.process, user: sender.user)) { await reload() }
      }
    }
  }

  private func reload() async {
    do {
      let (new, text) = try await settled()
      let answer = try await daemon.apply(new, text: text, action: "SIGHUP")
      let changes = answer.changes.isEmpty ? "nothing changed" : answer.changes.joined(separator: ", ")
      log.notice("configuration reloaded: \(changes)")
      log.notice("audit: \(ChangeOrigin.current.text): SIGHUP: \(answer.summary)")
      daemon.noteChange("\(ChangeOrigin.current.text): SIGHUP: \(answer.summary)", isRefused: false)
      for key in answer.needsRestart { log.warning("\(key) changed: takes effect when vtepd is restarted") }
    } catch is CancellationError {
      return
    } catch {
      log.error("configuration not reloaded, keeping the running one: \(error)")
      log.notice("audit: \(ChangeOrigin.current.text): SIGHUP: refused")
      daemon.noteChange("\(ChangeOrigin.current.text): SIGHUP: refused: \(error)", isRefused: true)
    }
    await daemon.ovsdb.reloadCertificates()
  }

  /// The file's configuration, once it removes nothing or has been quiet.
  private func settled() async throws -> (Configuration, text: String) {
    let loader = ConfigurationLoader()
    var bytes = try loader.bytes(path: daemon.path)
    var new = try loader.load(bytes: bytes, file: daemon.path)
    var quiet = Duration.zero
    var told = ""
    while let loss = await daemon.configuration.loss(to: new, isWhole: bytes.last == UInt8(ascii: "\n")), quiet < Self.quietTime {
      if loss != told {
        told = loss
        log.warning("configuration: \(loss); applying it once the file has been unchanged for \(Self.quietTime.components.seconds) s")
      }
      try await Task.sleep(for: Self.pollTime)
      quiet += Self.pollTime
      guard let latest = try? loader.bytes(path: daemon.path), latest != bytes else { continue }
      (bytes, quiet) = (latest, .zero)
      // A file being written can contain anything.
      if let next = try? loader.load(bytes: bytes, file: daemon.path) { new = next }
    }
    return (try loader.load(bytes: bytes, file: daemon.path), String(decoding: bytes, as: UTF8.self))
  }
}
