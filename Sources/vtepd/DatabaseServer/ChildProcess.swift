// ChildProcess: runs a program and waits for it. It inherits no open files (DPDK's, guests' memory) and has default signal handlers
// and its own process group: Ctrl-C reaches only vtepd, which then stops it in order.

import CSpawn
import Glibc
import NIOCore
import NIOPosix
import Synchronization

/// A program could not be started.
struct ChildProcessError: Error, CustomStringConvertible {
  var description: String
}

/// A running program whose output we read.
final class ChildProcess: Sendable {
  let pid: pid_t
  /// Its standard output and standard error.
  private let output: Int32
  /// It has been reaped: its PID may have been reused.
  private let isGone = Mutex(false)

  /// How long it may take to exit after SIGTERM.
  private static let patience = Duration.seconds(5)

  init(_ path: String, _ arguments: [String]) throws(ChildProcessError) {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { throw Self.error("pipe", errno) }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
    posix_spawn_file_actions_adddup2(&actions, ends[1], 2)
    posix_spawn_file_actions_addclosefrom_np(&actions, 3)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var signals = sigset_t()
    sigfillset(&signals)
    posix_spawnattr_setsigdefault(&attributes, &signals)
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP))

    var words: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) }
    words.append(nil)
    defer { for word in words { free(word) } }
    var pid: pid_t = 0
    let code = posix_spawn(&pid, path, &actions, &attributes, words, environ)
    close(ends[1])
    guard code == 0 else {
      close(ends[0])
      throw Self.error(path, code)
    }
    self.pid = pid
    output = ends[0]
  }

  /// Reads its output and waits until it exits. Call it once. Cancelling the task terminates the program.
  ///
  /// - Parameter line: receives each line of the output.
  /// - Returns: how it ended, e.g. `exit status 1`; nil: exit status 0.
  func wait(_ line: @escaping @Sendable (String) -> Void) async -> String? {
    // Not a child of the task: after cancellation, the last output must still be read.
    let reading = Task { await self.read(line) }
    await withTaskCancellationHandler {
      await reading.value
    } onCancel: {
      end()
    }
    return await Task { await self.reap() }.value
  }

  /// Sends SIGTERM, and SIGKILL if it does not exit in time.
  func end() {
    signal(SIGTERM)
    Task {
      try? await Task.sleep(for: Self.patience)
      signal(SIGKILL)
    }
  }

  /// Sends SIGKILL, which also ends a stopped process.
  func kill() { signal(SIGKILL) }

  private func signal(_ number: Int32) {
    isGone.withLock { if !$0 { Glibc.kill(pid, number) } }
  }

  private func read(_ line: @escaping @Sendable (String) -> Void) async {
    let descriptor = output
    do {
      let pipe = try await NIOPipeBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .takingOwnershipOfDescriptor(input: descriptor) { channel in
          channel.eventLoop.makeCompletedFuture { try NIOAsyncChannel<ByteBuffer, Never>(wrappingChannelSynchronously: channel) }
        }
      try await pipe.executeThenClose { inbound, _ in
        var rest = ""
        for try await bytes in inbound {
          rest += String(buffer: bytes)
          var lines = rest.split(separator: "\n", omittingEmptySubsequences: false)
          rest = String(lines.popLast() ?? "")
          for text in lines { line(String(text)) }
        }
        if !rest.isEmpty { line(rest) }
      }
    } catch {
      line("cannot read its output: \(error)")
    }
  }

  /// Its output has ended, so it has exited or is about to.
  private func reap() async -> String? {
    var status: Int32 = 0
    while true {
      let result = isGone.withLock { isGone in
        let result = waitpid(pid, &status, WNOHANG)
        if result != 0 { isGone = true }
        return result
      }
      if result != 0 { break }
      try? await Task.sleep(for: .milliseconds(10))
    }
    let signal = status & 0x7f
    if signal != 0 { return "signal \(signal)" }
    let code = status >> 8 & 0xff
    return code == 0 ? nil : "exit status \(code)"
  }

  /// Runs a program to its end.
  ///
  /// - Returns: its output.
  /// - Throws: if it cannot be started or its exit status is not 0; the error includes its output.
  static func run(_ path: String, _ arguments: [String]) async throws(ChildProcessError) -> String {
    let process = try ChildProcess(path, arguments)
    let collected = Collected()
    let ending = await process.wait { collected.add($0) }
    let text = collected.text
    guard let ending else { return text }
    throw ChildProcessError(description: text.isEmpty ? "\(path): \(ending)" : text)
  }

  private static func error(_ subject: String, _ code: Int32) -> ChildProcessError {
    ChildProcessError(description: "\(subject): \(String(cString: strerror(code)))")
  }
}

/// Lines of a program's output.
private final class Collected: Sendable {
  private let lines = Mutex<[String]>([])

  func add(_ line: String) { lines.withLock { $0.append(line) } }
  var text: String { lines.withLock { $0.joined(separator: "\n") } }
}
