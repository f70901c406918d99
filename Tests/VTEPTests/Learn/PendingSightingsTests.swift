// A station that a worker has just told the learner of is known at once, and only until the learner has decided.

import CDPDK
import Encap
import Glibc
import MACTable
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("Pending sightings")
  struct PendingSightingsTests {
    private let guest = Topology.guest

    private func key(_ number: UInt64) -> MACKey { MACKey(domain: Topology.domain, mac: guest(number)) }

    @Test(
      "the first answer goes where the question came from, until the learner has refused", arguments: Family.allCases,
      Attachment.allCases)
    func answers(_ family: Family, _ attachment: Attachment) throws {
      try DataplaneFixture.run(family, attachment) { plane in
        let question = Frame.udp(from: guest(100), to: guest(1))
        let answer = Frame.udp(from: guest(1), to: guest(100))
        // The uplink's burst comes first in a round.
        plane.send(plane.packet(from: Topology.far, carrying: question))
        plane.send(answer, from: .vm1)
        plane.expect(
          local: [.vm1: [question]], tunnelled: [plane.tunnelled(to: Topology.far, answer)], learned: [.vtep(guest(100), Topology.far)])
        // The events are taken, and nothing was learned: that is the learner's last word.
        plane.send(answer, from: .vm1)
        plane.expect(local: [.vm2: [answer], .vm3: [answer]], tunnelled: [plane.tunnelled(to: Topology.group, answer)])
      }
    }

    @Test("the answer to the first packet of a VTEP waits until that has an index", arguments: Family.allCases, [true, false])
    func awaited(_ family: Family, getsIndex: Bool) throws {
      try DataplaneFixture.run(family) { plane in
        let question = Frame.udp(from: guest(100), to: guest(1))
        let answers = (0..<3).map { Frame.udp(from: guest(1), to: guest(100), byteCount: 98 + $0) }
        var packet = plane.packet(carrying: question)
        packet.source = Topology.address(200, family)
        plane.send(packet)
        for answer in answers { plane.send(answer, from: .vm1) }
        plane.expect(local: [.vm1: [question]], learned: [.unknown(guest(100), packet.source)])
        #expect(plane.worker.held.count == 3)
        guard getsIndex else {
          // Some other sighting was refused, or the table of VTEPs is full: it is an unknown station after all.
          usleep(150_000)
          plane.change { _ in }
          plane.expect(
            local: [.vm2: answers, .vm3: answers], tunnelled: answers.map { plane.tunnelled(to: Topology.group, $0) })
          return
        }
        try plane.setStatic(guest(100), at: .vtep(Topology.far))
        plane.change { _ in }
        plane.expect(tunnelled: answers.map { plane.tunnelled(to: Topology.far, $0) })
      }
    }

    @Test("between ports, and from the overlay", arguments: Attachment.allCases)
    func locals(_ attachment: Attachment) throws {
      try DataplaneFixture.run(.ipv4, attachment) { plane in
        let question = Frame.udp(from: guest(100), to: guest(2))
        let answer = Frame.udp(from: guest(2), to: guest(100))
        plane.send(question, from: .vm1)
        plane.send(answer, from: .vm2)
        plane.expect(local: [.vm1: [answer], .vm2: [question]], learned: [.port(guest(100), .vm1, vlan: attachment.vlan)])

        plane.send(question, from: .vm1)
        plane.run()
        let remote = Frame.udp(from: guest(21), to: guest(100))
        plane.send(plane.packet(carrying: remote))
        // Back to the port it came from, and from tunnel to tunnel: as if the table knew.
        let own = Frame.udp(from: guest(1), to: guest(100))
        plane.send(own, from: .vm1)
        plane.expect(
          local: [.vm1: [remote], .vm2: [question]], drops: [.vm1: [.samePort: 1]],
          learned: [.port(guest(100), .vm1, vlan: attachment.vlan)])
        let transit = Frame.udp(from: guest(22), to: guest(101))
        let source = Frame.udp(from: guest(101), to: guest(1))
        plane.send(plane.packet(carrying: source))
        plane.send(plane.packet(from: Topology.far, carrying: transit))
        plane.expect(local: [.vm1: [source]], drops: [.uplink: [.splitHorizon: 1]], learned: [.vtep(guest(101), Topology.near)])
      }
    }

    @Test("known to all workers")
    func otherWorker() throws {
      try DataplaneFixture.run { plane in
        let answer = Frame.udp(from: guest(1), to: guest(100))
        let ring = plane.test.learnRings[1]
        let event = LearnEvent(key: key(100), location: .vtep(Topology.far), vtep: IPAddress(high: 0, low: 0))
        #expect(ring.send(event, hash: plane.table.reader.hash(event.key)))
        plane.send(answer, from: .vm1)
        plane.expect(tunnelled: [plane.tunnelled(to: Topology.far, answer)])
        _ = Sighting.takeAll(ring)
        plane.send(answer, from: .vm1)
        plane.expect(local: [.vm2: [answer], .vm3: [answer]], tunnelled: [plane.tunnelled(to: Topology.group, answer)])
      }
    }

    @Test("what the table says stands above it; what it learned since is looked up again")
    func tableDecides() throws {
      try DataplaneFixture.run { plane in
        let hash = plane.table.reader.hash(key(100))
        let answer = Frame.udp(from: guest(1), to: guest(100))
        let toNear = Frame.udp(from: guest(100), to: guest(1))
        try plane.setStatic(guest(100), at: .vtep(Topology.far))
        plane.send(plane.packet(carrying: toNear))
        plane.send(answer, from: .vm1)
        plane.expect(local: [.vm1: [toNear]], tunnelled: [plane.tunnelled(to: Topology.far, answer)])
        plane.table.remove(key(100))

        // Decided between the look-up and the question: the table has it.
        plane.send(plane.packet(carrying: toNear))
        plane.run()
        #expect(plane.worker.pendingPlace(of: key(100), hash: hash) == .vtep(Topology.near))
        plane.expect(local: [.vm1: [toNear]], learned: [.vtep(guest(100), Topology.near)])
        #expect(plane.worker.pendingPlace(of: key(100), hash: hash) == StagedFrame.noLocation)
        plane.learn(guest(100), at: .vtep(Topology.near))
        #expect(plane.worker.pendingPlace(of: key(100), hash: hash) == .vtep(Topology.near))
      }
    }

    @Test("10,000 questions and answers with the learner at work: no answer is flooded")
    func many() throws {
      try DataplaneFixture.run { plane in
        plane.table.removeAll(port: Place.vm2.rawValue)
        let learner = Learner(
          table: plane.table, shared: plane.test.shared, rings: plane.test.learnRings, reportUnknownVTEP: { _ in }, reportMove: { _ in })
        let thread = try BackgroundThread(name: "test-learn") { learner.run() }
        var wrong = 0
        for number in 0..<UInt64(10_000) {
          let source = guest(0x10_0000 + number % 5000 * 2 + number / 5000)
          plane.send(plane.packet(carrying: Frame.udp(from: source, to: guest(1), byteCount: 60)))
          plane.send(Frame.udp(from: guest(1), to: source, byteCount: 60), from: .vm1)
          // Sometimes the learner is ahead, sometimes behind.
          if number % 3 == 0 { usleep(UInt32(number % 90)) }
          plane.run()
          if plane.take(.vm1).count != 1 || plane.take(.uplink).count != 1 || plane.take(.vm3).count != 0 { wrong += 1 }
        }
        #expect(wrong == 0)
        #expect(plane.deltas.flooded(Topology.domain) == 0)
        plane.test.shared.pointee.stops.store(true, ordering: .sequentiallyConsistent)
        cdpdk_event_signal(plane.test.shared.pointee.learnerEvent)
        thread.join()
        // The thread may have ended before it took the last event.
        learner.drain()
        plane.test.shared.pointee.stops.store(false, ordering: .sequentiallyConsistent)
        cdpdk_event_clear(plane.test.shared.pointee.learnerEvent)
        plane.test.shared.pointee.learnerSleeps.store(false, ordering: .sequentiallyConsistent)
        plane.expect()
      }
    }

    @Test("as many as the ring holds, hardly one of them forgotten; the latest place counts")
    func full() throws {
      let pending = PendingSightings()
      let reader = try MACTable(capacity: 64, portCount: 4, vtepCount: 4, domainCount: 4).reader
      func place(_ number: UInt64) -> MACLocation? {
        if case .pending(let place) = pending.find(key(number), hash: reader.hash(key(number))) { return place }
        return nil
      }
      for round in 0..<3 {
        for number in 0..<UInt64(Limits.learnEvents / 2) {
          for vtep in [VTEPIndex(9), VTEPIndex(round)] { pending.add(key(number), at: .vtep(vtep), hash: reader.hash(key(number))) }
        }
        let found = (0..<UInt64(Limits.learnEvents / 2)).count { place($0) == .vtep(VTEPIndex(round)) }
        // Four places in each of 4,096 buckets.
        #expect(found > Limits.learnEvents / 2 * 98 / 100)
        pending.decide(Limits.learnEvents - 1)
        // The last one may still wait.
        #expect((0..<UInt64(Limits.learnEvents / 2)).count { place($0) != nil } <= 1)
        pending.decide(1)
        #expect((0..<UInt64(Limits.learnEvents / 2)).allSatisfy { place($0) == nil })
        // One without a place takes a number, too.
        pending.add(key(1), at: nil, hash: 0)
        pending.decide(1)
      }
    }
  }
}
