// CaptureSession: a capture and the file that it becomes, for the client that reads it.

import NIOPosix
import Synchronization
import VTEP
import VTEPControl

final class CaptureSession: Sendable {
  /// Octets of frames in one answer.
  private static let byteLimit = 1 << 20
  private static let packetLimit = 10_000
  /// Before an answer without a packet.
  private static let wait = Duration.milliseconds(250)
  private static let pause = Duration.milliseconds(25)

  private let capture: Capture
  private struct State {
    var writer: PcapngWriter
    var isStopped = false
  }
  private let state: Mutex<State>

  init(_ capture: Capture, filter: String, snapLength: Int) {
    self.capture = capture
    state = Mutex(State(writer: PcapngWriter(version: "vtepd \(Version.text)", filter: filter, snapLength: snapLength)))
  }

  /// Waits a moment for packets.
  ///
  /// - Parameter limit: most packets; nil: as many as fit one answer.
  func read(limit: Int?, stop: Bool, names: CaptureNames) async throws -> CaptureBlocks {
    if stop { try? await NIOThreadPool.singleton.runIfActive { self.halt() } }
    return try await LongPoll.answer(within: Self.wait, pause: Self.pause) {
      let blocks = take(limit: limit, names)
      return (blocks, isNews: blocks.packets > 0 || blocks.isOver || !blocks.blocks.isEmpty)
    }
  }

  /// Captures nothing more. Waits for the workers: not for a thread that tasks share.
  func halt() {
    let wasRunning = state.withLock { state in
      defer { state.isStopped = true }
      return !state.isStopped
    }
    if wasRunning { capture.stop() }
  }

  private func take(limit: Int?, _ names: CaptureNames) -> CaptureBlocks {
    state.withLock { state in
      let frames = capture.take(limit: min(max(limit ?? Self.packetLimit, 0), Self.packetLimit), byteLimit: Self.byteLimit, names: names)
      for frame in frames { state.writer.add(frame) }
      // What waits beyond a limit is not wanted any more.
      let isOver = state.isStopped && (frames.isEmpty || limit.map { frames.count >= $0 } == true)
      if isOver { state.writer.end(missed: capture.missedCount, nanoseconds: CapturedFrame.now) }
      return CaptureBlocks(
        blocks: state.writer.takeBytes(), packets: frames.count, missed: capture.missedCount, isOver: isOver)
    }
  }
}
