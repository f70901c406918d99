// EventMailbox: events from the client to its consumer. Bounded: events that a slow consumer has not taken are merged, so the
// mailbox costs no more than the rows that differ, and every event still leads from one snapshot to a later one.

import Synchronization

final class EventMailbox: Sendable {
  private let pending = Mutex(PendingEvents())
  private let signals: AsyncStream<Void>
  private let signal: AsyncStream<Void>.Continuation

  init() {
    (signals, signal) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
  }

  /// Never waits.
  func post(_ event: ClientEvent) {
    pending.withLock { $0.add(event) }
    signal.yield()
  }

  /// Ends the stream once the pending events are taken.
  func finish() { signal.finish() }

  /// The next event; nil at the end. For one consumer.
  func next() async -> ClientEvent? {
    if let event = take() { return event }
    for await _ in signals {
      if let event = take() { return event }
    }
    return take()
  }

  private func take() -> ClientEvent? { pending.withLock { $0.take() } }
}

/// At most one event of each kind, in the order of the members.
private struct PendingEvents {
  private var connected: Replica?
  private var changedTo: Replica?
  private var disconnected: String?
  private var changes: [TableChange] = []
  /// The index in `changes` of a row's change; filled only for merging.
  private var positions: [Row: Int] = [:]

  private struct Row: Hashable {
    var table: String
    var id: RowID
  }

  mutating func add(_ event: ClientEvent) {
    switch event {
    case .connected(let replica):
      // It replaces everything before it.
      self = PendingEvents()
      connected = replica
    case .changed(let later, let replica):
      if connected != nil {
        connected = replica
      } else {
        merge(later)
        changedTo = replica
      }
    case .disconnected(let reason):
      disconnected = reason
    }
  }

  mutating func take() -> ClientEvent? {
    if let replica = connected {
      connected = nil
      return .connected(replica)
    }
    if let replica = changedTo {
      // Without rows that were inserted and deleted in between.
      let seen = changes.filter { $0.old != nil || $0.new != nil }
      (changes, positions, changedTo) = ([], [:], nil)
      return .changed(seen, replica)
    }
    defer { disconnected = nil }
    return disconnected.map { .disconnected($0) }
  }

  /// One change per row: from the old row of the earlier to the new row of the later.
  private mutating func merge(_ later: [TableChange]) {
    guard !changes.isEmpty else {
      changes = later
      return
    }
    if positions.isEmpty {
      for (position, change) in changes.enumerated() { positions[Row(table: change.table, id: change.id)] = position }
    }
    for change in later {
      let row = Row(table: change.table, id: change.id)
      if let position = positions[row] {
        changes[position].new = change.new
      } else {
        positions[row] = changes.count
        changes.append(change)
      }
    }
  }
}
