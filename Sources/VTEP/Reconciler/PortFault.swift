// PortFault: why a port cannot be attached, was taken down or is shut, and when it is retried.

struct PortFault {
  enum Cause {
    /// What the port attaches to cannot be opened: something else is in its place, or another process uses it.
    case attachment
    /// The guest broke the rules of its device, which is closed.
    case guest
    /// A guard of the port received what it must not receive. The port behaves as if it were disabled.
    case bpduGuard, loopProbe
  }

  let cause: Cause
  /// A clause, for the log and `show ports`.
  let reason: String
  /// How often in a row.
  let count: Int
  /// Tick of the reconciler at which the port is retried.
  private(set) var endTick: Int

  static let ticksPerSecond = 5
  private static let firstHoldTicks = 5 * ticksPerSecond
  private static let longestHoldTicks = 60 * ticksPerSecond
  /// Faults older than this do not count as a row.
  private static let memoryTicks = 120 * ticksPerSecond

  /// A guest's fault.
  ///
  /// - Parameter previous: the port's last fault: each in a row doubles the time for which the port stays down.
  init(reason: String, at tick: Int, previous: PortFault?) {
    self.init(.guest, reason: reason, at: tick, previous: previous, firstHold: Self.firstHoldTicks, longestHold: Self.longestHoldTicks)
  }

  /// The port could not be attached: it is retried after 1 s, then 2, 4, at most 10.
  init(attachment reason: String, at tick: Int, previous: PortFault?) {
    self.init(
      .attachment, reason: reason, at: tick, previous: previous, firstHold: Self.ticksPerSecond, longestHold: 10 * Self.ticksPerSecond)
  }

  private init(_ cause: Cause, reason: String, at tick: Int, previous: PortFault?, firstHold: Int, longestHold: Int) {
    self.cause = cause
    self.reason = reason
    let isRecent = previous.map { $0.cause == cause && tick - $0.endTick < Self.memoryTicks } ?? false
    count = isRecent ? (previous?.count ?? 0) + 1 : 1
    endTick = tick + min(firstHold << min(count - 1, 8), longestHold)
  }

  /// What a guard found.
  init(_ cause: Cause, reason: String, at tick: Int, holdSeconds: UInt32) {
    self.cause = cause
    self.reason = reason
    count = 1
    endTick = tick + Int(holdSeconds) * Self.ticksPerSecond
  }

  /// The port is shut: its device stays open where the kind leaves it open to disabled ports.
  var isShut: Bool { cause == .bpduGuard || cause == .loopProbe }

  /// For `show ports`.
  var remark: String {
    switch cause {
    case .attachment: "cannot be attached, retrying: \(reason)"
    case .guest: "taken down: \(reason)"
    case .bpduGuard, .loopProbe: "shut: \(reason)"
    }
  }

  /// The port is kept down although it could be attached.
  func isDown(at tick: Int) -> Bool { cause != .attachment && isHeld(at: tick) }

  func isHeld(at tick: Int) -> Bool { tick < endTick }

  func secondsLeft(at tick: Int) -> Int { (endTick - tick + Self.ticksPerSecond - 1) / Self.ticksPerSecond }

  mutating func end(at tick: Int) { endTick = min(endTick, tick) }

  /// The settings still ask for the guard, and for the port.
  func stands(with settings: PortSettings) -> Bool {
    switch cause {
    case .attachment, .guest: true
    case .bpduGuard: settings.isEnabled && settings.hasBPDUGuard
    case .loopProbe: settings.isEnabled && settings.probesLoops
    }
  }
}
