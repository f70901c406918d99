// ClientScope: what belongs to one connection of the control socket, and ends with it.

import NIOPosix
import Synchronization

final class ClientScope: Sendable {
  /// Of the client whose request is being answered.
  @TaskLocal static var current: ClientScope?

  private struct State {
    var capture: CaptureSession?
    var hasEnded = false
  }
  private let state = Mutex(State())

  var capture: CaptureSession? { state.withLock { $0.capture } }

  /// - Returns: false: there is one already, or the connection has ended.
  func begin(_ capture: CaptureSession) -> Bool {
    state.withLock { state in
      guard state.capture == nil, !state.hasEnded else { return false }
      state.capture = capture
      return true
    }
  }

  func endCapture() { state.withLock { $0.capture = nil } }

  /// The connection has ended.
  func end() {
    let left = state.withLock { state in
      state.hasEnded = true
      defer { state.capture = nil }
      return state.capture
    }
    if let left { NIOThreadPool.singleton.submit { _ in left.halt() } }
  }
}
