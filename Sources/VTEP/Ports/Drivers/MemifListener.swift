// MemifListener: closes the listening sockets that net_memif forgets. When the last port on a socket goes, the driver frees what EAL's
// interrupt thread calls for a connection, but neither cancels the call nor closes the descriptor: one is lost each time a port is
// closed (DPDK 22.11 to 25.11). EAL cancels a call only for somebody who knows its function, and that is private to the driver. So
// calls are noted on their way to EAL (MemifInterrupts).

import CDPDK
import Glibc
import Netlink
import Synchronization

enum MemifListener {
  /// What EAL was told.
  private struct Call: @unchecked Sendable {
    let handle: OpaquePointer?
    let function: rte_intr_callback_fn?
    let argument: UnsafeMutableRawPointer?
  }

  private struct State: Sendable {
    /// Of the thread that opens a port now.
    var opener: pthread_t?
    /// What that thread told EAL.
    var noted: Call?
    var sockets: [String: (call: Call?, ports: Int)] = [:]
  }

  private static let state = Mutex(State())

  /// From `MemifInterrupts`.
  static func note(_ handle: OpaquePointer?, _ function: rte_intr_callback_fn?, _ argument: UnsafeMutableRawPointer?) {
    let call = Call(handle: handle, function: function, argument: argument)
    state.withLock { if $0.opener == pthread_self() { $0.noted = call } }
  }

  /// Opens a port that listens at `path`, where others may listen already.
  static func opening<Opened>(_ path: String, _ open: () throws(VTEPError) -> Opened) throws(VTEPError) -> Opened {
    state.withLock { ($0.opener, $0.noted) = (pthread_self(), nil) }
    defer { state.withLock { ($0.opener, $0.noted) = (nil, nil) } }
    let opened = try open()
    state.withLock {
      let socket = $0.sockets[path]
      $0.sockets[path] = (socket?.call ?? $0.noted, (socket?.ports ?? 0) + 1)
    }
    return opened
  }

  /// A port that was opened goes; its driver still has it. Other paths are left alone.
  static func close(_ path: String) {
    let call = state.withLock { state -> Call? in
      guard let socket = state.sockets[path] else { return nil }
      state.sockets[path] = socket.ports > 1 ? (socket.call, socket.ports - 1) : nil
      return socket.ports > 1 ? nil : socket.call
    }
    guard let call else { return }
    // While a connection is being accepted, EAL asks for another try.
    while rte_intr_callback_unregister(call.handle, call.function, call.argument) == -EAGAIN { usleep(100) }
    for descriptor in OpenDescriptors.all() where UnixSocketPath.isListener(descriptor, path) { Glibc.close(descriptor) }
  }
}
