// Learner and LearnRing: what workers saw becomes entries of the MAC table, by the one thread that writes it.

import CDPDK
import Encap
import Glibc
import MACTable
import Synchronization
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("Learner")
  struct LearnerTests {
    private let guest = Topology.guest

    private final class Reports: Sendable {
      let seen = Mutex<[Sighting]>([])
      let moves = Mutex<[Learner.MoveReport]>([])
    }

    /// A learner over a fresh table and the rings of all test workers, which are empty.
    private func makeLearner(
      capacity: Int = 4096, reports: Reports = Reports()
    ) throws -> (learner: Learner, rings: [LearnRing], shared: UnsafeMutablePointer<SharedState>) {
      let test = try TestRuntime.shared()
      for ring in test.learnRings { _ = Sighting.takeAll(ring) }
      let table = try MACTable(
        capacity: capacity, portCount: Limits.ports, vtepCount: Limits.vteps, domainCount: Limits.domains)
      let shared = try TestRuntime.sharedState()
      let learner = Learner(
        table: table, shared: shared, rings: test.learnRings,
        reportUnknownVTEP: { sighting in
          reports.seen.withLock { $0.append(.unknown(sighting.key.mac, sighting.address)) }
        }, reportMove: { move in reports.moves.withLock { $0.append(move) } })
      return (learner, test.learnRings, shared)
    }

    private func event(_ mac: MACAddress, at location: MACLocation?) -> LearnEvent {
      LearnEvent(
        key: MACKey(domain: Topology.domain, mac: mac), location: location, vtep: Topology.address(200, .ipv6))
    }

    private func location(_ learner: Learner, _ mac: MACAddress) -> MACLocation? {
      let key = MACKey(domain: Topology.domain, mac: mac)
      let found = learner.reader.lookup(key, hash: learner.reader.hash(key))
      return found.isHit ? found.location : nil
    }

    private func waitUntil(_ condition: () -> Bool) -> Bool {
      let deadline = time(nil) + 60
      while !condition() {
        if time(nil) > deadline { return false }
        usleep(1000)
      }
      return true
    }

    @Test("a ring gives back what was put in, in order, and says when it is full")
    func ring() throws {
      let (_, rings, _) = try makeLearner()
      #expect(rings[0].isEmpty)
      var sent: [Sighting] = []
      for number in 0..<UInt64(Limits.learnEvents - 1) {
        let event = event(guest(number), at: number % 2 == 0 ? .vtep(VTEPIndex(number % 999)) : nil)
        #expect(rings[0].send(event, hash: 0))
        sent.append(
          Sighting(
            domain: Topology.domain, mac: guest(number), location: event.location,
            vtep: event.location == nil ? event.vtep : nil))
      }
      #expect(!rings[0].send(event(guest(1), at: nil), hash: 0))
      #expect(!rings[0].isEmpty && rings[1].isEmpty)
      #expect(Sighting.takeAll(rings[0]) == sent)
      #expect(rings[0].isEmpty)
    }

    @Test("events of all workers become entries; the last one counts")
    func entries() throws {
      let (learner, rings, _) = try makeLearner()
      for number in 0..<UInt64(1000) {
        #expect(rings[Int(number % 2)].send(event(guest(number), at: .port(3, vlan: UInt16(number % 4))), hash: 0))
        if number % 10 == 0 { #expect(rings[Int(number % 2)].send(event(guest(number), at: .vtep(77)), hash: 0)) }
      }
      learner.drain()
      for number in 0..<UInt64(1000) {
        let expected: MACLocation = number % 10 == 0 ? .vtep(77) : .port(3, vlan: UInt16(number % 4))
        #expect(location(learner, guest(number)) == expected)
      }
      #expect(rings.map(\.isEmpty) == [true, true])
      #expect(learner.write { $0.count } == 1000)
    }

    @Test("draining takes all that a full ring holds")
    func fullRing() throws {
      let (learner, rings, _) = try makeLearner(capacity: 20_000)
      for ring in rings.enumerated() {
        for number in 0..<UInt64(Limits.learnEvents - 1) {
          #expect(ring.element.send(event(guest(UInt64(ring.offset) << 20 | number), at: .port(2, vlan: 0)), hash: 0))
        }
      }
      learner.drain()
      #expect(learner.write { $0.count } == rings.count * (Limits.learnEvents - 1))
      #expect(rings.map(\.isEmpty) == [true, true])
    }

    @Test("what the operator has placed stays there")
    func statics() throws {
      let (learner, rings, _) = try makeLearner()
      let key = MACKey(domain: Topology.domain, mac: guest(5))
      try learner.write { table throws(MACTableError) in try table.setStatic(key, at: .vtep(9), type: .static) }
      #expect(rings[0].send(event(guest(5), at: .port(2, vlan: 0)), hash: 0))
      learner.drain()
      #expect(location(learner, guest(5)) == .vtep(9))
    }

    @Test("a VTEP without an index is reported, and nothing is learned yet")
    func unknownVTEP() throws {
      let reports = Reports()
      let (learner, rings, _) = try makeLearner(reports: reports)
      #expect(rings[1].send(event(guest(6), at: nil), hash: 0))
      learner.drain()
      #expect(location(learner, guest(6)) == nil)
      #expect(reports.seen.withLock { $0 } == [.unknown(guest(6), Topology.address(200, .ipv6))])
    }

    @Test("an address that moves to and fro is reported once, and once more when it is released")
    func moves() throws {
      let reports = Reports()
      let (learner, rings, _) = try makeLearner(reports: reports)
      learner.write { $0.configureMoveGuard(moves: 5, windowSeconds: 180, holdSeconds: 300) }
      for number in 0..<40 {
        #expect(rings[0].send(event(guest(5), at: number % 2 == 0 ? .port(2, vlan: 0) : .vtep(9)), hash: 0))
      }
      learner.drain()
      #expect(location(learner, guest(5)) == .port(2, vlan: 0))
      let reported = reports.moves.withLock { $0 }
      guard case .frozen(let move)? = reported.first else {
        Issue.record("not reported: \(reported)")
        return
      }
      #expect(reported.count == 1 && move.first == .port(2, vlan: 0) && move.second == .vtep(9) && move.moves == 6)
    }

    @Test("a worker wakes the learner when it sleeps, and only then")
    func wakeUp() throws {
      try DataplaneFixture.run { plane in
        let shared = plane.test.shared
        let fresh = Frame.udp(from: guest(50), to: guest(2))
        let known = Frame.udp(from: guest(1), to: guest(2))
        plane.send(fresh, from: .vm1)
        plane.expect(local: [.vm2: [fresh]], learned: [.port(guest(50), .vm1)])
        #expect(!isSignalled(shared), "the learner was awake")

        shared.pointee.learnerSleeps.store(true, ordering: .sequentiallyConsistent)
        plane.send(known, from: .vm1)
        plane.expect(local: [.vm2: [known]])
        #expect(!isSignalled(shared), "there was nothing to learn")

        plane.send(fresh, from: .vm1)
        plane.expect(local: [.vm2: [fresh]], learned: [.port(guest(50), .vm1)])
        #expect(isSignalled(shared))
        let stillSleeps = shared.pointee.learnerSleeps.load(ordering: .sequentiallyConsistent)
        #expect(!stillSleeps)
        cdpdk_event_clear(shared.pointee.learnerEvent)

        plane.run()
        #expect(!isSignalled(shared), "an event is told once")
      }
    }

    private func isSignalled(_ shared: UnsafeMutablePointer<SharedState>) -> Bool {
      var descriptor = pollfd(fd: shared.pointee.learnerEvent, events: Int16(POLLIN), revents: 0)
      return poll(&descriptor, 1, 0) == 1
    }

    @Test("the thread learns, ages and stops")
    func thread() throws {
      let (learner, rings, shared) = try makeLearner()
      learner.write { $0.configureDomain(Topology.domain, ageSeconds: 2, limit: 0) }
      let old = MACKey(domain: Topology.domain, mac: guest(7))
      learner.write { _ = $0.learn(old, at: .port(2, vlan: 0), nowSeconds: MonotonicClock.seconds() &- 1000) }
      let thread = try BackgroundThread(name: "test-learn") { learner.run() }
      #expect(waitUntil { shared.pointee.learnerSleeps.load(ordering: .sequentiallyConsistent) })
      #expect(rings[0].send(event(guest(8), at: .port(3, vlan: 0)), hash: 0))
      if shared.pointee.learnerSleeps.exchange(false, ordering: .sequentiallyConsistent) {
        cdpdk_event_signal(shared.pointee.learnerEvent)
      }
      #expect(waitUntil { learner.write { $0.count(port: 3) } == 1 || location(learner, guest(8)) != nil })
      #expect(waitUntil { location(learner, guest(7)) == nil }, "the old entry did not age")
      // And the new one, when nobody sends from it any more.
      #expect(waitUntil { location(learner, guest(8)) == nil })
      shared.pointee.stops.store(true, ordering: .sequentiallyConsistent)
      cdpdk_event_signal(shared.pointee.learnerEvent)
      thread.join()
    }
  }
}
