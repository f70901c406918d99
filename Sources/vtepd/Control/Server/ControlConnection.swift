// ControlConnection: one client of the control socket. Lines are answered one at a time, and nothing is read while an answer is
// being written: a slow client fills its own socket buffer, not the daemon's memory.

import FoundationEssentials
import NIOCore
import VTEPControl

/// Serves one client.
struct ControlConnection {
  /// Nothing is written through NIO's writer: it would have to be finished wherever a client is given up before it is served.
  typealias Channel = NIOAsyncChannel<ByteBuffer, Never>

  let channel: Channel
  let dispatcher: ControlDispatcher
  /// Longest line, newline included.
  let requestByteLimit: Int
  /// Called on every activity, with whether a request is being answered.
  var onActivity: @Sendable (_ isBusy: Bool) -> Void = { _ in }

  /// Answers until the client closes or violates the protocol.
  ///
  /// - Throws: when the connection fails.
  func serve() async throws {
    try await open { inbound in
      var lines = LineBuffer(byteLimit: requestByteLimit)
      for try await bytes in inbound {
        onActivity(false)
        lines.append(bytes)
        while let line = lines.next() {
          onActivity(true)
          let answer = await dispatcher.answer(to: line)
          onActivity(false)
          guard let answer else { continue }
          try await write(answer)
          onActivity(false)
        }
        if lines.isOverflowing {
          let error = ControlError(.invalidRequest, "the request is longer than \(requestByteLimit) bytes")
          try await write(ControlDispatcher.refusal(error))
          return
        }
      }
    }
  }

  /// Tells the client why it is not served, and closes.
  func refuse(_ error: ControlError) async throws {
    try await open { _ in try await write(ControlDispatcher.refusal(error)) }
  }

  /// Runs `body`, and closes the connection afterwards, or at once on cancellation: a write to a client that does not read would
  /// never end otherwise.
  private func open(_ body: (NIOAsyncChannelInboundStream<ByteBuffer>) async throws -> Void) async throws {
    try await channel.executeThenClose { inbound in
      try await withTaskCancellationHandler {
        try await body(inbound)
      } onCancel: {
        channel.channel.close(promise: nil)
      }
    }
  }

  /// Returns when the kernel has accepted all of it.
  private func write(_ line: Data) async throws {
    try await channel.channel.writeAndFlush(ByteBuffer(bytes: line)).get()
  }
}
