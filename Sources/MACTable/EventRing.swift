// EventRing: the latest events of the MAC table, and the places of all others between them, in order. The table's writer appends, which
// costs a few stores and never waits; any number of threads read, lose what was overwritten, and are told how much.

import Glibc
import Synchronization

/// One event, in plain data.
public struct EventRecord: Equatable, Sendable {
  /// What happened; raw values only matter within the ring.
  public enum Kind: UInt8, Sendable, CaseIterable {
    /// A new address, at `to`.
    case learned = 1
    /// From `from` to `to`.
    case moved
    /// Not seen for the domain's age; was at `from`.
    case aged
    /// The table was full; was at `from`.
    case evicted
    /// Moved too often: stays at `from`, was also seen at `to`.
    case frozen
    /// Was frozen at `from`, was also seen at `to`.
    case released
    /// A static or controller entry now says `to`.
    case placed
    /// An entry was removed; was at `from`.
    case removed
    /// `count` addresses of the key's domain.
    case flushedDomain
    /// `count` addresses at `from`, of any domain.
    case flushedPlace
    /// `count` addresses of the key's domain at `from`.
    case flushedDomainAtPlace
    /// Something that is not in the ring itself, see `EventRing.append(note:)`.
    case note
  }

  /// Of no other event; from 1, without gaps.
  public var sequence: UInt64
  /// Since 1970, UTC.
  public var milliseconds: UInt64
  public var kind: Kind
  /// Of the entry, or of the entry that was removed.
  public var type: MACEntryType
  public var key: MACKey
  public var from: MACLocation
  /// Of flushes: their `count`.
  public var to: MACLocation

  public var count: Int { Int(to.raw) }
}

/// A bounded ring of events: one writer at a time, any readers.
public final class EventRing: @unchecked Sendable {
  /// Events that a reader has lost.
  public struct Gap: Equatable, Sendable {
    public var first: UInt64
    public var last: UInt64
    public var count: UInt64 { last - first + 1 }

    public init(first: UInt64, last: UInt64) {
      self.first = first
      self.last = last
    }
  }

  /// Events that can be read; a power of two.
  public let capacity: Int
  /// For the writer: when the events that follow happen, in milliseconds since 1970. Reading a clock for each would be most of the work.
  public private(set) var milliseconds: UInt64 = 0
  /// Three words each: time and kinds, key, places.
  private let words: UnsafeMutablePointer<Atomic<UInt64>>
  /// The sequence number of the next event.
  private let head: UnsafeMutablePointer<Atomic<UInt64>>

  public static let defaultCapacity = 65_536
  private static let wordCount = 3

  /// - Parameter capacity: a power of two.
  public init(capacity: Int = EventRing.defaultCapacity) {
    precondition(capacity > 1 && capacity & (capacity - 1) == 0, "the ring's size is a power of two")
    self.capacity = capacity
    // Zeroed, and the kernel provides it with the first use.
    guard let memory = calloc(capacity * Self.wordCount, 8) else { fatalError("out of memory for events") }
    words = memory.bindMemory(to: Atomic<UInt64>.self, capacity: capacity * Self.wordCount)
    head = .allocate(capacity: 1)
    head.initialize(to: Atomic(1))
    setTime()
  }

  deinit {
    free(words)
    head.deallocate()
  }

  /// The sequence number of the next event.
  public var next: UInt64 { head.pointee.load(ordering: .acquiring) }

  // -- the writer ----------------------------------------------------------------------------------------------------------

  /// Reads the clock for the events that follow; to a few milliseconds, which costs next to nothing.
  public func setTime() {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME_COARSE, &now)
    milliseconds = UInt64(now.tv_sec) * 1000 + UInt64(now.tv_nsec) / 1_000_000
  }

  @inline(__always)
  func append(
    _ kind: EventRecord.Kind, _ key: MACKey, from: MACLocation = MACLocation(raw: 0), to: MACLocation = MACLocation(raw: 0),
    type: MACEntryType = .learned
  ) {
    store(kind, type, key.raw, UInt64(from.raw) << 32 | UInt64(to.raw), milliseconds)
  }

  /// Appends an event whose particulars the caller keeps, by the event's sequence number (`next` before the call).
  ///
  /// - Parameter milliseconds: when it happened.
  public func append(note milliseconds: UInt64) { store(.note, .learned, 0, 0, milliseconds) }

  @inline(__always)
  private func store(_ kind: EventRecord.Kind, _ type: MACEntryType, _ key: UInt64, _ places: UInt64, _ milliseconds: UInt64) {
    let sequence = head.pointee.load(ordering: .relaxed)
    let record = words + Int(truncatingIfNeeded: sequence) & (capacity - 1) &* Self.wordCount
    // Whoever sees one of these also sees that `head` has come so far: that is how readers notice what was overwritten.
    record[0].store(milliseconds << 16 | UInt64(type.rawValue) << 8 | UInt64(kind.rawValue), ordering: .releasing)
    record[1].store(key, ordering: .releasing)
    record[2].store(places, ordering: .releasing)
    head.pointee.store(sequence &+ 1, ordering: .releasing)
  }

  // -- readers -------------------------------------------------------------------------------------------------------------

  /// Reads events in order.
  ///
  /// - Parameters:
  ///   - first: the first sequence number that is wanted.
  ///   - body: gets each event that there was when the call began; returns whether it wants another.
  /// - Returns: what had been overwritten before the first event that `body` got, and the sequence number to go on with.
  public func read(from first: UInt64, _ body: (EventRecord) -> Bool) -> (gap: Gap?, next: UInt64) {
    let end = next
    var sequence = max(first, 1)
    var gap: Gap?
    var wantsMore = true
    while sequence < end, wantsMore {
      if let record = record(sequence) {
        wantsMore = body(record)
        sequence += 1
        continue
      }
      // Overwritten, with all before it.
      let oldest = next &- UInt64(capacity) &+ 1
      if let known = gap, known.last + 1 == sequence {
        gap = Gap(first: known.first, last: oldest - 1)
      } else if gap == nil, sequence == max(first, 1) {
        gap = Gap(first: sequence, last: oldest - 1)
      } else {
        // Events have been handed out: the next call begins with the gap.
        break
      }
      sequence = oldest
    }
    return (gap, sequence)
  }

  /// Nil: it was overwritten, or is being overwritten.
  private func record(_ sequence: UInt64) -> EventRecord? {
    let record = words + Int(truncatingIfNeeded: sequence) & (capacity - 1) &* Self.wordCount
    let (first, key, places) = (
      record[0].load(ordering: .acquiring), record[1].load(ordering: .acquiring), record[2].load(ordering: .acquiring)
    )
    guard next &- sequence < UInt64(capacity), let kind = EventRecord.Kind(rawValue: UInt8(truncatingIfNeeded: first)),
      let type = MACEntryType(rawValue: UInt8(truncatingIfNeeded: first >> 8))
    else { return nil }
    return EventRecord(
      sequence: sequence, milliseconds: first >> 16, kind: kind, type: type, key: MACKey(raw: key),
      from: MACLocation(raw: UInt32(truncatingIfNeeded: places >> 32)), to: MACLocation(raw: UInt32(truncatingIfNeeded: places)))
  }
}
