// OVSDBClient+Connections: the life of one connection, whichever side opened it.

import NIOCore
import NIOPosix

extension OVSDBClient {
  /// Connects to a remote and serves the connection until it ends.
  func dial(_ remote: Remote) async {
    do {
      let context = try readTLS(for: remote)
      let connection = try await Connection.dial(remote, context, on: group)
      await serve(connection, context)
    } catch {
      ended(.failed("\(error)"))
    }
  }

  /// Listens for the server and serves one connection at a time. Returns when listening fails.
  func listen(_ remote: Remote) async {
    guard case .listen(let port, let address) = remote.kind else { return }
    let tls = tls
    do {
      if remote.usesTLS { _ = try readTLS(for: remote) }
      let server = try await ServerBootstrap(group: group)
        .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
        .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
        .bind(host: address ?? "::", port: port) { channel in Accepted.prepare(channel, remote.usesTLS ? tls : nil) }
      try await server.executeThenClose { clients in
        for try await client in clients {
          switch client {
          case .connection(let connection, let context): await serve(connection, context)
          case .refused(let reason): ended(.failed(reason))
          }
          // Back to waiting.
          _ = reconnect.next(now: now)
        }
      }
    } catch is CancellationError {
      return
    } catch {
      ended(.failed("cannot listen: \(Connection.reason(error))"))
      // Another process may hold the port for the moment.
      try? await Task.sleep(for: .seconds(Reconnect.shortestPause))
    }
  }

  /// A connection that the server opened.
  private enum Accepted: Sendable {
    case connection(Connection, TLSContext?)
    case refused(String)

    /// Reads the certificates now: they may have changed since the last connection.
    static func prepare(_ channel: any Channel, _ tls: TLSSettings?) -> EventLoopFuture<Accepted> {
      do {
        let context = try tls.map { settings throws(TLSError) in try TLSContext(try TLSMaterial(reading: settings)) }
        return Connection.prepare(channel, context, .server).map { .connection($0, context) }
      } catch {
        channel.close(promise: nil)
        return channel.eventLoop.makeSucceededFuture(.refused("\(error)"))
      }
    }
  }

  private func readTLS(for remote: Remote) throws(OVSDBError) -> TLSContext? {
    guard remote.usesTLS else { return nil }
    guard let tls else { throw .tls("TLS needs a private key, a certificate and the CA's certificate") }
    do {
      return try TLSContext(try TLSMaterial(reading: tls))
    } catch {
      throw .tls("\(error)")
    }
  }

  /// Serves one connection until its end.
  private func serve(_ connection: Connection, _ context: TLSContext?) async {
    material = context?.material
    plannedEnding = nil
    do {
      try await connection.channel.executeThenClose { inbound, _ in
        let version = try await connection.handshake?.get()
        channel = connection.channel.channel
        reconnect.connected(now: now)
        peer = "\(connection.channel.channel.remoteAddress?.description ?? "nobody") (\(version ?? "without TLS"))"
        session.opened(now: clock.now)
        sendOutput()
        try await withThrowingTaskGroup { tasks in
          tasks.addTask { try await self.receive(inbound) }
          tasks.addTask { try await self.watchTime() }
          try await tasks.next()
          tasks.cancelAll()
        }
      }
      close("the server closed the connection")
    } catch is CancellationError {
      close("vtepd closed the connection")
    } catch {
      close(Connection.reason(error))
    }
  }

  private func receive(_ inbound: NIOAsyncChannelInboundStream<ByteBuffer>) async throws {
    for try await bytes in inbound {
      handle(bytes.withUnsafeReadableBytes { session.receive($0, now: clock.now) })
      reconnect.probes(session.probed != nil, now: now)
    }
  }

  /// Drives the session's timers, which probe a silent server.
  private func watchTime() async throws {
    while true {
      // Messages that arrive in the meantime only postpone the deadline.
      try await Task.sleep(until: sessionDeadline, clock: clock)
      handle(session.tick(now: clock.now))
      reconnect.probes(session.probed != nil, now: now)
    }
  }

  private func close(_ reason: String) {
    channel = nil
    let ending = plannedEnding ?? .failed(reason)
    plannedEnding = nil
    handle(session.closed(ending.reason, now: clock.now))
    ended(ending)
  }

  /// Records the end of a connection or of an attempt.
  private func ended(_ ending: Reconnect.Ending) {
    guard !Task.isCancelled else { return }
    // Log a repeated error only once.
    if reconnect.currentError != ending.reason { log.notice("OVSDB: \(reconnect.currentRemote): \(ending.reason)") }
    reconnect.ended(ending, now: now)
    disconnected(ending.reason)
  }
}
