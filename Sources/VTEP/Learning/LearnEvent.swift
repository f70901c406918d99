// LearnEvent: what a worker tells the learner: this address was seen there. Steps E3 and D4.

import CDPDK
import Encap
import MACTable

/// One sighting of a source address that the MAC table does not have, or has elsewhere.
struct LearnEvent {
  var key: MACKey
  /// Where it was seen; nil when behind a VTEP that has no index yet.
  var location: MACLocation?
  /// Outer source address, for a VTEP that has no index yet.
  var vtep: IPAddress
  /// The address that the station behind a port says it has; unspecified: it says none, or nobody wants to know.
  var station = IPAddress(high: 0, low: 0)
}

/// Bounded queue of learn events from one worker to the learner.
struct LearnRing: @unchecked Sendable {
  private let ring: OpaquePointer
  /// What has been sent and the learner has not dealt with.
  private let pending = PendingSightings()
  private static let elementSize = UInt32((MemoryLayout<LearnEvent>.stride + 3) & ~3)

  init(worker: Int) throws(VTEPError) {
    guard let ring = cdpdk_ring_create("vtepd-learn-\(worker)", Self.elementSize, UInt32(Limits.learnEvents)) else {
      throw VTEPError(
        .environment, "learn ring of worker \(worker)", VTEPError.errnoText(cdpdk_errno()),
        remedy: "raise dataplane.memory-mb")
    }
    self.ring = ring
  }

  /// - Parameter hash: of the MAC table, for the event's address.
  /// - Returns: false when the ring is full.
  @inline(always)
  func send(_ event: LearnEvent, hash: UInt64) -> Bool {
    var event = event
    guard cdpdk_ring_enqueue(ring, &event, Self.elementSize) == 0 else { return false }
    pending.note(event.key, at: event.location, hash: hash)
    return true
  }

  /// Where an address is that the MAC table does not have.
  func find(_ key: MACKey, hash: UInt64) -> PendingSightings.Answer { pending.find(key, hash: hash) }

  var isEmpty: Bool { cdpdk_ring_count(ring) == 0 }

  /// Takes up to `capacity` events; `decide` follows when they have been dealt with.
  func receive(into events: UnsafeMutablePointer<LearnEvent>, capacity: Int) -> Int {
    Int(cdpdk_ring_dequeue(ring, events, Self.elementSize, UInt32(capacity)))
  }

  /// So many of the events taken have been dealt with.
  func decide(_ count: Int) { pending.decide(count) }
}
