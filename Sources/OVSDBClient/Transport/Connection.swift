// Connection: a stream to an OVSDB server over a Unix socket or TCP, with or without TLS, opened by us or by the server.

import Glibc
import NIOCore
import NIOPosix

/// A connected stream; with TLS, the handshake may still be in progress.
struct Connection: Sendable {
  /// Nothing is written through NIO's writer: it would have to be finished wherever a connection is given up before it is served.
  typealias Channel = NIOAsyncChannel<ByteBuffer, Never>

  let channel: Channel
  /// Succeeds with the TLS version once the peer is verified; nil: no TLS.
  let handshake: EventLoopFuture<String>?

  /// For connecting, and again for verifying the peer.
  static let timeout = TimeAmount.seconds(5)

  /// Connects to a listening remote.
  ///
  /// - Parameters:
  ///   - tls: needed for `ssl:`.
  ///   - dscp: of all our packets from the first on, 0 to 63.
  static func dial(
    _ remote: Remote, _ tls: TLSContext?, dscp: Int, on group: any EventLoopGroup
  ) async throws(OVSDBError) -> Connection {
    let bootstrap = ClientBootstrap(group: group).connectTimeout(timeout).channelOption(.tcpOption(.tcp_nodelay), value: 1)
    do {
      switch remote.kind {
      case .unix(let path):
        return try await ClientBootstrap(group: group).connectTimeout(timeout)
          .connect(unixDomainSocketPath: path) { prepare($0, nil, .server) }
      case .dial(let host, let port):
        let isName = (try? SocketAddress(ipAddress: host, port: port)) == nil
        return try await bootstrap.connect(host: host, port: port) { channel in
          mark(channel, dscp)
          return prepare(channel, tls, .client(serverName: isName ? host : nil))
        }
      case .listen: preconditionFailure("a passive remote is not dialled")
      }
    } catch {
      throw OVSDBError.connection(reason(error))
    }
  }

  /// Sets the DSCP of a channel's packets, as Open vSwitch does (`other_config:dscp`, vtep(5)).
  static func mark(_ channel: any NIOCore.Channel, _ dscp: Int) {
    let options = channel.syncOptions
    let value = SocketOptionValue(dscp << 2)
    // One of them does not exist on a socket of the other family.
    try? options?.setOption(ChannelOptions.Types.SocketOption(level: .ip, name: NIOBSDSocket.Option(rawValue: IP_TOS)), value: value)
    try? options?.setOption(ChannelOptions.Types.SocketOption(level: .ipv6, name: NIOBSDSocket.Option(rawValue: IPV6_TCLASS)), value: value)
  }

  /// Adds TLS (if any) and the stream to a new channel.
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

  /// The reason in words, without the address, which the message gives elsewhere.
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
