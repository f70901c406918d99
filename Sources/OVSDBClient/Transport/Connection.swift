// Connection: a stream to an OVSDB server, over a unix socket or TCP, with or without TLS, dialled by us or by the server.

import Glibc
import NIOCore
import NIOPosix

/// A stream that is connected; with TLS, the handshake may still be under way.
struct Connection: Sendable {
  typealias Channel = NIOAsyncChannel<ByteBuffer, ByteBuffer>

  let channel: Channel
  /// Succeeds with the TLS version when the peer is verified; nil: no TLS.
  let handshake: EventLoopFuture<String>?

  /// For reaching the peer and verifying it, together no more than twice this.
  static let timeout = TimeAmount.seconds(5)

  /// Connects to a remote that listens.
  ///
  /// - Parameter tls: needed for `ssl:`.
  static func dial(_ remote: Remote, _ tls: TLSContext?, on group: any EventLoopGroup) async throws(OVSDBError) -> Connection {
    let bootstrap = ClientBootstrap(group: group).connectTimeout(timeout).channelOption(.tcpOption(.tcp_nodelay), value: 1)
    do {
      switch remote.kind {
      case .unix(let path):
        return try await ClientBootstrap(group: group).connectTimeout(timeout)
          .connect(unixDomainSocketPath: path) { prepare($0, nil, .server) }
      case .dial(let host, let port):
        let isName = (try? SocketAddress(ipAddress: host, port: port)) == nil
        return try await bootstrap.connect(host: host, port: port) { prepare($0, tls, .client(serverName: isName ? host : nil)) }
      case .listen: preconditionFailure("a remote that is listened on is not dialled")
      }
    } catch {
      throw OVSDBError.connection(reason(error))
    }
  }

  /// Puts TLS (if any) and the stream into a new channel.
  static func prepare(_ channel: any NIOCore.Channel, _ tls: TLSContext?, _ role: TLSEngine.Role) -> EventLoopFuture<Connection> {
    channel.eventLoop.makeCompletedFuture {
      var handshake: EventLoopFuture<String>?
      if let tls {
        let engine = try TLSEngine(tls, role)
        let established = channel.eventLoop.makePromise(of: String.self)
        try channel.pipeline.syncOperations.addHandler(TLSHandler(engine, established: established, timeout: timeout))
        handshake = established.futureResult
      }
      return Connection(channel: try Channel(wrappingChannelSynchronously: channel), handshake: handshake)
    }
  }

  /// In words, without the address, which is said elsewhere.
  static func reason(_ error: any Error) -> String {
    switch error {
    case let error as NIOConnectionError:
      if let first = error.connectionErrors.first { return reason(first.error) }
      if let error = error.dnsAError ?? error.dnsAAAAError { return "cannot resolve the host name: \(reason(error))" }
      return "cannot connect"
    case let error as IOError: return String(cString: strerror(error.errnoCode))
    case ChannelError.connectTimeout: return "no answer within 5 s"
    default: return "\(error)"
    }
  }
}
