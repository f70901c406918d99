// ServerFixture: a control server on its own socket, and a raw client that can misbehave.

import Foundation
import Glibc
import Logging
import Testing
import VTEPControl

@testable import vtepd

/// A directory that is removed with everything in it.
final class ScratchDirectory: Sendable {
  let path: String

  init() throws {
    path = "/tmp/vtepd-test-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
    try #require(mkdir(path, 0o700) == 0)
  }

  deinit {
    unlink(path + "/vtepd.sock")
    unlink(path + "/file.yaml")
    rmdir(path)
  }

  var socketPath: String { path + "/vtepd.sock" }
}

/// Runs every job on its own thread: the clients of these tests block, and the server needs the common pool.
final class ThreadExecutor: TaskExecutor {
  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    Thread.detachNewThread { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }
}

/// Runs a server while `body` runs; returns when it has stopped.
func withServer(
  handler: RecordingHandler, groups: ControlGroups = ControlGroups(), limits: ControlServer.Limits = .init(),
  _ body: (String) async throws -> Void
) async throws {
  let directory = try ScratchDirectory()
  let server = try ControlServer(
    socketPath: directory.socketPath, commands: handler.commands, groups: groups, limits: limits, logger: quietLogger)
  try await withThrowingTaskGroup(of: Void.self) { group in
    group.addTask { try await server.run() }
    try await withTaskExecutorPreference(ThreadExecutor()) { try await body(directory.socketPath) }
    group.cancelAll()
    try await group.waitForAll()
  }
  #expect(access(directory.socketPath, F_OK) != 0, "the socket's file is gone after the end")
}

/// A blocking connection without any protocol.
final class RawClient: Sendable {
  let descriptor: Int32

  init(_ path: String) throws {
    descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var address = try #require(sockaddr_un(path: path))
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
    }
    try #require(result == 0)
    var limit = timeval(tv_sec: 60, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
  }

  deinit { close(descriptor) }

  /// Returns the number of bytes accepted.
  @discardableResult
  func write(_ bytes: [UInt8], flags: Int = 0) -> Int {
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes {
        send(descriptor, $0.baseAddress?.advanced(by: sent), $0.count - sent, Int32(MSG_NOSIGNAL | flags))
      }
      guard count > 0 else { break }
      sent += count
    }
    return sent
  }

  @discardableResult
  func write(_ text: String) -> Int { write(Array(text.utf8)) }

  /// One byte; nil at the end of the stream.
  func read() -> UInt8? {
    var byte: UInt8 = 0
    return recv(descriptor, &byte, 1, 0) == 1 ? byte : nil
  }

  /// A line without its newline; nil at the end of the stream.
  func readLine() -> String? {
    var line: [UInt8] = []
    while true {
      guard let byte = read() else { return nil }
      if byte == UInt8(ascii: "\n") { return String(decoding: line, as: UTF8.self) }
      line.append(byte)
    }
  }

  func closeSendingSide() { shutdown(descriptor, Int32(SHUT_WR)) }
}

/// Polls until the condition holds.
func eventually(_ comment: Comment, _ condition: () async throws -> Bool) async throws {
  let end = ContinuousClock.now + .seconds(60)
  while ContinuousClock.now < end {
    if try await condition() { return }
    try await Task.sleep(for: .milliseconds(5))
  }
  Issue.record(comment)
}

/// Logs only what should not happen.
var quietLogger: Logger {
  var logger = Logger(label: "test")
  logger.logLevel = .error
  return logger
}

let statusLine = #"{"jsonrpc":"2.0","id":1,"method":"status"}"# + "\n"
