// The counters of one worker as values, and the differences between two moments.

import Encap
import MACTable

@testable import VTEP

struct Traffic: Equatable, CustomStringConvertible {
  var packets = 0
  var bytes = 0

  mutating func add(_ byteCount: Int) {
    packets += 1
    bytes += byteCount
  }

  var description: String { "\(packets) packets, \(bytes) bytes" }

  static func - (left: Traffic, right: Traffic) -> Traffic {
    Traffic(packets: left.packets - right.packets, bytes: left.bytes - right.bytes)
  }
}

/// A copy of all counters that tests look at.
struct CounterValues {
  private var drops: [[UInt64]]
  private var received: [Traffic]
  private var sent: [Traffic]
  fileprivate var ignored: [[UInt64]]
  fileprivate var vteps: [(received: Traffic, sent: Traffic)]
  fileprivate var domains: [(received: Traffic, sent: Traffic)]
  fileprivate var flooded: [UInt64]
  fileprivate var eventsLost: UInt64
  private var kept: [UInt64]

  init(_ counters: WorkerCounters) {
    let places = Place.allCases.map { Int($0.rawValue) }
    drops = places.map { place in DropReason.allCases.map { counters.drop(port: PortIndex(place), $0).pointee.value } }
    received = places.map { Self.both(counters.ports + $0).received }
    sent = places.map { Self.both(counters.ports + $0).sent }
    ignored = places.map { place in IgnoredCause.allCases.map { counters.ignored(port: PortIndex(place), $0).pointee.value } }
    vteps = (0..<8).map { Self.both(counters.vteps + $0) }
    domains = (0..<8).map { Self.both(counters.domains + $0) }
    flooded = (0..<8).map { counters.flooded[$0].value }
    eventsLost = counters.activity.pointee.learnEventsLost.value
    kept = DropReason.allCases.map(counters.droppedFrames.keptCount)
  }

  private static func both(_ counters: UnsafeMutablePointer<TrafficCounters>) -> (received: Traffic, sent: Traffic) {
    (
      Traffic(packets: Int(counters.pointee.rxPackets.value), bytes: Int(counters.pointee.rxBytes.value)),
      Traffic(packets: Int(counters.pointee.txPackets.value), bytes: Int(counters.pointee.txBytes.value))
    )
  }

  func drops(since before: CounterValues) -> [Place: [DropReason: Int]] {
    var result: [Place: [DropReason: Int]] = [:]
    for place in Place.allCases {
      for reason in DropReason.allCases {
        let count = Int(drops[Int(place.rawValue)][Int(reason.rawValue)])
        let difference = count - Int(before.drops[Int(place.rawValue)][Int(reason.rawValue)])
        if difference != 0 { result[place, default: [:]][reason] = difference }
      }
    }
    return result
  }

  /// Dropped frames that were kept for reports.
  func kept(_ reason: DropReason, since before: CounterValues) -> Int {
    Int(kept[Int(reason.rawValue)] - before.kept[Int(reason.rawValue)])
  }

  func received(_ place: Place, since before: CounterValues) -> Traffic {
    received[Int(place.rawValue)] - before.received[Int(place.rawValue)]
  }

  func sent(_ place: Place, since before: CounterValues) -> Traffic {
    sent[Int(place.rawValue)] - before.sent[Int(place.rawValue)]
  }
}

/// What the counters have done since an earlier moment.
struct CounterDeltas {
  private let now: CounterValues
  private let before: CounterValues

  init(_ counters: WorkerCounters, _ before: CounterValues) {
    now = CounterValues(counters)
    self.before = before
  }

  var drops: [Place: [DropReason: Int]] { now.drops(since: before) }
  func received(_ place: Place) -> Traffic { now.received(place, since: before) }
  func sent(_ place: Place) -> Traffic { now.sent(place, since: before) }
  func fromVTEP(_ index: VTEPIndex) -> Traffic { now.vteps[Int(index)].received - before.vteps[Int(index)].received }
  func toVTEP(_ index: VTEPIndex) -> Traffic { now.vteps[Int(index)].sent - before.vteps[Int(index)].sent }
  func fromOverlay(_ domain: DomainIndex) -> Traffic { now.domains[Int(domain)].received - before.domains[Int(domain)].received }
  func toOverlay(_ domain: DomainIndex) -> Traffic { now.domains[Int(domain)].sent - before.domains[Int(domain)].sent }
  func flooded(_ domain: DomainIndex) -> Int { Int(now.flooded[Int(domain)] - before.flooded[Int(domain)]) }
  func ignored(_ place: Place) -> [IgnoredCause: Int] {
    var result: [IgnoredCause: Int] = [:]
    for cause in IgnoredCause.allCases {
      let index = Int(cause.rawValue)
      let count = Int(now.ignored[Int(place.rawValue)][index] - before.ignored[Int(place.rawValue)][index])
      if count != 0 { result[cause] = count }
    }
    return result
  }
  var eventsLost: Int { Int(now.eventsLost - before.eventsLost) }
}

/// A learn event as tests write it.
struct Sighting: Equatable, CustomStringConvertible {
  var domain: DomainIndex = Topology.domain
  var mac: MACAddress
  var location: MACLocation?
  /// For a VTEP without an index.
  var vtep: IPAddress?
  /// Claimed by a station behind a port.
  var station: IPAddress?
  /// Not empty: only that, for the neighbour table.
  var claim: NeighborSources = []
  var role = NeighborRole.unknown

  static func claim(
    _ mac: MACAddress, _ address: IPAddress, by source: NeighborSources, role: NeighborRole = .unknown
  ) -> Sighting {
    Sighting(mac: mac, station: address, claim: source, role: role)
  }

  static func port(_ mac: MACAddress, _ place: Place, vlan: UInt16 = 0) -> Sighting {
    Sighting(mac: mac, location: .port(place.rawValue, vlan: vlan))
  }

  static func vtep(_ mac: MACAddress, _ index: VTEPIndex) -> Sighting { Sighting(mac: mac, location: .vtep(index)) }

  static func unknown(_ mac: MACAddress, _ address: IPAddress) -> Sighting { Sighting(mac: mac, vtep: address) }

  var description: String {
    "\(mac) in \(domain) at \(location.map(\.description) ?? "\(vtep.map(\.description) ?? "?")") \(station.map(\.description) ?? "")"
  }

  static func takeAll(_ ring: LearnRing) -> [Sighting] {
    withUnsafeTemporaryAllocation(of: LearnEvent.self, capacity: Limits.learnEvents) { events in
      let count = ring.receive(into: events.baseAddress!, capacity: events.count)
      ring.decide(count)
      return events.prefix(count).map { event in
        Sighting(
          domain: event.key.domain, mac: event.key.mac, location: event.location,
          vtep: event.location == nil && event.claim.isEmpty ? event.vtep : nil,
          station: event.station.isUnspecified ? nil : event.station, claim: event.claim,
          role: event.role)
      }
    }
  }
}
