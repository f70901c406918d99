// EventLog: the daemon's latest events. The MAC table's writer puts its own into a ring of plain data; everybody else leaves notes here,
// which the learner puts between them. Nobody waits for a reader, and readers poll (docs/decisions/0039).

import Encap
import Glibc
import Logging
import MACTable
import Synchronization

/// Events and their readers; for any thread.
public final class EventLog: Sendable {
  /// Events in order.
  public struct Page: Sendable {
    /// Lost before the first of `events`.
    public var gap: EventRing.Gap?
    public var events: [Event]
    /// The latest event that was looked at: the next page is what came after it.
    public var last: UInt64
  }

  private struct Note: Sendable {
    var milliseconds: UInt64
    var type: EventType
    var subject: Event.Subject
    var text: String
  }

  private struct State {
    /// Not in the ring yet.
    var pending: [Note] = []
    var lostCount = 0
    /// By sequence number, as long as the ring has their places.
    var kept: [(sequence: UInt64, note: Note)?] = []
    var names = EventNames()
    /// Lines of the log in a second, by type.
    var lines: [EventType: (second: UInt64, count: Int)] = [:]
    var log: Logger?
  }

  let ring: EventRing
  /// When it began, in milliseconds since 1970.
  public let began = EventLog.now
  private let state = Mutex(State())
  private let hasPending = Atomic(false)

  /// Most notes that wait for the learner, which looks every 100 ms.
  private static let pendingLimit = 16_384
  /// Lines of a type in the log per second.
  private static let linesPerSecond = 10

  init(ring: EventRing) { self.ring = ring }

  // -- those who report ----------------------------------------------------------------------------------------------------

  /// Where `report(…)` writes lines.
  func setLog(_ log: Logger) { state.withLock { $0.log = log } }

  /// Reports an event that is in the log already, or need not be.
  public func note(_ type: EventType, _ subject: Event.Subject, _ text: String) {
    add(Note(milliseconds: Self.now, type: type, subject: subject, text: text.oneLine))
  }

  /// Reports an event, and logs it. Of many in a second the log has the first ten of each type.
  public func report(_ type: EventType, _ subject: Event.Subject, _ text: String) {
    note(type, subject, text)
    let second = Self.now / 1000
    let (log, count) = state.withLock { state in
      let lines = state.lines[type].flatMap { $0.second == second ? $0.count : nil } ?? 0
      state.lines[type] = (second, lines + 1)
      return (state.log, lines + 1)
    }
    guard let log, count <= Self.linesPerSecond + 1 else { return }
    log.log(level: type.level, count <= Self.linesPerSecond ? "\(text)" : "more of this: see vtepctl monitor --type \(type.rawValue)")
  }

  public func note(_ type: EventType, _ text: String) { note(type, Event.Subject(), text) }
  public func report(_ type: EventType, _ text: String) { report(type, Event.Subject(), text) }

  private func add(_ note: Note) {
    state.withLock { state in
      if state.pending.count < Self.pendingLimit { state.pending.append(note) } else { state.lostCount += 1 }
    }
    hasPending.store(true, ordering: .releasing)
  }

  /// A port has an index from now on. The same for VNIs, and for VTEPs with their tunnels.
  func name(_ index: PortIndex, _ name: String) { state.withLock { $0.names.add(name, index, since: ring.next) } }
  func name(_ index: DomainIndex, _ vni: VNI) { state.withLock { $0.names.add(vni, index, since: ring.next) } }
  func name(_ index: VTEPIndex, _ address: IPAddress) { state.withLock { $0.names.add(address, index, since: ring.next) } }

  private static var now: UInt64 {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return UInt64(now.tv_sec) * 1000 + UInt64(now.tv_nsec) / 1_000_000
  }

  // -- the learner ---------------------------------------------------------------------------------------------------------

  /// Puts notes into the ring. For the MAC table's writer, which does not wait: with a reader at work, they come the next time.
  func takeNotes() {
    guard hasPending.load(ordering: .acquiring) else { return }
    _ = state.withLockIfAvailable { state in
      hasPending.store(false, ordering: .releasing)
      if state.kept.isEmpty { state.kept = Array(repeating: nil, count: ring.capacity) }
      for note in state.pending { keep(note, &state) }
      state.pending.removeAll(keepingCapacity: state.pending.count < 1024)
      guard state.lostCount > 0 else { return }
      keep(Note(milliseconds: Self.now, type: .monitorLost, subject: Event.Subject(), text: "\(state.lostCount) events were lost"), &state)
      state.lostCount = 0
    }
  }

  private func keep(_ note: Note, _ state: inout State) {
    let sequence = ring.next
    state.kept[Int(truncatingIfNeeded: sequence) & (ring.capacity - 1)] = (sequence, note)
    ring.append(note: note.milliseconds)
  }

  // -- readers -------------------------------------------------------------------------------------------------------------

  /// The latest event's sequence number; 0: there was none.
  public var last: UInt64 { ring.next - 1 }

  /// The events after one, as far as they are kept.
  ///
  /// - Parameters:
  ///   - sequence: the last one that is known; 0: none.
  ///   - limit: most events to return.
  public func page(after sequence: UInt64, _ filter: EventFilter = EventFilter(), limit: Int) -> Page {
    let names = state.withLock(\.names)
    var found: [Event] = []
    // Notes are fetched afterwards, all with one lock.
    var notes: [Int] = []
    let (gap, next) = ring.read(from: sequence + 1) { record in
      if let type = record.eventType {
        guard filter.wants(type) else { return true }
        if let mac = filter.mac, record.isFlush || record.key.mac != mac { return true }
        if let vni = filter.vni, !names.mayBe(record.key.domain, vni) { return true }
        let event = Event(record, type, names)
        if filter.matches(event) { found.append(event) }
      } else {
        notes.append(found.count)
        found.append(Event(sequence: record.sequence, milliseconds: record.milliseconds, type: .monitorLost, text: ""))
      }
      return found.count < limit
    }
    guard !notes.isEmpty else { return Page(gap: gap, events: found, last: next - 1) }
    var isMissing = Set(notes)
    state.withLock { state in
      for index in notes {
        guard case (let sequence, let note)? = state.kept[Int(truncatingIfNeeded: found[index].sequence) & (ring.capacity - 1)],
          sequence == found[index].sequence
        else { continue }
        found[index].type = note.type
        found[index].subject = note.subject
        found[index].text = note.text
        if filter.wants(note.type), filter.matches(found[index]) { isMissing.remove(index) }
      }
    }
    return Page(gap: gap, events: found.indices.filter { !isMissing.contains($0) }.map { found[$0] }, last: next - 1)
  }

  /// The place that a location stood for at an event.
  func place(_ location: MACLocation, at sequence: UInt64) -> MACReport.Place? {
    state.withLock { $0.names.place(location, at: sequence) }
  }

  /// The VNI that an index stands for now.
  func vni(_ index: DomainIndex) -> VNI? { state.withLock { $0.names.vni(index, at: .max) } }
}

extension String {
  /// Without line ends.
  fileprivate var oneLine: String { contains(where: \.isNewline) ? String(map { $0.isNewline ? " " : $0 }) : self }
}
