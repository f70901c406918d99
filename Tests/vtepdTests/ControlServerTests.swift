// The control server over real sockets, with clients that misbehave: garbage, partial lines, endless lines, readers that do not
// read, crowds, and the sockets of dead and living daemons.

import Glibc
import Logging
import ServiceLifecycle
import Testing
import VTEPControl

@testable import vtepd

@Suite struct ControlServerTests {
  private func isAnswered(_ path: String) throws -> Bool {
    var client = try ControlClient(socketPath: path, timeoutSeconds: 60)
    return try client.send(GetStatus()).state == .running
  }

  @Test func theDaemonHasAllThatTheHandlerHas() throws {
    let configuration = try ConfigurationLoader(hostName: "h").load(text: fullConfigurationText, file: "f")
    let daemon = Daemon(configuration: configuration, path: "f", log: quietLogger)
    #expect(Set(daemon.commands.methods).isSuperset(of: try RecordingHandler().commands.methods))
  }

  @Test func everyCommandReachesItsMethod() async throws {
    try await withServer(handler: RecordingHandler()) { path in
      var client = try ControlClient(socketPath: path, timeoutSeconds: 60)
      #expect(try client.send(GetStatus()).name == "h")
      #expect(try client.send(ShowMACTable()).rows.isEmpty)
      #expect(try client.send(ShowMACMoves()).rows.map(\.moves) == [1])
      #expect(try client.send(ShowVNIs()).rows.map(\.vni) == [5001])
      #expect(try client.send(ShowVTEPs()).rows.isEmpty)
      #expect(try client.send(ShowPorts()).map(\.name) == ["vm1"])
      #expect(try client.send(ShowDrops(all: true)).map(\.reason) == ["runt"])
      #expect(try client.send(ShowMulticast()).isEmpty)
      #expect(try client.send(ShowUnderlay()).first?.destinations.first?.nextHops.first?.mac == "02:00:00:00:00:fe")
      #expect(try client.send(AddVNI(vni: 1, flood: "none")).changed)
      #expect(try client.send(AddVNI(vni: 1, flood: "none")).changed == false)
      #expect(try client.send(AddPort(name: "x", kind: "tap", device: "x", vni: 1)).changed)
      #expect(try client.send(AddMAC(vni: 1, mac: "02:00:00:00:00:09", vtep: "192.0.2.9")).changed)
      #expect(try client.send(FlushMACs()).changed)
      #expect(try client.send(DeletePort(name: "x")).changed)
      #expect(try client.send(DeleteVNI(vni: 1)).changed)
      #expect(try client.send(AddPeer(vni: 5002, address: "192.0.2.9")).changed)
      #expect(try client.send(DeletePeer(vni: 5002, address: "192.0.2.9")).changed)
      #expect(try client.send(CheckConfiguration(file: "f", text: fullConfigurationText)).changes.isEmpty)
      #expect(try client.send(ApplyConfiguration(file: "f", text: fullConfigurationText)).needsRestart.count == 1)
      #expect(try client.send(ShowConfiguration()).text == "name: h\n")
      do throws(ControlClientError) {
        _ = try client.send(DeleteMAC(vni: 1, mac: "02:00:00:00:00:09"))
        Issue.record("no error")
      } catch {
        #expect(error == .refused(ControlError(.notFound, "no such entry")))
      }
      do throws(ControlClientError) {
        _ = try client.send(ShowWorkers())
        Issue.record("no error")
      } catch {
        guard case .refused(let refusal) = error else { throw error }
        #expect(refusal.code == .internalError)
      }
      #expect(try client.send(GetStatus()).name == "h", "the connection stays open")
    }
  }

  @Test func socketHasTheRightMode() throws {
    let directory = try ScratchDirectory()
    let socket = try ControlSocket(path: directory.socketPath)
    var status = stat()
    #expect(lstat(directory.socketPath, &status) == 0)
    #expect(status.st_mode & 0o7777 == 0o660)
    #expect(status.st_mode & S_IFMT == S_IFSOCK)
    withExtendedLifetime(socket) {}
  }

  @Test func missingDirectoryIsCreated() throws {
    let directory = try ScratchDirectory()
    let path = directory.path + "/run/vtepd.sock"
    _ = try ControlSocket(path: path)
    #expect(access(path, F_OK) != 0, "removed with the socket")
    #expect(rmdir(directory.path + "/run") == 0)
  }

  @Test func garbageIsAnsweredAndTheConnectionContinues() async throws {
    try await withServer(handler: RecordingHandler()) { path in
      let client = try RawClient(path)
      for (line, code) in [
        ("garbage", -32700), ("\u{0}\u{1}\u{2}", -32700), ("{", -32700), ("[]", -32600), ("{}", -32600),
        (#"{"jsonrpc":"2.0","id":1,"method":"reboot"}"#, -32601),
        (#"{"jsonrpc":"2.0","id":1,"method":"mac.flush","params":{"vnl":1}}"#, -32602),
        (#"{"jsonrpc":"2.0","id":1,"method":"vni.delete","params":{"vni":16777216}}"#, -32602),
      ] {
        client.write(line + "\n")
        #expect(try #require(client.readLine()).contains("\"code\":\(code),"), "\(line)")
      }
      client.write([0xff, 0xfe, 0x80, 0x0a])
      #expect(try #require(client.readLine()).contains("-32700"))
      // Blank lines and notifications get no answer; what follows does.
      client.write("\n \r\n" + #"{"jsonrpc":"2.0","method":"status"}"# + "\n" + statusLine)
      let answer = try #require(client.readLine())
      #expect(answer.contains(#""id":1"#) && answer.contains(#""state":"running""#))
    }
  }

  @Test func partialLinesAreJoined() async throws {
    try await withServer(handler: RecordingHandler()) { path in
      let client = try RawClient(path)
      for byte in statusLine.utf8 {
        client.write([byte])
        try await Task.sleep(for: .microseconds(300))
      }
      #expect(try #require(client.readLine()).contains("running"))
      // Many in one piece.
      client.write(String(repeating: statusLine, count: 50))
      for _ in 0..<50 { #expect(try #require(client.readLine()).contains("running")) }
      // The rest of a line never arrives.
      client.write(String(statusLine.dropLast(5)))
      client.closeSendingSide()
      #expect(client.readLine() == nil)
    }
  }

  @Test func answerComesAfterTheClientClosedItsSendingSide() async throws {
    try await withServer(handler: RecordingHandler(macCount: 100_000)) { path in
      let client = try RawClient(path)
      client.write(#"{"jsonrpc":"2.0","id":1,"method":"show.mac-table"}"# + "\n" + statusLine)
      client.closeSendingSide()
      let page = try #require(client.readLine())
      #expect(page.utf8.count > 300_000 && page.contains(#""next":4096"#))
      #expect(try #require(client.readLine()).contains("running"))
      #expect(client.readLine() == nil)
    }
  }

  @Test func overlongLineClosesTheConnection() async throws {
    var limits = ControlServer.Limits()
    limits.requestByteCount = 4096
    try await withServer(handler: RecordingHandler(), limits: limits) { path in
      for piece in [1, 100, 5000] {
        let client = try RawClient(path)
        var sent = 0
        while sent < 6000, client.write([UInt8](repeating: UInt8(ascii: "x"), count: piece)) == piece { sent += piece }
        #expect(try #require(client.readLine()).contains("longer than 4096 bytes"))
        #expect(client.readLine() == nil)
      }
      // The longest allowed line, and one byte more.
      let padding = String(repeating: " ", count: 4096 - statusLine.utf8.count)
      let client = try RawClient(path)
      client.write(padding + statusLine)
      #expect(try #require(client.readLine()).contains("running"))
      client.write(" " + padding + statusLine)
      #expect(try #require(client.readLine()).contains("longer than"))
    }
  }

  @Test func largeRequestsAreAccepted() async throws {
    try await withServer(handler: RecordingHandler()) { path in
      var client = try ControlClient(socketPath: path, timeoutSeconds: 60)
      let comment = "#" + String(repeating: "x", count: 3 << 20) + "\n"
      #expect(try client.send(CheckConfiguration(file: "f", text: comment + fullConfigurationText)).changes.isEmpty)
    }
  }

  @Test func clientThatDoesNotReadBlocksOnlyItself() async throws {
    try await withServer(handler: RecordingHandler()) { path in
      let client = try RawClient(path)
      // Sends requests without reading, until the daemon accepts no more: it stops reading while an answer waits.
      let requests = Array(String(repeating: statusLine, count: 1000).utf8)
      let enough = 16 << 20
      var taken = 0
      var idleRounds = 0
      while taken < enough, idleRounds < 100 {
        let count = client.write(Array(requests[(taken % statusLine.utf8.count)...]), flags: Int(MSG_DONTWAIT))
        taken += count
        idleRounds = count == 0 ? idleRounds + 1 : 0
        try await Task.sleep(for: .milliseconds(5))
      }
      #expect(taken < enough, "requests are read although their answers are not")
      let isAnotherAnswered = try isAnswered(path)
      #expect(isAnotherAnswered)
      // Once the client reads, it gets every answer.
      client.closeSendingSide()
      var answerCount = 0
      while let line = client.readLine() {
        answerCount += 1
        if !line.contains("running") { Issue.record("\(line)") }
      }
      #expect(answerCount == taken / statusLine.utf8.count)
    }
  }

  @Test func silentAndStuckClientsAreDisconnected() async throws {
    var limits = ControlServer.Limits()
    limits.idleTimeout = .milliseconds(200)
    limits.clientCount = 2
    try await withServer(handler: RecordingHandler(macCount: 1 << 40), limits: limits) { path in
      let silent = try RawClient(path)
      let stuck = try RawClient(path)
      stuck.write(String(repeating: #"{"jsonrpc":"2.0","id":1,"method":"show.mac-table"}"# + "\n", count: 10))
      #expect(silent.readLine() == nil)
      // Their slots are free again.
      try await eventually("a new client is served") { (try? isAnswered(path)) == true }
      var lineCount = 0
      while stuck.readLine() != nil { lineCount += 1 }
      #expect(lineCount < 10)
    }
  }

  @Test func longestIdleClientIsDisconnected() async throws {
    var limits = ControlServer.Limits()
    limits.clientCount = 8
    try await withServer(handler: RecordingHandler(), limits: limits) { path in
      let crowd = try (0..<8).map { _ in try RawClient(path) }
      for client in crowd {
        client.write(statusLine)
        #expect(try #require(client.readLine()).contains("running"))
      }
      // The first has been idle longest, until it sends another request.
      crowd[0].write(statusLine)
      #expect(try #require(crowd[0].readLine()).contains("running"))
      let newcomer = try RawClient(path)
      newcomer.write(statusLine)
      #expect(try #require(newcomer.readLine()).contains("running"))
      #expect(crowd[1].readLine() == nil)
      for (index, client) in crowd.enumerated() where index != 1 {
        client.write(statusLine)
        #expect(try #require(client.readLine()).contains("running"))
      }
    }
  }

  @Test func manyClientsAtOnce() async throws {
    try await withServer(handler: RecordingHandler(macCount: 10_000)) { path in
      try await withThrowingTaskGroup(of: Int.self) { group in
        for _ in 0..<32 {
          group.addTask {
            var client = try ControlClient(socketPath: path, timeoutSeconds: 120)
            var count = 0
            try client.forEachPage(of: ShowMACTable()) { rows in
              count += rows.count
              return true
            }
            return count
          }
        }
        for try await count in group { #expect(count == 10_000) }
      }
    }
  }

  @Test func pagesAreNeverLargerThanTheDaemonAllows() async throws {
    let handler = try RecordingHandler(macCount: 10_000)
    try await withServer(handler: handler) { path in
      var client = try ControlClient(socketPath: path, timeoutSeconds: 60)
      #expect(try client.send(ShowMACTable(limit: .max)).rows.count == ControlLimits.pageRowCount)
      #expect(try client.send(ShowMACTable(limit: -5)).rows.count == 1)
      #expect(try client.send(ShowMACTable(limit: 7)).rows.count == 7)
      #expect(try client.send(ShowMACTable()).rows.count == ControlLimits.pageRowCount)
      #expect(handler.largestPage.withLock { $0 } == ControlLimits.pageRowCount)
    }
  }

  @Test func staleSocketIsReplaced() async throws {
    let directory = try ScratchDirectory()
    // What kill -9 leaves behind: a bound socket without an owner.
    let dead = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var address = try #require(sockaddr_un(path: directory.socketPath))
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(dead, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
    }
    try #require(result == 0)
    close(dead)
    let server = try ControlServer(socketPath: directory.socketPath, commands: RecordingHandler().commands, logger: quietLogger)
    let task = Task { try await server.run() }
    try await withTaskExecutorPreference(ThreadExecutor()) {
      let isServed = try isAnswered(directory.socketPath)
      #expect(isServed)
    }
    task.cancel()
    try await task.value
  }

  @Test func livingDaemonKeepsItsSocket() async throws {
    try await withServer(handler: RecordingHandler()) { path in
      #expect(throws: ControlServerError.alreadyRunning(path: path)) { _ = try ControlSocket(path: path) }
      let isStillAnswered = try isAnswered(path)
      #expect(isStillAnswered)
    }
  }

  @Test func otherFilesAreNotRemoved() throws {
    let directory = try ScratchDirectory()
    close(open(directory.socketPath, O_CREAT | O_WRONLY, 0o600))
    #expect(throws: ControlServerError.notASocket(path: directory.socketPath)) { _ = try ControlSocket(path: directory.socketPath) }
    #expect(access(directory.socketPath, F_OK) == 0)
    #expect(throws: ControlServerError.self) { _ = try ControlSocket(path: "/proc/vtepd.sock") }
    #expect(throws: ControlServerError.self) { _ = try ControlSocket(path: "/" + String(repeating: "x", count: 200)) }
  }

  @Test func endDoesNotWaitForClients() async throws {
    let directory = try ScratchDirectory()
    var limits = ControlServer.Limits()
    limits.idleTimeout = .hours(1)
    let server = try ControlServer(
      socketPath: directory.socketPath, commands: RecordingHandler(macCount: 1 << 40).commands, limits: limits, logger: quietLogger)
    let running = Task { try await server.run() }
    try await withTaskExecutorPreference(ThreadExecutor()) {
      let silent = try RawClient(directory.socketPath)
      let stuck = try RawClient(directory.socketPath)
      stuck.write(String(repeating: #"{"jsonrpc":"2.0","id":1,"method":"show.mac-table"}"# + "\n", count: 10))
      // The answer has begun, and the rest does not fit into the socket.
      let begin = stuck.read()
      #expect(begin == UInt8(ascii: "{"))
      running.cancel()
      let end = silent.read()
      #expect(end == nil)
      try await eventually("the socket is removed, which is the last thing a server does") {
        access(directory.socketPath, F_OK) != 0
      }
    }
    try await running.value
  }

  @Test func gracefulShutdownEndsTheService() async throws {
    let directory = try ScratchDirectory()
    let path = directory.socketPath
    let server = try ControlServer(socketPath: path, commands: RecordingHandler().commands, logger: quietLogger)
    let group = ServiceGroup(services: [server], logger: quietLogger)
    let running = Task { try await group.run() }
    try await withTaskExecutorPreference(ThreadExecutor()) {
      let client = try RawClient(path)
      client.write(statusLine)
      let answer = client.readLine()
      #expect(answer?.contains("running") == true)
      await group.triggerGracefulShutdown()
      let end = client.readLine()
      #expect(end == nil)
    }
    try await running.value
    #expect(access(path, F_OK) != 0)
  }
}
