// ControlServer: serves vtepctl over the control socket, independently of forwarding: it has its own threads, and clients do not
// wait for each other.

import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization
import VTEPControl

/// The control socket's server, as a service.
final class ControlServer: Service {
  /// Limits on clients.
  struct Limits: Sendable {
    /// One more replaces the client that has been idle longest.
    var clientCount = 64
    /// Longest request line, newline included.
    var requestByteCount = ControlLimits.requestByteCount
    /// A client that neither sends nor reads anything for this long is disconnected.
    var idleTimeout = TimeAmount.seconds(60)
  }

  private let socket: ControlSocket
  private let commands: ControlCommands
  private let groups: ControlGroups
  private let limits: Limits
  private let group: any EventLoopGroup
  private let logger: Logger
  private let audit: @Sendable (_ text: String, _ isRefused: Bool) -> Void
  private let clients = Mutex(ControlClients())

  /// Opens the socket. Clients can connect from now on; they are answered once `run` is called.
  ///
  /// - Throws: when the socket cannot be opened, e.g. because another daemon serves it.
  init(
    socketPath: String, commands: ControlCommands, groups: ControlGroups = .ofSystem, limits: Limits = Limits(),
    group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton, logger: Logger,
    audit: @escaping @Sendable (_ text: String, _ isRefused: Bool) -> Void = { _, _ in }
  ) throws(ControlServerError) {
    socket = try ControlSocket(path: socketPath, mode: groups.socketMode)
    self.commands = commands
    self.groups = groups
    self.limits = limits
    self.group = group
    self.logger = logger
    self.audit = audit
  }

  /// Serves clients until graceful shutdown or cancellation, then closes all connections and removes the socket.
  func run() async throws {
    guard let descriptor = socket.takeDescriptor() else { return }
    defer { socket.remove() }
    let limits = limits
    let server = try await ServerBootstrap(group: group)
      // A client may shut down its sending side and still wait for the answer.
      .childChannelOption(.allowRemoteHalfClosure, value: true)
      .serverChannelInitializer { [logger] channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(AcceptPause(logger: logger)) }
      }
      .bind(descriptor) { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandlers(IdleStateHandler(allTimeout: limits.idleTimeout), CloseWhenIdle())
          return try ControlConnection.Channel(
            wrappingChannelSynchronously: channel,
            configuration: .init(backPressureStrategy: .init(lowWatermark: 1, highWatermark: 2)))
        }
      }
    logger.info("control socket is open", metadata: ["path": "\(socket.path)"])
    await cancelWhenGracefulShutdown {
      do {
        try await self.serve(server)
      } catch is CancellationError {
        // The way a service ends.
      } catch {
        self.logger.error("control socket failed", metadata: ["path": "\(self.socket.path)", "error": "\(error)"])
      }
    }
  }

  private func serve(_ server: NIOAsyncChannel<ControlConnection.Channel, Never>) async throws {
    // Above this number nobody is accepted: the kernel's queue has a limit, and ours would have none.
    let taskLimit = 2 * limits.clientCount
    try await server.executeThenClose { clients in
      try await withThrowingTaskGroup(of: Void.self) { tasks in
        var taskCount = 0
        for try await client in clients {
          if taskCount == taskLimit {
            try await tasks.next()
            taskCount -= 1
          }
          tasks.addTask { await self.serve(client) }
          taskCount += 1
        }
        // Otherwise shutdown would wait for a client in the middle of a request.
        tasks.cancelAll()
      }
    }
  }

  private func serve(_ client: ControlConnection.Channel) async {
    let channel = client.channel
    let limit = limits.clientCount
    do {
      let peer = try await ControlPeer(of: channel)
      let access = groups.access(of: peer)
      var connection = ControlConnection(
        channel: client,
        dispatcher: ControlDispatcher(
          commands: commands, user: peer.user, access: access ?? .read, origin: peer.origin,
          audit: { [logger, audit] text, isRefused in
            logger.notice("audit: \(text)")
            audit(text, isRefused)
          }),
        requestByteLimit: limits.requestByteCount)
      guard access != nil else {
        // At once, so that clients without access do not occupy places.
        return try await connection.refuse(ControlGroups.refusal(nil, needs: .read, user: peer.user))
      }
      let admission = clients.withLock { $0.admit(limit: limit) { channel.close(promise: nil) } }
      admission.closeEvicted?()
      guard let id = admission.id else {
        return try await connection.refuse(ControlError(.unavailable, "the daemon is already serving \(limit) requests; try again"))
      }
      defer { clients.withLock { $0.remove(id) } }
      connection.onActivity = { isBusy in self.clients.withLock { $0.recordActivity(id, isBusy: isBusy) } }
      let scope = ClientScope()
      defer { scope.end() }
      try await ClientScope.$current.withValue(scope) { [connection] in try await connection.serve() }
    } catch {
      logger.debug("control connection ended", metadata: ["reason": "\(error)"])
      channel.close(promise: nil)
    }
  }
}

/// Closes an idle connection.
private final class CloseWhenIdle: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if event is IdleStateHandler.IdleStateEvent {
      context.close(promise: nil)
    } else {
      context.fireUserInboundEventTriggered(event)
    }
  }
}
