// ControlClients: the connected clients of the control socket. Their number is limited; above the limit, the client that has been
// idle longest is disconnected, so that forgotten connections do not lock the operator out.

struct ControlClients {
  private struct Client {
    var close: @Sendable () -> Void
    var isBusy = false
    /// Incremented with every client's activity.
    var lastActivity: UInt64
  }

  private var clients: [UInt64: Client] = [:]
  private var clock: UInt64 = 0

  /// Adds a client.
  ///
  /// - Returns: its identifier, nil when everybody else has a request that is being answered; and what closes the one that gives way.
  mutating func admit(
    limit: Int, close: @escaping @Sendable () -> Void
  ) -> (id: UInt64?, closeEvicted: (@Sendable () -> Void)?) {
    var evicted: Client?
    if clients.count >= limit {
      let idle = clients.filter { !$0.value.isBusy }
      guard let oldest = idle.min(by: { $0.value.lastActivity < $1.value.lastActivity }) else { return (nil, nil) }
      evicted = clients.removeValue(forKey: oldest.key)
    }
    clock += 1
    clients[clock] = Client(close: close, lastActivity: clock)
    return (clock, evicted?.close)
  }

  mutating func recordActivity(_ id: UInt64, isBusy: Bool) {
    clock += 1
    clients[id]?.isBusy = isBusy
    clients[id]?.lastActivity = clock
  }

  mutating func remove(_ id: UInt64) { clients[id] = nil }
}
