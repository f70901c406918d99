// Learner: the thread that writes the MAC table: it applies the workers' sightings, ages entries, and lets the control side
// write in between. It sleeps until a worker wakes it.

import CDPDK
import Encap
import Glibc
import MACTable
import Synchronization

/// The MAC table's only writer.
final class Learner: Sendable {
  /// A source address seen behind a VTEP that the control side does not know yet.
  struct UnknownVTEP: Sendable {
    var key: MACKey
    var address: IPAddress
  }

  /// The outcome for an address that moved too often.
  enum MoveReport: Sendable {
    case frozen(MACMove)
    case released(MACMove)
    /// It is followed nevertheless.
    case followed(MACMove)
  }

  let reader: MACTableReader
  let slotCount: Int
  private let table: MACTable
  /// Held while writing the table.
  private let writer = Mutex<Void>(())
  private nonisolated(unsafe) let shared: UnsafeMutablePointer<SharedState>
  private let rings: [LearnRing]
  private let reportUnknownVTEP: @Sendable (UnknownVTEP) -> Void
  private let reportMove: @Sendable (MoveReport) -> Void
  private let sweepSlots: Int
  /// IP addresses that local stations claim.
  let stations = Mutex(StationAddresses())
  /// Nil: nobody asks for it.
  let neighbors: NeighborTable?
  /// What happens to the table's entries, and to everything else.
  let events: EventLog
  /// When each limit was last told of; nil: that of the table. For the table's writer.
  private nonisolated(unsafe) var limitsTold: [DomainIndex?: UInt32] = [:]
  private static let limitQuietSeconds: UInt32 = 10

  /// Duration of a pass over the whole table.
  private static let sweepSeconds = 1
  private static let slicesPerSecond = 10
  /// Parts in which the neighbour table is swept: ten seconds for all.
  private static let neighborSlices = 100
  /// Events taken from a ring at once.
  private static let batch = 64

  init(
    table: MACTable, neighbors: NeighborTable? = nil, shared: UnsafeMutablePointer<SharedState>, rings: [LearnRing],
    reportUnknownVTEP: @escaping @Sendable (UnknownVTEP) -> Void, reportMove: @escaping @Sendable (MoveReport) -> Void
  ) {
    reader = table.reader
    slotCount = table.slotCount
    events = EventLog(ring: table.events)
    sweepSlots = table.slotCount / (Self.sweepSeconds * Self.slicesPerSecond) + 1
    self.table = table
    self.neighbors = neighbors
    self.shared = shared
    self.rings = rings
    self.reportUnknownVTEP = reportUnknownVTEP
    self.reportMove = reportMove
  }

  /// Runs `body` as the table's writer.
  func write<Result, Failure: Error>(_ body: (MACTable) throws(Failure) -> sending Result) throws(Failure) -> Result {
    try writer.withLock { _ throws(Failure) -> Result in
      table.events.setTime()
      return try body(table)
    }
  }

  /// A page of entries, as `MACTable.entries`: takes no lock.
  func entries(from cursor: inout Int, limit: Int) -> [MACTable.Entry] {
    table.entries(from: &cursor, limit: limit)
  }

  /// Applies all events reported so far; not those that arrive meanwhile, or it might never end.
  func drain() {
    _ = drain(rounds: Limits.learnEvents / Self.batch + 1)
  }

  /// The thread's function: returns when the shared stop flag is set.
  func run() {
    var nextSweep = 0.0
    var nextRelease = 0.0
    while !shared.pointee.stops.load(ordering: .relaxed) {
      // Only a few rounds at a time, so that the control side also gets the lock.
      let applied = drain(rounds: 8)
      let now = MonotonicClock.preciseSeconds()
      if now >= nextSweep {
        nextSweep = now + 1.0 / Double(Self.slicesPerSecond)
        _ = write { $0.sweep(slots: sweepSlots, nowSeconds: MonotonicClock.seconds()) }
        if let neighbors { neighbors.sweep(nodes: neighbors.capacity / Self.neighborSlices + 1, nowSeconds: MonotonicClock.seconds()) }
      }
      if now >= nextRelease {
        nextRelease = now + 1
        for move in write({ $0.releaseFrozen(nowSeconds: MonotonicClock.seconds()) }) { reportMove(.released(move)) }
      }
      if applied == 0 { sleep(milliseconds: Int32(1000 / Self.slicesPerSecond)) }
    }
  }

  private func drain(rounds: Int) -> Int {
    var total = 0
    withUnsafeTemporaryAllocation(of: LearnEvent.self, capacity: Self.batch) { events in
      guard let base = events.baseAddress else { return }
      for _ in 0..<rounds {
        let count = write { table in
          let now = MonotonicClock.seconds()
          self.events.takeNotes()
          return rings.reduce(0) { sum, ring in
            let count = ring.receive(into: base, capacity: events.count)
            for index in 0..<count { handle(base[index], in: table, now: now) }
            ring.decide(count)
            return sum + count
          }
        }
        total += count
        if count == 0 { break }
      }
    }
    return total
  }

  private func handle(_ event: LearnEvent, in table: MACTable, now: UInt32) {
    if !event.claim.isEmpty {
      let key = InnerNeighborKey(domain: event.key.domain, address: event.station)
      neighbors?.observe(key, mac: event.key.mac, by: event.claim, role: event.role, nowSeconds: now)
    } else if let location = event.location {
      learn(event.key, at: location, in: table, now: now)
      if !event.station.isUnspecified { stations.withLock { $0.record(event.station, of: event.key, nowSeconds: now) } }
    } else {
      reportUnknownVTEP(UnknownVTEP(key: event.key, address: event.vtep))
    }
  }

  /// Learns one address, and reports if that froze it. For the table's writer.
  func learn(_ key: MACKey, at location: MACLocation, in table: MACTable, now: UInt32) {
    switch table.learn(key, at: location, nowSeconds: now) {
    case .frozen:
      if let move = table.frozenMove(key) { reportMove(.frozen(move)) }
    case .movedTooOften(let move):
      reportMove(.followed(move))
    case .refusedByPrecedence where !location.isVTEP:
      stations.withLock { $0.contest(key, at: location, nowSeconds: now) }
    case .refusedByLimit:
      if isNews(ofLimit: key.domain, now: now), let vni = events.vni(key.domain) {
        events.report(
          .limitVNI, Event.Subject(vni: vni, mac: key.mac),
          "VNI \(vni): mac-limit reached: \(key.mac) is not learned, nor are other new addresses")
      }
    case .evictedOther:
      if isNews(ofLimit: nil, now: now) {
        events.report(
          .limitTable, "the MAC table is full (\(table.capacity) entries): new addresses displace old ones; raise dataplane.mac-table-size")
      }
    case .refusedFull:
      if isNews(ofLimit: nil, now: now) {
        events.report(
          .limitTable, "the MAC table is full of configured entries: nothing is learned; raise dataplane.mac-table-size")
      }
    default: break
    }
  }

  /// Whether nothing was told of a limit for a while.
  private func isNews(ofLimit domain: DomainIndex?, now: UInt32) -> Bool {
    if let told = limitsTold[domain], now &- told < Self.limitQuietSeconds { return false }
    limitsTold[domain] = now
    return true
  }

  private func sleep(milliseconds: Int32) {
    shared.pointee.learnerSleeps.store(true, ordering: .sequentiallyConsistent)
    // A worker that sent its event before it could see the flag did not wake us.
    if rings.allSatisfy(\.isEmpty) {
      var descriptor = pollfd(fd: shared.pointee.learnerEvent, events: Int16(POLLIN), revents: 0)
      if poll(&descriptor, 1, milliseconds) > 0 {
        cdpdk_event_clear(shared.pointee.learnerEvent)
      }
    }
    shared.pointee.learnerSleeps.store(false, ordering: .sequentiallyConsistent)
  }
}
