// PortFault: what a guest did to have its port taken down, and when the port may come back.

struct PortFault {
  /// A clause, for the log and `show ports`.
  var reason: String
  /// How often in a row.
  var count: Int
  /// Tick of the reconciler at which the port is opened again.
  let endTick: Int

  /// Five ticks a second.
  private static let firstHoldTicks = 25
  private static let longestHoldTicks = 300
  /// Without a new fault for this time the old ones are forgotten.
  private static let memoryTicks = 600

  /// - Parameter previous: the port's last fault: each doubles the time that the port is held down.
  init(reason: String, at tick: Int, previous: PortFault?) {
    self.reason = reason
    let isRecent = previous.map { tick - $0.endTick < Self.memoryTicks } ?? false
    count = isRecent ? (previous?.count ?? 0) + 1 : 1
    endTick = tick + min(Self.firstHoldTicks << min(count - 1, 8), Self.longestHoldTicks)
  }

  func isHeld(at tick: Int) -> Bool { tick < endTick }
}
