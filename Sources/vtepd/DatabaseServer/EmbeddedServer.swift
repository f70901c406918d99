// EmbeddedServer: runs an ovsdb-server, so that controllers can connect to the switch as to a hardware VTEP: on a database in
// state-dir, with a Unix socket in run-dir, and on the targets in the Manager rows. Restarts it when it exits or hangs, and stops it
// with vtepd. A server left behind by a killed vtepd is stopped first: never two servers on one database.

import Glibc
import Logging
import OVSDBClient

struct EmbeddedServer: Sendable {
  let runDirectory: String
  let stateDirectory: String
  /// For Manager targets with TLS.
  let tls: TLSSettings?
  /// Silence, in seconds, after which it is asked for a sign of life; 0: never.
  let probeSeconds: Int
  let log: Logger
  /// Receives an event for the operator: the server exited or hangs.
  let report: @Sendable (String) async -> Void

  /// It is killed if it answers nothing for this many probes: far longer than compacting a large database takes.
  private static let silentProbes = 3

  /// Delay between attempts, initial and maximum, in seconds.
  private static let shortestPause = 1.0
  private static let longestPause = 8.0

  var socketPath: String { "\(runDirectory)/db.sock" }
  private var pidPath: String { "\(runDirectory)/ovsdb-server.pid" }

  /// The remote for clients.
  var remote: Remote { Remote(.unix(path: socketPath)) }

  /// Checks what can be checked without starting anything, and creates the database's folder.
  ///
  /// - Throws: what is missing, and what to install.
  func check() throws(EmbeddedServerError) {
    _ = try OVSDBTools.find()
    do {
      try RunDirectory.create(stateDirectory, key: "state-dir")
    } catch {
      throw EmbeddedServerError(description: "\(error)")
    }
    guard access(stateDirectory, W_OK) == 0 else {
      throw EmbeddedServerError(description: "cannot write to state-dir \(stateDirectory): \(String(cString: strerror(errno)))")
    }
  }

  /// Keeps a server running until the task is cancelled.
  ///
  /// - Parameter ready: called each time clients can connect.
  func run(ready: @escaping @Sendable () async -> Void) async {
    var pause = Self.shortestPause
    var lastComplaint = ""
    while !Task.isCancelled {
      let start = ContinuousClock.now
      do {
        try check()
        let database = DatabaseFile(tools: try OVSDBTools.find(), folder: stateDirectory, log: log)
        try await endPredecessor(of: database)
        try await database.prepare()
        let ending = try await serve(database, ready)
        guard !Task.isCancelled else { return }
        lastComplaint = ""
        let message = "ovsdb-server exited (\(ending ?? "exit status 0")); restarting it"
        log.error("OVSDB: \(message)")
        await report(message)
      } catch {
        guard !Task.isCancelled else { return }
        // Log a repeated error only once.
        if "\(error)" != lastComplaint { log.error("OVSDB: no database server: \(error)") }
        lastComplaint = "\(error)"
      }
      // A server that had been running is restarted at once.
      if ContinuousClock.now - start > .seconds(Self.longestPause) {
        pause = Self.shortestPause
        continue
      }
      try? await Task.sleep(for: .seconds(pause))
      pause = min(pause * 2, Self.longestPause)
    }
  }

  /// Runs one server until it exits.
  private func serve(_ database: DatabaseFile, _ ready: @escaping @Sendable () async -> Void) async throws -> String? {
    let process = try ChildProcess(database.tools.server, arguments(database))
    let log = log
    return await withTaskGroup(of: Void.self) { tasks in
      tasks.addTask {
        while !Task.isCancelled {
          if FileLock.holder(of: pidPath) == process.pid, UnixSocketProbe.accepts(socketPath) {
            await ready()
            return await watch(process)
          }
          try? await Task.sleep(for: .milliseconds(20))
        }
      }
      let ending = await process.wait { line in
        let line = ServerLogLine(line)
        log.log(level: line.level, "ovsdb-server: \(line.text)")
      }
      tasks.cancelAll()
      return ending
    }
  }

  /// Kills the server when it no longer answers; whoever waits for it restarts it.
  private func watch(_ process: ChildProcess) async {
    guard probeSeconds > 0 else { return }
    while !Task.isCancelled {
      guard (try? await Task.sleep(for: .seconds(probeSeconds))) != nil else { return }
      guard await UnixSocketProbe.answers(socketPath, tenths: probeSeconds * Self.silentProbes * 10) == false else { continue }
      let message = "ovsdb-server has not answered for \(probeSeconds * Self.silentProbes) s; killing it"
      log.error("OVSDB: \(message)")
      await report(message)
      process.kill()
      return
    }
  }

  private func arguments(_ database: DatabaseFile) -> [String] {
    var words = [
      "--pidfile=\(pidPath)", "--unixctl=\(runDirectory)/ovsdb-server.ctl", "--remote=punix:\(socketPath)",
      "--remote=db:\(DatabaseFile.name),Global,managers", "--verbose=PATTERN:console:\(ServerLogLine.pattern)", "--verbose=console:info",
      "--verbose=syslog:off",
    ]
    if let tls {
      words += ["--private-key=\(tls.privateKeyPath)", "--certificate=\(tls.certificatePath)", "--ca-cert=\(tls.caCertificatePath)"]
    }
    return words + [database.path]
  }

  /// Stops the server left behind by a killed vtepd.
  ///
  /// - Throws: if another process has the database open, or the old server does not exit.
  private func endPredecessor(of database: DatabaseFile) async throws(EmbeddedServerError) {
    // Only our servers write our pid file, and the control socket guarantees that no other vtepd uses this run-dir.
    if let pid = FileLock.holder(of: pidPath) {
      log.notice("OVSDB: stopping ovsdb-server \(pid), left behind by an earlier vtepd")
      kill(pid, SIGTERM)
      for attempt in 0..<500 {
        guard FileLock.holder(of: pidPath) == pid else { break }
        if attempt == 250 { kill(pid, SIGKILL) }
        try? await Task.sleep(for: .milliseconds(20))
      }
    }
    if let pid = FileLock.holder(of: database.lockPath) {
      throw EmbeddedServerError(
        description: "\(database.path) is in use by process \(pid): stop it, or choose another state-dir")
    }
  }
}
