// MetricsServer: the HTTP server of `metrics.listen`: /metrics for Prometheus, /healthz and /readyz for whoever restarts or waits for vtepd.
// It has NIO's threads, none of the data plane's.

import Glibc
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// An address that metrics cannot be served at.
struct MetricsServerError: Error, CustomStringConvertible {
  var endpoint: MetricsSettings.Endpoint
  /// errno; nil: something else.
  var code: Int32?
  var text: String

  var description: String {
    let remedy =
      switch code {
      case EADDRINUSE: "; ss -ltnp 'sport = :\(endpoint.port)' says which program has it"
      case EADDRNOTAVAIL: "; this host does not have the address (ip address show)"
      default: ""
      }
    return "metrics.listen \(endpoint): \(text)\(remedy)"
  }
}

/// Serves metrics wherever the configuration says.
actor MetricsServer {
  /// Clients that are served at the same time, of all addresses; more are not accepted until one has gone.
  static let clientLimit = 32
  static let idleTimeout = TimeAmount.seconds(60)

  private let log: Logger
  private let group: any EventLoopGroup
  private var channels: [MetricsSettings.Endpoint: any Channel] = [:]
  /// Nil until there is something to answer with.
  private var collector: MetricsCollector?
  private let clients = ClientCount(limit: MetricsServer.clientLimit)
  /// Where snmpd is, whenever that changes.
  nonisolated let agents: AsyncStream<String?>
  private let agent: AsyncStream<String?>.Continuation

  init(log: Logger, group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton) {
    self.log = log
    self.group = group
    (agents, agent) = AsyncStream.makeStream(of: String?.self, bufferingPolicy: .bufferingNewest(1))
  }

  /// Answers with this collector's pages from now on.
  func serve(_ collector: MetricsCollector) { self.collector = collector }

  /// Opens what `settings` add. Nothing is closed before `apply` is called with them, or with other settings if they were refused.
  ///
  /// - Throws: which address cannot be listened at; what was opened before is closed again.
  func open(_ settings: MetricsSettings) async throws(MetricsServerError) {
    var opened: [MetricsSettings.Endpoint] = []
    for endpoint in settings.listen where channels[endpoint] == nil {
      do {
        let channel = try await bind(endpoint)
        // Another caller may have been faster.
        if channels[endpoint] == nil { channels[endpoint] = channel } else { try? await channel.close() }
        opened.append(endpoint)
      } catch {
        for endpoint in opened { await close(endpoint) }
        let failure = error as? IOError
        let text = failure.map { String(cString: strerror($0.errnoCode)) } ?? "\(error)"
        throw MetricsServerError(endpoint: endpoint, code: failure?.errnoCode, text: text)
      }
    }
  }

  /// Closes what is not in `settings`.
  func apply(_ settings: MetricsSettings) async {
    for endpoint in channels.keys where !settings.listen.contains(endpoint) { await close(endpoint) }
    agent.yield(settings.agentX)
  }

  private func close(_ endpoint: MetricsSettings.Endpoint) async {
    try? await channels.removeValue(forKey: endpoint)?.close()
  }

  private func bind(_ endpoint: MetricsSettings.Endpoint) async throws -> any Channel {
    let clients = clients
    let answer = { @Sendable [weak self] (request: HTTPRequestHead) in
      await self?.answer(request) ?? MetricsAnswer(.serviceUnavailable, "vtepd is stopping\n")
    }
    return try await ServerBootstrap(group: group)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .serverChannelInitializer { channel in
        // 0.0.0.0 and :: are two addresses.
        guard !endpoint.address.isIPv4, let options = channel as? any SocketOptionProvider else {
          return channel.eventLoop.makeSucceededVoidFuture()
        }
        return options.unsafeSetSocketOption(level: .ipv6, name: .ipv6_v6only, value: 1 as CInt)
      }
      .childChannelInitializer { [log] channel in
        guard clients.admit() else { return channel.close() }
        channel.closeFuture.whenComplete { _ in clients.leave() }
        return channel.eventLoop.makeCompletedFuture {
          let pipeline = channel.pipeline.syncOperations
          try pipeline.addHandler(IdleStateHandler(allTimeout: Self.idleTimeout))
          try pipeline.configureHTTPServerPipeline(withErrorHandling: true)
          try pipeline.addHandler(MetricsConnection(log: log, answer: answer))
        }
      }
      .bind(host: "\(endpoint.address)", port: Int(endpoint.port)).get()
  }

  // -- answers ------------------------------------------------------------------------------------------------------------

  private func answer(_ request: HTTPRequestHead) async -> MetricsAnswer {
    guard request.method == .GET || request.method == .HEAD else {
      return MetricsAnswer(.methodNotAllowed, "only GET and HEAD are allowed\n", headers: [("Allow", "GET, HEAD")])
    }
    switch request.uri.prefix(while: { $0 != "?" }) {
    case "/metrics":
      guard let collector else { return MetricsAnswer(.serviceUnavailable, "vtepd is starting\n") }
      let format = MetricsFormat(accept: request.headers["accept"].joined(separator: ","))
      return MetricsAnswer(.ok, bytes: await collector.page(format), contentType: format.contentType)
    case "/healthz":
      return MetricsAnswer(.ok, "ok\n")
    case "/readyz":
      guard let collector else { return MetricsAnswer(.serviceUnavailable, "vtepd is starting\n") }
      let state = await collector.state
      return state == .running ? MetricsAnswer(.ok, "ok\n") : MetricsAnswer(.serviceUnavailable, "vtepd is \(state.rawValue)\n")
    default:
      return MetricsAnswer(.notFound, "there are /metrics, /healthz and /readyz\n")
    }
  }
}

/// An HTTP answer.
struct MetricsAnswer: Sendable {
  var status: HTTPResponseStatus
  var bytes: [UInt8]
  var headers: [(name: String, value: String)]

  init(_ status: HTTPResponseStatus, bytes: [UInt8], contentType: String, headers: [(String, String)] = []) {
    self.status = status
    self.bytes = bytes
    self.headers = [("Content-Type", contentType), ("Content-Length", "\(bytes.count)")] + headers
  }

  init(_ status: HTTPResponseStatus, _ text: String, headers: [(String, String)] = []) {
    self.init(status, bytes: Array(text.utf8), contentType: "text/plain; charset=utf-8", headers: headers)
  }
}

/// Counts clients.
private final class ClientCount: Sendable {
  private let limit: Int
  private let count = Mutex(0)

  init(limit: Int) {
    self.limit = limit
  }

  func admit() -> Bool {
    count.withLock {
      guard $0 < limit else { return false }
      $0 += 1
      return true
    }
  }

  func leave() { count.withLock { $0 -= 1 } }
}

/// One client: its requests are answered one after the other (NIO's pipeline handler holds back the next).
private final class MetricsConnection: ChannelInboundHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  private let log: Logger
  private let answer: @Sendable (HTTPRequestHead) async -> MetricsAnswer
  private var head: HTTPRequestHead?

  init(log: Logger, answer: @escaping @Sendable (HTTPRequestHead) async -> MetricsAnswer) {
    self.log = log
    self.answer = answer
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .head(let request): head = request
    // Nobody needs a body.
    case .body: break
    case .end:
      guard let request = head else { return }
      head = nil
      let (answer, channel) = (answer, context.channel)
      channel.eventLoop.makeFutureWithTask { await answer(request) }.whenSuccess { Self.send($0, to: request, channel) }
    }
  }

  private static func send(_ answer: MetricsAnswer, to request: HTTPRequestHead, _ channel: any Channel) {
    var headers = HTTPHeaders(answer.headers.map { ($0.name, $0.value) })
    if !request.isKeepAlive { headers.add(name: "Connection", value: "close") }
    channel.write(
      HTTPServerResponsePart.head(HTTPResponseHead(version: request.version, status: answer.status, headers: headers)), promise: nil)
    if request.method != .HEAD { channel.write(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(bytes: answer.bytes))), promise: nil) }
    channel.writeAndFlush(HTTPServerResponsePart.end(nil)).whenComplete { _ in
      if !request.isKeepAlive { channel.close(promise: nil) }
    }
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    guard event is IdleStateHandler.IdleStateEvent else { return context.fireUserInboundEventTriggered(event) }
    context.close(promise: nil)
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    log.debug("metrics: connection ended", metadata: ["reason": "\(error)"])
    context.close(promise: nil)
  }
}
