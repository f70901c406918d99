// AcceptPause: how the control socket handles a lack of file descriptors. The client waits in the queue and the socket stays readable:
// without a pause the event loop would spin. Reserved descriptors let clients in, so that ports can be deleted.

import Glibc
import Logging
import NIOCore
import Netlink

/// Must be the first handler of a listening channel.
final class AcceptPause: ChannelInboundHandler {
  typealias InboundIn = Channel

  private static let pause = TimeAmount.milliseconds(200)
  private static let checkInterval = TimeAmount.seconds(5)

  private let logger: Logger

  init(logger: Logger) {
    self.logger = logger
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    guard let error = error as? IOError, [EMFILE, ENFILE, ENOMEM, ENOBUFS].contains(error.errnoCode) else {
      return context.fireErrorCaught(error)
    }
    if error.errnoCode == EMFILE, DescriptorLimit.openReserve() {
      logger.error(
        "out of file descriptors: all \(DescriptorLimit.hard - DescriptorLimit.reserve) are open; the last \(DescriptorLimit.reserve) are for vtepctl: delete ports, or raise the limit on open files (LimitNOFILE=)"
      )
      watch(context.eventLoop)
    }
    // A pause between two reads is not enough: the failed one is still in progress.
    try? context.channel.syncOptions?.setOption(.autoRead, value: false)
    let channel = context.channel
    context.eventLoop.scheduleTask(in: Self.pause) { try? channel.syncOptions?.setOption(.autoRead, value: true) }
  }

  /// Restores the reserve as soon as descriptors are available again.
  private func watch(_ loop: any EventLoop) {
    let logger = logger
    loop.scheduleRepeatedTask(initialDelay: Self.checkInterval, delay: Self.checkInterval) { task in
      guard DescriptorLimit.closeReserve() else { return }
      logger.notice("file descriptors are available again")
      task.cancel()
    }
  }
}
