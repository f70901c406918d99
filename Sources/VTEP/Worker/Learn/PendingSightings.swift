// PendingSightings: where the stations are that a worker has told the learner of, for as long as the learner has not decided.
// The answer to a station's first frame often comes before the learner has woken up; without this it would be flooded. A station behind a
// VTEP that has no index yet is awaited: frames to it are held for a moment.
// Steps E4 and D5, after a look-up that found nothing (docs/decisions/0015).

import CDPDK
import MACTable
import Synchronization

/// A small lossy table of (address, place, number of the learn event), written by one worker and read by all. An entry is valid
/// until the learner has processed its event; from then on the MAC table is authoritative.
struct PendingSightings: @unchecked Sendable {
  enum Answer {
    case unknown
    case pending(MACLocation)
    /// The learner has decided meanwhile: look the address up in the MAC table again.
    case decided
  }

  private static let bucketBits: UInt64 = 12
  private static let ways = 4
  /// A value is the place and, above it, the event's number.
  private static let placeBits: UInt64 = 29
  private static let numberMask: UInt64 = .max >> placeBits

  /// Pairs of key and value; a bucket is one cache line.
  private let words: UnsafeMutablePointer<Atomic<UInt64>>
  /// Pairs of a key and the time-stamp counter until which it is awaited: of the latest stations without a place.
  private let awaited: UnsafeMutablePointer<Atomic<UInt64>>
  private static let awaitedCount = 16
  /// Number of events that the learner has processed.
  private let decidedCount: UnsafeMutablePointer<Atomic<UInt64>>
  /// Events sent. Only the worker uses it.
  private let sentCount: UnsafeMutablePointer<UInt64>

  init() {
    let count = Self.ways * 2 << Self.bucketBits
    words = .allocate(capacity: count)
    for index in 0..<count { (words + index).initialize(to: Atomic(0)) }
    awaited = .allocate(capacity: Self.awaitedCount * 2)
    for index in 0..<Self.awaitedCount * 2 { (awaited + index).initialize(to: Atomic(0)) }
    decidedCount = .allocate(capacity: 1)
    decidedCount.initialize(to: Atomic(0))
    sentCount = .allocate(capacity: 1)
    sentCount.initialize(to: 0)
  }

  /// Records an event that has been sent. For the worker.
  ///
  /// - Parameters:
  ///   - place: nil: none that frames could go to until the control side has made it.
  ///   - hash: of the MAC table, for the key.
  func add(_ key: MACKey, at place: MACLocation?, hash: UInt64) {
    sentCount.pointee &+= 1
    guard let place else {
      noteAwaited(key)
      return
    }
    let number = sentCount.pointee & Self.numberMask
    let bucket = Self.bucket(hash)
    // Replaces the same address's entry, or an expired one; else another address's, whose frames are then flooded once or twice.
    var way = Int(truncatingIfNeeded: number) & (Self.ways - 1)
    for candidate in 0..<Self.ways where !isPending(words[bucket + candidate * 2 + 1].load(ordering: .relaxed)) { way = candidate }
    for candidate in 0..<Self.ways where words[bucket + candidate * 2].load(ordering: .relaxed) == key.raw { way = candidate }
    // Readers see a key only with a value of its own: see `find`.
    let entry = words + (bucket + way * 2)
    entry[0].store(0, ordering: .releasing)
    entry[1].store(number << Self.placeBits | UInt64(place.raw), ordering: .releasing)
    entry[0].store(key.raw, ordering: .releasing)
  }

  /// Counts an event that is about no place. For the worker.
  func skip() { sentCount.pointee &+= 1 }

  /// Looks up an address that the MAC table does not have. For any worker.
  func find(_ key: MACKey, hash: UInt64) -> Answer {
    let bucket = Self.bucket(hash)
    for way in 0..<Self.ways {
      let entry = words + (bucket + way * 2)
      let before = entry[1].load(ordering: .acquiring)
      guard entry[0].load(ordering: .acquiring) == key.raw else { continue }
      // No two events have one number: with the same value before and after, the key between them is the value's.
      guard entry[1].load(ordering: .acquiring) == before, isPending(before) else { return .decided }
      return .pending(MACLocation(raw: UInt32(truncatingIfNeeded: before & (1 << Self.placeBits - 1))))
    }
    return .unknown
  }

  private func noteAwaited(_ key: MACKey) {
    let entry = awaited + (Int(truncatingIfNeeded: sentCount.pointee) % Self.awaitedCount) * 2
    entry[1].store(0, ordering: .releasing)
    entry[0].store(key.raw, ordering: .releasing)
    entry[1].store(cdpdk_cycles() &+ Self.awaitCycles, ordering: .releasing)
  }

  /// Whether the control side is about to give a station's VTEP an index. For any worker.
  func isAwaited(_ key: MACKey, now: UInt64) -> Bool {
    for index in 0..<Self.awaitedCount {
      let entry = awaited + index * 2
      if entry[0].load(ordering: .acquiring) == key.raw, entry[1].load(ordering: .acquiring) > now { return true }
    }
    return false
  }

  /// A tenth of a second: the control side needs a few milliseconds.
  static var awaitCycles: UInt64 { cdpdk_cycles_per_second() / 10 }

  /// The learner has processed this many more events.
  func decide(_ count: Int) {
    decidedCount.pointee.store(decidedCount.pointee.load(ordering: .relaxed) &+ UInt64(count), ordering: .releasing)
  }

  func deallocate() {
    words.deallocate()
    awaited.deallocate()
    decidedCount.deallocate()
    sentCount.deallocate()
  }

  /// Forgets everything. For a worker without readers.
  func forget() {
    for index in 0..<Self.ways * 2 << Self.bucketBits { words[index].store(0, ordering: .relaxed) }
    for index in 0..<Self.awaitedCount * 2 { awaited[index].store(0, ordering: .relaxed) }
  }

  /// Whether an entry's event still waits: no more than the ring holds can.
  private func isPending(_ value: UInt64) -> Bool {
    let ahead = (value >> Self.placeBits &- decidedCount.pointee.load(ordering: .acquiring) &- 1) & Self.numberMask
    return ahead < UInt64(Limits.learnEvents)
  }

  private static func bucket(_ hash: UInt64) -> Int {
    Int(truncatingIfNeeded: hash & (1 << bucketBits - 1)) * ways * 2
  }
}
