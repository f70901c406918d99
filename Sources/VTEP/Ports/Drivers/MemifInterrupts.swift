// MemifInterrupts: net_memif serves its sockets in EAL's interrupt thread, with no lock against threads that open and close its devices,
// and unmaps a peer's rings while workers may read them (DPDK 22.11). Functions that take the place of EAL's for every caller in this
// process put that right: the driver's callbacks take turns with whoever opens or closes a device, and before it unmaps rings,
// which it does right after it has unregistered a callback, workers finish the round that they are in.

import CDPDK
import Glibc
import Synchronization

enum MemifInterrupts {
  fileprivate typealias Register = @convention(c) (OpaquePointer?, rte_intr_callback_fn?, UnsafeMutableRawPointer?) -> Int32
  fileprivate typealias UnregisterPending =
    @convention(c) (OpaquePointer?, rte_intr_callback_fn?, UnsafeMutableRawPointer?, rte_intr_unregister_callback_fn?) -> Int32

  /// EAL's functions.
  private static let nextRegister = nextFunction("rte_intr_callback_register", as: Register.self)
  private static let nextUnregister = nextFunction("rte_intr_callback_unregister", as: Register.self)
  private static let nextUnregisterPending = nextFunction("rte_intr_callback_unregister_pending", as: UnregisterPending.self)

  private struct State: @unchecked Sendable {
    /// Tells when workers have finished a round.
    var rcu: OpaquePointer?
    /// The driver's functions by their argument; EAL calls `serve` instead.
    var functions: [UnsafeMutableRawPointer: rte_intr_callback_fn] = [:]
    /// Arguments that the driver has unregistered while EAL was calling. Their devices may be gone.
    var ended: Set<UnsafeMutableRawPointer> = []
  }

  private static let state = Mutex(State())

  /// Held by whoever is in the driver, except for workers.
  private static let turn = Mutex(())

  /// Before the first device is opened.
  static func begin(_ rcu: OpaquePointer) {
    nonisolated(unsafe) let rcu = rcu
    state.withLock { $0.rcu = rcu }
  }

  /// Opens or closes a device, if it is one of the driver's, while none of its callbacks runs.
  ///
  /// - Parameter name: the device's or the driver's.
  static func inTurn<Result: Sendable>(_ name: String, _ body: () throws(VTEPError) -> Result) throws(VTEPError) -> Result {
    guard name.hasPrefix("net_memif") else { return try body() }
    return try turn.withLock { _ throws(VTEPError) in try body() }
  }

  /// dladdr(3), which <dlfcn.h> declares only with _GNU_SOURCE. Of the four pointers that it writes the first is the file's name.
  private static let describe = nextFunction(
    "dladdr", as: (@convention(c) (rte_intr_callback_fn, UnsafeMutablePointer<UnsafePointer<CChar>?>) -> Int32).self)

  private static func isDrivers(_ function: rte_intr_callback_fn) -> Bool {
    var fields = [UnsafePointer<CChar>?](repeating: nil, count: 4)
    guard describe(function, &fields) != 0, let file = fields[0] else { return false }
    return strstr(file, "librte_net_memif") != nil
  }

  /// In EAL's interrupt thread.
  private static let serve: rte_intr_callback_fn = { argument in
    guard let argument else { return }
    nonisolated(unsafe) let place = argument
    MemifInterrupts.turn.withLock { _ in
      let function = MemifInterrupts.state.withLock { $0.ended.contains(place) ? nil : $0.functions[place] }
      function?(place)
      MemifInterrupts.state.withLock { if $0.ended.remove(place) != nil { $0.functions[place] = nil } }
    }
  }

  fileprivate static func register(
    _ handle: OpaquePointer?, _ function: rte_intr_callback_fn?, _ argument: UnsafeMutableRawPointer?
  ) -> Int32 {
    guard let function, let argument, isDrivers(function) else { return nextRegister(handle, function, argument) }
    nonisolated(unsafe) let place = argument
    state.withLock {
      $0.functions[place] = function
      $0.ended.remove(place)
    }
    MemifListener.note(handle, function, argument)
    return nextRegister(handle, serve, argument)
  }

  fileprivate static func unregister(
    _ handle: OpaquePointer?, _ function: rte_intr_callback_fn?, _ argument: UnsafeMutableRawPointer?
  ) -> Int32 {
    guard let function, let argument, isDrivers(function) else { return nextUnregister(handle, function, argument) }
    let code = nextUnregister(handle, serve, argument)
    nonisolated(unsafe) let place = argument
    let isCalling = code == -EAGAIN
    nonisolated(unsafe) let rcu = state.withLock {
      if isCalling {
        $0.ended.insert(place)
      } else {
        $0.functions[place] = nil
      }
      return $0.rcu
    }
    // The driver has marked the device as not connected: a worker's next call does not touch the rings.
    if let rcu { cdpdk_rcu_wait(rcu) }
    return code
  }

  /// EAL refuses when the call that was in the way of `unregister` has returned since; the driver would leave it at that.
  fileprivate static func unregisterPending(
    _ handle: OpaquePointer?, _ function: rte_intr_callback_fn?, _ argument: UnsafeMutableRawPointer?,
    _ end: rte_intr_unregister_callback_fn?
  ) -> Int32 {
    guard let function, let argument, isDrivers(function) else { return nextUnregisterPending(handle, function, argument, end) }
    while true {
      var code = nextUnregisterPending(handle, serve, argument, end)
      if code != -EAGAIN { return code }
      code = nextUnregister(handle, serve, argument)
      if code == -EAGAIN { continue }
      if code > 0 { end?(handle, argument) }
      return code
    }
  }
}

@_cdecl("rte_intr_callback_register")
public func registerInterruptCallback(
  _ handle: OpaquePointer?, _ function: rte_intr_callback_fn?, _ argument: UnsafeMutableRawPointer?
) -> Int32 {
  MemifInterrupts.register(handle, function, argument)
}

@_cdecl("rte_intr_callback_unregister")
public func unregisterInterruptCallback(
  _ handle: OpaquePointer?, _ function: rte_intr_callback_fn?, _ argument: UnsafeMutableRawPointer?
) -> Int32 {
  MemifInterrupts.unregister(handle, function, argument)
}

@_cdecl("rte_intr_callback_unregister_pending")
public func unregisterPendingInterruptCallback(
  _ handle: OpaquePointer?, _ function: rte_intr_callback_fn?, _ argument: UnsafeMutableRawPointer?,
  _ end: rte_intr_unregister_callback_fn?
) -> Int32 {
  MemifInterrupts.unregisterPending(handle, function, argument, end)
}
