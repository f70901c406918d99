// The client against scripted daemons: answers in pieces, pages, errors, silence, closed connections and nonsense.

import FoundationEssentials
import Glibc
import Testing

@testable import VTEPControl

/// A daemon that accepts one client and runs a script on its connection.
private final class ScriptedDaemon: Sendable {
  let path: String
  private let listener: Int32

  init() throws {
    path = "/tmp/vtep-client-test-\(getpid())-\(UInt32.random(in: 0...UInt32.max)).sock"
    // Other tests start programs, which must not inherit our connections.
    listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var address = try #require(sockaddr_un(path: path))
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
    }
    try #require(result == 0 && listen(listener, 4) == 0)
  }

  deinit {
    close(listener)
    unlink(path)
  }

  /// Runs the script in its own thread; at the end the connection is closed.
  func play(_ script: @escaping @Sendable (Connection) -> Void) {
    let listener = listener
    Thread.start {
      let descriptor = accept(listener, nil, nil)
      script(Connection(descriptor: descriptor))
      close(descriptor)
    }
  }

  struct Connection {
    let descriptor: Int32

    func readLine() -> String {
      var line: [UInt8] = []
      var byte: UInt8 = 0
      while read(descriptor, &byte, 1) == 1, byte != UInt8(ascii: "\n") { line.append(byte) }
      return String(decoding: line, as: UTF8.self)
    }

    func write(_ text: String) {
      _ = Array(text.utf8).withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    }
  }
}

private enum Thread {
  static func start(_ body: @escaping @Sendable () -> Void) {
    final class Box: Sendable {
      let body: @Sendable () -> Void
      init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    pthread_create(
      &thread, nil,
      {
        Unmanaged<Box>.fromOpaque($0!).takeRetainedValue().body(); return nil
      }, Unmanaged.passRetained(Box(body)).toOpaque())
    pthread_detach(thread)
  }
}

private let answer = #"{"jsonrpc":"2.0","id":1,"result":{"changed":true}}"# + "\n"

@Suite struct ControlClientTests {
  private func send<Request: ControlRequest>(_ request: Request, to daemon: ScriptedDaemon, timeoutSeconds: Double = 30)
    throws(ControlClientError) -> Request.Answer
  {
    var client = try ControlClient(socketPath: daemon.path, timeoutSeconds: timeoutSeconds)
    return try client.send(request)
  }

  @Test func requestFollowsTheProtocol() throws {
    let daemon = try ScriptedDaemon()
    daemon.play { connection in
      let line = connection.readLine()
      let wanted = #"{"id":1,"jsonrpc":"2.0","method":"mac.add","params":{"mac":"02:00:00:00:00:01","vni":5,"vtep":"192.0.2.2"}}"#
      connection.write(line == wanted ? answer : #"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"got: \#(line.count)"}}"# + "\n")
    }
    #expect(try send(AddMAC(vni: 5, mac: "02:00:00:00:00:01", vtep: "192.0.2.2"), to: daemon) == ChangeAnswer(changed: true))
  }

  @Test func answerMayComeInPieces() throws {
    let daemon = try ScriptedDaemon()
    daemon.play { connection in
      _ = connection.readLine()
      for character in answer {
        connection.write(String(character))
        usleep(200)
      }
    }
    #expect(try send(FlushMACs(), to: daemon).changed)
  }

  @Test func pagesAreRequestedUntilTheLast() throws {
    let daemon = try ScriptedDaemon()
    daemon.play { connection in
      for (id, next) in [(1, "5"), (2, "9"), (3, "null")] {
        let line = connection.readLine()
        let isAsked = id == 1 ? !line.contains("cursor") : line.contains(#""cursor":\#(id == 2 ? 5 : 9)"#)
        let rows = id == 2 || !isAsked ? "" : #"{"vni":\#(id),"mac":"m","type":"learned","location":"port","moves":0}"#
        connection.write(#"{"jsonrpc":"2.0","id":\#(id),"result":{"rows":[\#(rows)],"next":\#(next)}}"# + "\n")
      }
    }
    var client = try ControlClient(socketPath: daemon.path, timeoutSeconds: 30)
    var vnis: [UInt32] = []
    try client.forEachPage(of: ShowMACTable()) { rows in
      vnis += rows.map(\.vni)
      return true
    }
    #expect(vnis == [1, 3])
  }

  @Test func rowsArePassedOnAsTheyAre() throws {
    let daemon = try ScriptedDaemon()
    daemon.play { connection in
      for (id, next) in [(1, "5"), (2, "null")] {
        _ = connection.readLine()
        connection.write(#"{"jsonrpc":"2.0","id":\#(id),"result":{"rows":[{"of a later version":\#(id)}],"next":\#(next)}}"# + "\n")
      }
      _ = connection.readLine()
      connection.write(#"{"jsonrpc":"2.0","id":3,"error":{"code":-32001,"message":"no"}}"# + "\n")
    }
    var client = try ControlClient(socketPath: daemon.path, timeoutSeconds: 30)
    var rows: [String] = []
    try client.forEachPageOfText(of: ShowMACTable()) { page in
      rows += page.map { String(decoding: $0, as: UTF8.self) }
      return true
    }
    #expect(rows == [#"{"of a later version":1}"#, #"{"of a later version":2}"#])
    #expect(throws: ControlClientError.self) { try client.forEachPageOfText(of: ShowMACTable()) { _ in true } }
  }

  @Test func pageThatFollowsItselfEndsTheWalk() throws {
    let daemon = try ScriptedDaemon()
    daemon.play { connection in
      for id in 1...3 {
        _ = connection.readLine()
        connection.write(#"{"jsonrpc":"2.0","id":\#(id),"result":{"rows":[],"next":5}}"# + "\n")
      }
    }
    var client = try ControlClient(socketPath: daemon.path, timeoutSeconds: 30)
    do throws(ControlClientError) {
      try client.forEachPage(of: ShowMACTable()) { _ in true }
      Issue.record("no error")
    } catch {
      #expect(error == .malformedAnswer(method: "show.mac-table", reason: "page 5 follows itself"))
    }
  }

  @Test func refusalIsTheDaemonsError() throws {
    let daemon = try ScriptedDaemon()
    daemon.play { connection in
      _ = connection.readLine()
      connection.write(#"{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"no","data":{"details":["a","b"]}}}"# + "\n")
    }
    #expect(throws: ControlClientError.refused(ControlError(.refused, "no", details: ["a", "b"]))) { try send(FlushMACs(), to: daemon) }
  }

  @Test func silenceEndsByTimeout() throws {
    let daemon = try ScriptedDaemon()
    daemon.play { connection in
      _ = connection.readLine()
      connection.write(#"{"jsonrpc":"#)
      _ = connection.readLine()
    }
    #expect(throws: ControlClientError.timedOut(method: "mac.flush", seconds: 0.05)) {
      try send(FlushMACs(), to: daemon, timeoutSeconds: 0.05)
    }
  }

  @Test func hangUpIsUnreachable() throws {
    let daemon = try ScriptedDaemon()
    daemon.play { connection in
      _ = connection.readLine()
      connection.write(String(answer.dropLast()))
    }
    #expect(throws: ControlClientError.unreachable(operation: "read", path: daemon.path, code: 0)) { try send(FlushMACs(), to: daemon) }
  }

  @Test(arguments: [
    "nonsense", "{}", "[]", #"{"jsonrpc":"2.0","id":1}"#, #"{"jsonrpc":"2.0","id":2,"result":{"changed":true}}"#,
    #"{"jsonrpc":"2.0","id":1,"result":{"changed":"yes"}}"#, #"{"jsonrpc":"2.0","id":1,"result":[]}"#, "",
  ])
  func nonsenseIsMalformed(_ line: String) throws {
    let daemon = try ScriptedDaemon()
    daemon.play { connection in
      _ = connection.readLine()
      connection.write(line + "\n")
    }
    let error = try #require(throws: ControlClientError.self) { try send(FlushMACs(), to: daemon) }
    guard case .malformedAnswer("mac.flush", _) = error else {
      Issue.record("\(error)")
      return
    }
  }

  @Test func farewellBeforeTheRequestIsRead() throws {
    let daemon = try ScriptedDaemon()
    daemon.play { connection in
      connection.write(#"{"jsonrpc":"2.0","id":null,"error":{"code":-32002,"message":"full"}}"# + "\n")
      shutdown(connection.descriptor, Int32(SHUT_RDWR))
    }
    var client = try ControlClient(socketPath: daemon.path, timeoutSeconds: 30)
    usleep(100_000)
    do throws(ControlClientError) {
      _ = try client.send(FlushMACs())
      Issue.record("no error")
    } catch {
      #expect(error == .refused(ControlError(.unavailable, "full")))
    }
  }

  @Test func nobodyThere() throws {
    let path = "/tmp/vtep-client-test-nobody-\(getpid()).sock"
    let error = try #require(throws: ControlClientError.self) { _ = try ControlClient(socketPath: path, timeoutSeconds: 1) }
    #expect(error == .unreachable(operation: "connect", path: path, code: ENOENT))
    let long = String(repeating: "x", count: 108)
    let longError = try #require(throws: ControlClientError.self) { _ = try ControlClient(socketPath: long, timeoutSeconds: 1) }
    #expect(longError == .unreachable(operation: "connect", path: long, code: ENAMETOOLONG))
  }

  @Test func requestBeyondTheLimitIsNotSent() throws {
    let daemon = try ScriptedDaemon()
    daemon.play { connection in _ = connection.readLine() }
    let text = String(repeating: "x", count: ControlLimits.requestByteCount)
    let error = try #require(throws: ControlClientError.self) { try send(ApplyConfiguration(file: "f", text: text), to: daemon) }
    guard case .refused = error else {
      Issue.record("\(error)")
      return
    }
  }
}
