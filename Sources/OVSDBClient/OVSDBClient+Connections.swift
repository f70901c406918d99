// OVSDBClient+Connections: the life of one connection, whichever side opened it.

import NIOCore
import NIOPosix

extension OVSDBClient {
  /// Dials the remotes of a schedule and serves each connection, until the task is cancelled.
  func dial(_ index: Int) async {
    while await takeTurn(index) {
      switch schedules[index].next(now: now) {
      case .wait(let until):
        turn = nil
        await wait(until - now)
      case .connect(let remote):
        do {
          let context = try readTLS(for: remote)
          let connection = try await Connection.dial(remote, context, dscp: dscp, on: group)
          await serve(connection, context, index)
        } catch {
          ended(.failed("\(error)"), index)
        }
        turn = nil
      }
    }
  }

  /// Listens for a server, until the task is cancelled.
  func listen(_ index: Int) async {
    while !Task.isCancelled {
      _ = schedules[index].next(now: now)
      do {
        try await accept(schedules[index].currentRemote, index)
      } catch {
        ended(.failed("cannot listen: \(Connection.reason(error))"), index)
        // Another process may hold the port for the moment.
        try? await Task.sleep(for: .seconds(Reconnect.shortestPause))
      }
    }
  }

  /// Serves one connection at a time. Returns when the task is cancelled.
  private func accept(_ remote: Remote, _ index: Int) async throws {
    guard case .listen(let port, let address) = remote.kind else { return }
    let (tls, dscp) = (remote.usesTLS ? tls : nil, dscp)
    do {
      if remote.usesTLS { _ = try readTLS(for: remote) }
      let server = try await ServerBootstrap(group: group)
        .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
        .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
        // Accepted connections inherit it; so it is in their first packet.
        .serverChannelInitializer { channel in channel.eventLoop.makeCompletedFuture { Connection.mark(channel, dscp) } }
        .bind(host: address ?? "::", port: port) { channel in Accepted.prepare(channel, tls) }
      try await server.executeThenClose { clients in
        for try await client in clients {
          switch client {
          case .connection(let connection, let context):
            // The server tries again, and is welcome when it is needed.
            guard channel == nil, await takeTurn(index) else {
              log.info("OVSDB: \(remote): closing a connection, another remote is in use")
              try? await connection.channel.executeThenClose { _, _ in }
              continue
            }
            await serve(connection, context, index)
            turn = nil
          case .refused(let reason): ended(.failed(reason), index)
          }
          // Back to waiting.
          _ = schedules[index].next(now: now)
        }
      }
    } catch is CancellationError {
      return
    }
  }

  /// Waits until no other schedule has a connection, open or being opened.
  ///
  /// - Returns: false if the task is cancelled.
  private func takeTurn(_ index: Int) async -> Bool {
    while turn != nil, !Task.isCancelled {
      await withTaskCancellationHandler {
        await withCheckedContinuation { waiting.append($0) }
      } onCancel: {
        Task { await self.wakeWaiting() }
      }
    }
    guard !Task.isCancelled else { return false }
    turn = index
    return true
  }

  /// All of them look again who may connect.
  func wakeWaiting() {
    for continuation in waiting { continuation.resume() }
    waiting = []
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
  private func serve(_ connection: Connection, _ context: TLSContext?, _ index: Int) async {
    material = context?.material
    plannedEnding = nil
    do {
      try await connection.channel.executeThenClose { inbound, _ in
        let version = try await connection.handshake?.get()
        channel = connection.channel.channel
        schedules[index].connected(now: now)
        peer = "\(connection.channel.channel.remoteAddress?.description ?? "nobody") (\(version ?? "without TLS"))"
        session.opened(now: clock.now)
        sendOutput()
        try await withThrowingTaskGroup { tasks in
          tasks.addTask { try await self.receive(inbound, index) }
          tasks.addTask { try await self.watchTime(index) }
          try await tasks.next()
          tasks.cancelAll()
        }
      }
      close("the server closed the connection", index)
    } catch is CancellationError {
      close("vtepd closed the connection", index)
    } catch {
      close(Connection.reason(error), index)
    }
  }

  private func receive(_ inbound: NIOAsyncChannelInboundStream<ByteBuffer>, _ index: Int) async throws {
    for try await bytes in inbound {
      handle(bytes.withUnsafeReadableBytes { session.receive($0, now: clock.now) })
      schedules[index].probes(session.probed != nil, now: now)
    }
  }

  /// Drives the session's timers, which probe a silent server.
  private func watchTime(_ index: Int) async throws {
    while true {
      // Messages that arrive in the meantime only postpone the deadline.
      try await Task.sleep(until: sessionDeadline, clock: clock)
      handle(session.tick(now: clock.now))
      schedules[index].probes(session.probed != nil, now: now)
    }
  }

  private func close(_ reason: String, _ index: Int) {
    channel = nil
    let ending = plannedEnding ?? .failed(reason)
    plannedEnding = nil
    handle(session.closed(ending.reason, now: clock.now))
    ended(ending, index)
  }

  /// Records the end of a connection or of an attempt.
  private func ended(_ ending: Reconnect.Ending, _ index: Int) {
    guard !Task.isCancelled else { return }
    // Log a repeated error only once.
    let schedule = schedules[index]
    if schedule.currentError != ending.reason { log.notice("OVSDB: \(schedule.currentRemote): \(ending.reason)") }
    schedules[index].ended(ending, now: now)
    disconnected(ending.reason)
  }
}
