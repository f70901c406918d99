// TLSHandler: the TLS engine in a channel's pipeline, next to the socket. The session's output waits here until the handshake is
// complete and the peer is verified; nothing is sent unencrypted.

import NIOCore

final class TLSHandler: ChannelDuplexHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer
  typealias OutboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private let engine: TLSEngine
  /// Succeeds with the TLS version once the peer is verified.
  private let established: EventLoopPromise<String>
  private var waiting = MarkedCircularBuffer<(bytes: ByteBuffer, promise: EventLoopPromise<Void>?)>(initialCapacity: 4)
  private var hasFailed = false
  private let timeout: TimeAmount
  private var deadline: Scheduled<Void>?

  /// Largest piece of plaintext passed on at once, in bytes.
  private static let readByteCount = 65536

  /// - Parameter timeout: of the handshake.
  init(_ engine: TLSEngine, established: EventLoopPromise<String>, timeout: TimeAmount) {
    self.engine = engine
    self.established = established
    self.timeout = timeout
  }

  func handlerAdded(context: ChannelHandlerContext) {
    if context.channel.isActive { begin(context) }
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    deadline?.cancel()
    // Also for a channel that never became active.
    established.fail(ChannelError.alreadyClosed)
    dropWaiting(ChannelError.alreadyClosed)
  }

  func channelActive(context: ChannelHandlerContext) {
    context.fireChannelActive()
    begin(context)
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard !hasFailed else { return }
    unwrapInboundIn(data).withUnsafeReadableBytes { engine.receive($0) }
    advance(context)
    decrypt(context)
  }

  func channelInactive(context: ChannelHandlerContext) {
    if !engine.isEstablished, !hasFailed {
      fail(context, TLSError(.closed, "TLS handshake", "the peer closed the connection", remedy: "see the peer's log"))
    }
    dropWaiting(ChannelError.ioOnClosedChannel)
    context.fireChannelInactive()
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    waiting.append((unwrapOutboundIn(data), promise))
  }

  func flush(context: ChannelHandlerContext) {
    waiting.mark()
    encrypt(context)
  }

  func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
    engine.close()
    send(context, nil)
    context.close(mode: mode, promise: promise)
  }

  private func begin(_ context: ChannelHandlerContext) {
    let handler = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    deadline = context.eventLoop.scheduleTask(in: timeout) {
      let (handler, context) = handler.value
      guard !handler.engine.isEstablished, !handler.hasFailed else { return }
      handler.fail(context, TLSError(.closed, "TLS handshake", "no answer within \(handler.timeout.nanoseconds / 1_000_000_000) s"))
    }
    advance(context)
  }

  private func advance(_ context: ChannelHandlerContext) {
    guard !engine.isEstablished, !hasFailed else { return }
    do {
      try engine.advance()
    } catch {
      fail(context, error)
      return
    }
    send(context, nil)
    if engine.isEstablished {
      deadline?.cancel()
      established.succeed(engine.version)
      encrypt(context)
    }
  }

  private func decrypt(_ context: ChannelHandlerContext) {
    guard engine.isEstablished, !hasFailed else { return }
    do {
      var isMore = true
      while isMore {
        var plain = context.channel.allocator.buffer(capacity: Self.readByteCount)
        while isMore, plain.writableBytes > 0 {
          let count = try plain.writeWithUnsafeMutableBytes(minimumWritableBytes: 1) { try engine.read(into: $0) }
          isMore = count > 0
        }
        if plain.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(plain)) }
      }
      // Protocol answers, for example to a key update.
      send(context, nil)
      if engine.isClosedByPeer { context.close(promise: nil) }
    } catch {
      fail(context, error as? TLSError ?? TLSError(.libraryFailure, "TLS connection", "\(error)"))
    }
  }

  private func encrypt(_ context: ChannelHandlerContext) {
    guard engine.isEstablished, !hasFailed, waiting.hasMark else { return }
    let promise = context.eventLoop.makePromise(of: Void.self)
    while waiting.hasMark {
      let (bytes, done) = waiting.removeFirst()
      do {
        try bytes.withUnsafeReadableBytes { try engine.write($0) }
      } catch {
        done?.fail(error)
        promise.succeed()
        fail(context, error as? TLSError ?? TLSError(.libraryFailure, "TLS connection", "\(error)"))
        return
      }
      promise.futureResult.cascade(to: done)
    }
    send(context, promise)
  }

  /// Sends the engine's output.
  private func send(_ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?) {
    var encrypted: ByteBuffer?
    engine.takeOutput { encrypted = context.channel.allocator.buffer(bytes: $0) }
    guard let encrypted else {
      promise?.succeed()
      return
    }
    context.writeAndFlush(wrapOutboundOut(encrypted), promise: promise)
  }

  /// Sends an alert to the peer and the error to our side, and closes.
  private func fail(_ context: ChannelHandlerContext, _ error: TLSError) {
    hasFailed = true
    send(context, nil)
    established.fail(error)
    dropWaiting(error)
    context.fireErrorCaught(error)
    context.close(promise: nil)
  }

  private func dropWaiting(_ error: any Error) {
    while let entry = waiting.popFirst() { entry.promise?.fail(error) }
  }
}
