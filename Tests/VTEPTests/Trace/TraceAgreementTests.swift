// What `vtepctl trace` says agrees with the wire: for thousands of random frames and packets under random configurations, a dry worker and
// then a real one. The same must leave by the same ports, octet for octet, and the same be dropped, held and reported; and nothing that is
// the real worker's may have changed in between.

import CDPDK
import Encap
import MACTable
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("Trace agrees with the wire")
  struct TraceAgreementTests {
    /// What became of a frame.
    private struct Outcome: Equatable, CustomStringConvertible {
      var sent: [Place: [String]] = [:]
      var drops: [Place: [DropReason: Int]] = [:]
      var held = 0
      var slowPath: [SlowPathItem.Kind] = []
      var ignored: [IgnoredCause] = []
      var learned: [String] = []

      var description: String {
        "sent \(sent), drops \(drops), held \(held), slow path \(slowPath), ignored \(ignored), learned \(learned)"
      }
    }

    @Test("10,000 random frames, both directions", arguments: Family.allCases, Attachment.allCases)
    func agrees(_ family: Family, _ attachment: Attachment) throws {
      var reasons: Set<DropReason> = []
      var leaving = 0
      try DataplaneFixture.run(family, attachment) { plane in
        // Held frames and sightings of a run must not last: the next one begins anew.
        let dry = try DryWorker(
          beside: DataplaneFixture.context(0, plane.test, plane.table.reader, plane.test.shared), reader: UInt32(TestRuntime.workers),
          runtime: plane.test.runtime)
        var random = SeededRandom(state: UInt64(family.rawValue.count * 7 + attachment.rawValue.count))
        let original = plane.model
        var now = cdpdk_cycles()
        for configuration in 0..<50 {
          plane.change { $0 = original }
          RandomConfiguration.apply(to: plane, &random)
          for number in 0..<50 {
            now += UInt64.random(in: 0...cdpdk_cycles_per_second() / 100, using: &random)
            let fromUnderlay = Bool.random(using: &random)
            let place: Place = fromUnderlay ? [.uplink, .uplink, .secondUplink].randomElement(using: &random)! : RandomFrame.port(&random)
            // The second uplink may be the tap of the first.
            guard !fromUnderlay || plane.model.ports[Int(place.rawValue)].isUnderlay else { continue }
            let octets = fromUnderlay ? RandomFrame.packet(plane, &random) : RandomFrame.frame(plane, &random)
            // What a worker has just seen it does not report again; a dry worker has seen nothing.
            let forgets = Bool.random(using: &random)
            if forgets { plane.worker.sightings.forget() }
            var expected = try trace(octets, at: place, dry, plane, now: now)
            var actual = send(octets, at: place, plane, now: now, &random)
            if !forgets, actual.learned.isEmpty { (expected.learned, actual.learned) = ([], []) }
            #expect(expected == actual, "configuration \(configuration), frame \(number) at \(place): \(octets.hex)")
            reasons.formUnion(actual.drops.values.flatMap(\.keys))
            leaving += actual.sent.values.reduce(0) { $0 + $1.count }
            guard expected == actual else { break }
          }
        }
        plane.change { $0 = original }
        plane.run()
        _ = plane.worker.held.takeAll().map { $0.mbuf.free() }
        plane.base = CounterValues(plane.test.counters[0])
        plane.put = plane.put.map { _ in Traffic() }
        plane.taken = plane.put
        plane.test.learnRings[0].forget()
        for place in Place.allCases { plane.test.shared.pointee.policyStates[Int(place.rawValue)].reset(now: 0) }
        plane.test.shared.pointee.uplinks.imitate(UplinkElection())
        for domain in 0..<2 { plane.test.shared.pointee.stormStates[domain] = StormState(now: 0) }
      }
      // It was worth it.
      #expect(leaving > 1000, "\(leaving) frames left")
      #expect(reasons.count > 25, "\(reasons.map(\.name).sorted())")
    }

    @Test("a dry worker with another MAC table does not agree")
    func disagreementIsSeen() throws {
      try DataplaneFixture.run(.ipv4, .untagged) { plane in
        let other = try MACTable(capacity: 1024, portCount: Limits.ports, vtepCount: Limits.vteps, domainCount: Limits.domains)
        let dry = try DryWorker(
          beside: DataplaneFixture.context(0, plane.test, other.reader, plane.test.shared), reader: UInt32(TestRuntime.workers),
          runtime: plane.test.runtime)
        var random = SeededRandom(state: 1)
        let frame = Frame.udp(from: Topology.guest(1), to: Topology.guest(21))
        let expected = try trace(frame, at: .vm1, dry, plane, now: 1)
        let actual = send(frame, at: .vm1, plane, now: 1, &random)
        #expect(expected != actual && expected.sent[.vm2] == [frame.hex] && actual.sent[.vm2] == nil)
        plane.base = CounterValues(plane.test.counters[0])
        plane.put = plane.put.map { _ in Traffic() }
        plane.taken = plane.put
        plane.test.learnRings[0].forget()
      }
    }

    /// The dry run, and that it changed nothing.
    private func trace(
      _ octets: [UInt8], at place: Place, _ dry: DryWorker, _ plane: DataplaneFixture, now: UInt64
    ) throws -> Outcome {
      let before = CounterValues(plane.test.counters[0])
      let table = Self.entries(plane)
      let changes = plane.table.reader.changeCount
      let states = Self.sharedStates(plane)
      let run = try dry.run(octets, at: place.rawValue, now: now)
      let after = CounterDeltas(plane.test.counters[0], before)
      for place in Place.allCases {
        #expect(after.received(place) == Traffic() && after.sent(place) == Traffic() && after.ignored(place).isEmpty)
      }
      #expect(after.drops.isEmpty && after.flooded(Topology.domain) == 0 && after.eventsLost == 0)
      for vtep in [Topology.near, Topology.far, Topology.group] {
        #expect(after.toVTEP(vtep) == Traffic() && after.fromVTEP(vtep) == Traffic())
      }
      #expect(Self.entries(plane) == table && plane.table.reader.changeCount == changes, "the MAC table changed")
      #expect(Self.sharedStates(plane) == states, "limits were taken from")
      #expect(plane.worker.batchCount == 0 && plane.worker.held.isEmpty)
      for place in Place.allCases { #expect(plane.test.ports[Int(place.rawValue)].sentCount == 0, "a frame was sent") }

      var outcome = Outcome()
      for frame in run.sent { outcome.sent[Place(rawValue: frame.port)!, default: []].append(frame.octets.hex) }
      for drop in run.drops { outcome.drops[Place(rawValue: drop.port)!, default: [:]][drop.reason] = Int(drop.count) }
      #expect(run.sentCount == run.sent.count)
      outcome.held = run.heldCount
      outcome.slowPath = run.slowPath
      outcome.ignored = run.ignored.map { [$0] } ?? []
      outcome.learned = run.learned.map(Self.text)
      return outcome
    }

    /// The same by the real worker.
    private func send(
      _ octets: [UInt8], at place: Place, _ plane: DataplaneFixture, now: UInt64, _ random: inout SeededRandom
    ) -> Outcome {
      let before = CounterValues(plane.test.counters[0])
      plane.worker.nowCycles = now
      plane.worker.refillBudgets()
      // As a driver fills buffers.
      let head = min(Int(plane.model.ports[Int(place.rawValue)].headByteCount), 2048)
      let segments = octets.count > head ? [head] + Array(repeating: 2048, count: (octets.count - head - 1) / 2048) : []
      plane.sendRaw(octets, at: place, segments: segments)
      plane.run()
      let deltas = CounterDeltas(plane.test.counters[0], before)
      var outcome = Outcome()
      outcome.drops = deltas.drops
      for place in Place.allCases {
        let frames = plane.take(place)
        if !frames.isEmpty { outcome.sent[place] = frames.map(\.hex) }
        outcome.ignored += deltas.ignored(place).keys
      }
      let held = plane.worker.held.takeAll()
      outcome.held = held.count
      for frame in held { frame.mbuf.free() }
      var item = SlowPathItem()
      while plane.test.punts[0].receive(&item) {
        outcome.slowPath.append(item.kind)
        if let raw = item.mbuf { cdpdk_mbuf_free(raw) }
        item.mbuf = nil
      }
      outcome.learned = takeEvents(plane, &random)
      return outcome
    }

    /// Takes what the learner would get. Mostly it decides at once; else the next frame finds what it has not dealt with.
    private func takeEvents(_ plane: DataplaneFixture, _ random: inout SeededRandom) -> [String] {
      var events: [LearnEvent] = []
      var event = LearnEvent(key: MACKey(domain: 0, mac: .zero), vtep: IPAddress(high: 0, low: 0))
      let ring = plane.test.learnRings[0]
      let decides = Int.random(in: 0..<10, using: &random) > 0
      while ring.receive(into: &event, capacity: 1) == 1 {
        events.append(event)
        if decides { ring.decide(1) }
        if decides, let location = event.location, Bool.random(using: &random) {
          _ = plane.table.learn(event.key, at: location, nowSeconds: UInt32.random(in: 0...3, using: &random))
        }
      }
      if decides { ring.forget() }
      return events.map(Self.text)
    }

    private static func text(_ event: LearnEvent) -> String {
      "\(event.key.mac) in \(event.key.domain) at \(event.location.map { "\($0)" } ?? "\(event.vtep)"), \(event.station)"
    }

    private static func entries(_ plane: DataplaneFixture) -> [MACTable.Entry] {
      var cursor = 0
      return plane.table.entries(from: &cursor, limit: .max)
    }

    /// Octets of what workers share and take from.
    private static func sharedStates(_ plane: DataplaneFixture) -> [[UInt8]] {
      let shared = plane.test.shared
      let ports = Place.allCases.map { place in withUnsafeBytes(of: &shared.pointee.policyStates[Int(place.rawValue)]) { Array($0) } }
      return ports + (0..<2).map { domain in withUnsafeBytes(of: &shared.pointee.stormStates[domain]) { Array($0) } }
    }
  }
}

/// The same numbers with every run.
struct SeededRandom: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return state ^ state >> 29
  }
}
