// LearnEvent: a worker's report to the learner that an address was seen at a place. Steps E3 and D4.

import CDPDK
import Encap
import MACTable

/// A sighting of a source address that the MAC table does not have, or has at another place.
struct LearnEvent {
  var key: MACKey
  /// Where it was seen; nil when behind a VTEP that has no index yet.
  var location: MACLocation?
  /// Outer source address, for a VTEP that has no index yet.
  var vtep: IPAddress
  /// The IP address that the station behind a port claims; unspecified: it claims none, or nobody needs it.
  var station = IPAddress(high: 0, low: 0)
  /// Not empty: only a claim of `station` in ARP or ND, for the neighbour table.
  var claim: NeighborSources = []
  /// With a claim: what the station tells of itself.
  var role = NeighborRole.unknown

  init(key: MACKey, location: MACLocation? = nil, vtep: IPAddress, station: IPAddress = IPAddress(high: 0, low: 0)) {
    self.key = key
    self.location = location
    self.vtep = vtep
    self.station = station
  }

  /// A station claims an address.
  ///
  /// - Parameter source: `local` or `overlay`.
  init(_ claim: NeighborClaim, domain: DomainIndex, by source: NeighborSources) {
    self.init(key: MACKey(domain: domain, mac: claim.mac), vtep: IPAddress(high: 0, low: 0), station: claim.address)
    self.claim = source
    role = claim.role
  }
}

/// Bounded queue of learn events from one worker to the learner.
struct LearnRing: @unchecked Sendable {
  private let ring: OpaquePointer
  /// Events that have been sent but not yet processed.
  private let pending = PendingSightings()
  private static let elementSize = UInt32((MemoryLayout<LearnEvent>.stride + 3) & ~3)

  init(worker: Int) throws(VTEPError) { try self.init(name: "learn-\(worker)") }

  /// - Parameter name: unique in the process.
  init(name: String) throws(VTEPError) {
    guard let ring = cdpdk_ring_create("vtepd-\(name)", Self.elementSize, UInt32(Limits.learnEvents)) else {
      throw VTEPError(
        .environment, "ring \(name)", VTEPError.errnoText(cdpdk_errno()),
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
    if event.claim.isEmpty { pending.add(event.key, at: event.location, hash: hash) } else { pending.skip() }
    return true
  }

  /// The place of an address that the MAC table does not have.
  func find(_ key: MACKey, hash: UInt64) -> PendingSightings.Answer { pending.find(key, hash: hash) }

  /// Whether a station's VTEP is about to get an index.
  func isAwaited(_ key: MACKey, now: UInt64) -> Bool { pending.isAwaited(key, now: now) }

  var isEmpty: Bool { cdpdk_ring_count(ring) == 0 }

  /// Takes up to `capacity` events; call `decide` once they have been processed.
  func receive(into events: UnsafeMutablePointer<LearnEvent>, capacity: Int) -> Int {
    Int(cdpdk_ring_dequeue(ring, events, Self.elementSize, UInt32(capacity)))
  }

  /// Reports how many of the taken events have been processed.
  func decide(_ count: Int) { pending.decide(count) }

  func deallocate() {
    rte_ring_free(ring)
    pending.deallocate()
  }

  /// Forgets every event, as if none had been sent. For a ring whose sender and receiver are one.
  func forget() {
    var event = LearnEvent(key: MACKey(domain: 0, mac: .zero), vtep: IPAddress(high: 0, low: 0))
    while receive(into: &event, capacity: 1) == 1 { decide(1) }
    pending.forget()
  }
}
