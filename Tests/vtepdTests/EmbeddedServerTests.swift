// EmbeddedServerTests: the parts of the embedded database server: processes, locks, log lines, databases.

import Foundation
import Glibc
import Logging
import Synchronization
import Testing

@testable import vtepd

@Suite struct EmbeddedServerTests {
  /// Started without a shell, which would block signals while it starts a program.
  @Test func aProgramInheritsNothing() async throws {
    // A descriptor without close-on-exec. This process and others ignore signals, for example SIGPIPE.
    let opened = open("/dev/null", O_RDONLY)
    let descriptor = fcntl(opened, F_DUPFD, 100) // a number that the program's own files do not get
    close(opened)
    defer { close(descriptor) }
    let files = try await ChildProcess.run("/bin/ls", ["/proc/self/fd"])
    #expect(!files.split(separator: "\n").contains("\(descriptor)"), "\(files)")
    let status = try await ChildProcess.run("/bin/cat", ["/proc/self/status", "/proc/self/stat"])
    let signals = status.split(separator: "\n").filter { $0.hasPrefix("SigBlk") || $0.hasPrefix("SigIgn") }
    // The C library reserves two signals.
    let none = ["SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000", "SigIgn:\t0000000180000000"]
    #expect(signals.count == 2 && signals.allSatisfy { none.contains(String($0)) }, "\(status)")
    let fields = try #require(status.split(separator: ")").last).split(separator: " ")
    #expect(fields[2] != "\(getpgrp())", "a process group of its own")
  }

  @Test func outputAndEndAreReported() async throws {
    let process = try ChildProcess("/bin/sh", ["-c", "echo one; echo two >&2; printf three; exit 3"])
    let lineBox = LineBox()
    #expect(await process.wait { lineBox.add($0) } == "exit status 3")
    #expect(lineBox.all == ["one", "two", "three"])
    let killed = try ChildProcess("/bin/sh", ["-c", "kill -9 $$"])
    #expect(await killed.wait { _ in } == "signal 9")
    let error = await #expect(throws: ChildProcessError.self) { try await ChildProcess.run("/bin/sh", ["-c", "echo because; exit 1"]) }
    #expect(error?.description == "because")
    #expect(throws: ChildProcessError.self) { try ChildProcess("/nonexistent/program", []) }
  }

  @Test func cancellingEndsTheProgram() async throws {
    let process = try ChildProcess("/bin/sh", ["-c", "trap 'echo told; exit 0' TERM; echo ready; while :; do sleep 0.05; done"])
    let lineBox = LineBox()
    let waiting = Task { await process.wait { lineBox.add($0) } }
    try await eventually("the program runs") { lineBox.all.contains("ready") }
    waiting.cancel()
    #expect(await waiting.value == nil)
    #expect(lineBox.all.last == "told")
  }

  @Test func aLockNamesItsHolder() async throws {
    let path = "/tmp/vtepd-lock-\(getpid())"
    defer { unlink(path) }
    #expect(FileLock.holder(of: path) == nil)
    try "".write(toFile: path, atomically: false, encoding: .utf8)
    #expect(FileLock.holder(of: path) == nil)
    let script = "import fcntl,time; f=open('\(path)','w'); fcntl.lockf(f, fcntl.LOCK_EX); print('locked', flush=True); time.sleep(600)"
    let process = try ChildProcess("/usr/bin/python3", ["-c", script])
    let lineBox = LineBox()
    let waiting = Task { await process.wait { lineBox.add($0) } }
    try await eventually("it is locked") { lineBox.all.contains("locked") }
    #expect(FileLock.holder(of: path) == process.pid)
    process.end()
    _ = await waiting.value
    #expect(FileLock.holder(of: path) == nil)
  }

  @Test(arguments: [
    ("INFO|ovsdb_server|ovsdb-server (Open vSwitch) 3.1.0", Logger.Level.info, "ovsdb_server: ovsdb-server (Open vSwitch) 3.1.0"),
    ("WARN|stream_ssl|a|b", .warning, "stream_ssl: a|b"), ("ERR|x|", .error, "x: "), ("EMER|x|y", .error, "x: y"),
    ("DBG|x|y", .debug, "x: y"),
    ("ovsdb-server: I/O error: no lock", .warning, "ovsdb-server: I/O error: no lock"), ("", .warning, ""),
  ])
  func logLinesHaveLevels(line: String, level: Logger.Level, text: String) {
    #expect(ServerLogLine(line).level == level)
    #expect(ServerLogLine(line).text == text)
  }

  @Test func aDatabaseIsCreatedOnceAndLeftAlone() async throws {
    let folder = "/tmp/vtepd-db-\(getpid())"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let database = DatabaseFile(tools: try OVSDBTools.find(), folder: folder, log: quietLogger)
    // Leftovers of an interrupted attempt.
    try "half".write(toFile: "\(folder)/vtep.db.new", atomically: false, encoding: .utf8)
    try await database.prepare()
    let made = try Data(contentsOf: URL(filePath: database.path))
    try await database.prepare()
    #expect(try Data(contentsOf: URL(filePath: database.path)) == made)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder).filter { !$0.hasPrefix(".") } == ["vtep.db"])

    _ = try await ChildProcess.run("/usr/bin/ovsdb-tool", ["create", "\(folder)/other.db", "/usr/share/openvswitch/vswitch.ovsschema"])
    unlink(database.path)
    rename("\(folder)/other.db", database.path)
    let error = await #expect(throws: EmbeddedServerError.self) { try await database.prepare() }
    #expect(error?.description.contains("holds database 'Open_vSwitch', not hardware_vtep") == true)
  }

  @Test func askingAServerLeavesNoWarningInItsLog() async throws {
    let folder = "/tmp/vtepd-probe-\(getpid())"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let database = DatabaseFile(tools: try OVSDBTools.find(), folder: folder, log: quietLogger)
    try await database.prepare()
    let socket = "\(folder)/sock"
    #expect(await UnixSocketProbe.answers(socket, tenths: 1) == nil)
    let server = try ChildProcess(
      database.tools.server, ["--remote=punix:\(socket)", "--unixctl=\(folder)/ctl", "--verbose=console:warn", database.path])
    let lineBox = LineBox()
    let waiting = Task { await server.wait { lineBox.add($0) } }
    try await eventually("it listens") { UnixSocketProbe.accepts(socket) }
    // The last answer comes after the ends of the connections before it.
    for _ in 0..<3 { #expect(await UnixSocketProbe.answers(socket, tenths: 300) == true) }
    #expect(lineBox.all == [])
    kill(server.pid, SIGSTOP)
    #expect(await UnixSocketProbe.answers(socket, tenths: 2) == false)
    kill(server.pid, SIGCONT)
    server.end()
    _ = await waiting.value
  }
}

/// Lines from another task.
private final class LineBox: Sendable {
  private let lines = Mutex<[String]>([])
  func add(_ line: String) { lines.withLock { $0.append(line) } }
  var all: [String] { lines.withLock { $0 } }
}
