// Storm control of a VNI, and how exact the meters behind all storm control are. The clock stands still unless a test moves it.

import CDPDK
import Encap
import MACTable
import Testing

@testable import VTEP

extension DataplaneFixture {
  /// Gives the domain limits, as the reconciler does.
  func limitFloods(_ limits: StormLimits) {
    changeDomain { $0.storm = limits.isLimited ? StormEntry(limits) : nil }
  }

  /// The same for a domain that is new.
  func beginStormControl(_ limits: StormLimits) {
    test.shared.pointee.stormStates[Int(Topology.domain)] = StormState(now: worker.nowCycles)
    limitFloods(limits)
  }
}

extension DataplaneTests {
  @Suite("Storm control")
  struct StormTests {
    /// A class of flooded frames, the limit that stands for it, and the reason of the VNI.
    struct Storm: CustomTestStringConvertible, Sendable {
      var flood: FloodClass
      var destination: MACAddress
      var limits: StormLimits
      var reason: DropReason

      var testDescription: String { reason.name }

      func frame(from source: UInt64) -> Frame { .udp(from: Topology.guest(source), to: destination) }

      static let all = [
        Storm(flood: .broadcast, destination: .broadcast, limits: StormLimits(broadcast: 200), reason: .vniStormBroadcast),
        Storm(
          flood: .unknownUnicast, destination: Topology.guest(0x77), limits: StormLimits(unknownUnicast: 200),
          reason: .vniStormUnknownUnicast),
        Storm(
          flood: .unknownMulticast, destination: MACAddress(bits: 0x0100_5e01_0101), limits: StormLimits(unknownMulticast: 200),
          reason: .vniStormUnknownMulticast),
      ]
    }

    private func times(_ count: Int, _ frame: Frame) -> [Frame] { Array(repeating: frame, count: count) }

    @Test("ports and overlay share the VNI's limit of each class", arguments: Storm.all)
    func sharedByAllSources(_ storm: Storm) throws {
      try DataplaneFixture.run { plane in
        plane.changeDomain { $0.flood = [] }
        plane.beginStormControl(storm.limits)
        // A twentieth of a second's worth at once.
        for _ in 0..<4 { plane.send(storm.frame(from: 1), from: .vm1) }
        for _ in 0..<3 { plane.send(storm.frame(from: 2), from: .vm2) }
        for _ in 0..<5 { plane.send(plane.packet(carrying: storm.frame(from: 21))) }
        let dropped = plane.worker.counters.stormDrops(domain: Topology.domain, storm.flood)
        let before = dropped.pointee.value
        plane.run()
        #expect(dropped.pointee.value == before + 2)
        // The uplink is polled first.
        plane.expect(
          local: [
            .vm1: times(5, storm.frame(from: 21)) + times(1, storm.frame(from: 2)),
            .vm2: times(5, storm.frame(from: 21)) + times(4, storm.frame(from: 1)),
            .vm3: times(5, storm.frame(from: 21)) + times(4, storm.frame(from: 1)) + times(1, storm.frame(from: 2)),
          ],
          drops: [.vm2: [storm.reason: 2]])
        // The other classes and known destinations pass.
        for other in Storm.all where other.reason != storm.reason {
          for _ in 0..<40 { plane.send(other.frame(from: 1), from: .vm1) }
          plane.expect(local: [.vm2: times(40, other.frame(from: 1)), .vm3: times(40, other.frame(from: 1))])
        }
        let known = Frame.udp(from: Topology.guest(1), to: Topology.guest(2))
        let fromOverlay = Frame.udp(from: Topology.guest(21), to: Topology.guest(3))
        for _ in 0..<40 {
          plane.send(known, from: .vm1)
          plane.send(plane.packet(carrying: fromOverlay))
        }
        plane.expect(local: [.vm2: times(40, known), .vm3: times(40, fromOverlay)])
        // 15 ms bring three more, whoever takes them.
        plane.pass(milliseconds: 15)
        for _ in 0..<5 { plane.send(plane.packet(carrying: storm.frame(from: 21))) }
        let later = times(3, storm.frame(from: 21))
        plane.expect(local: [.vm1: later, .vm2: later, .vm3: later], drops: [.uplink: [storm.reason: 2]])
      }
    }

    @Test("what goes into the overlay is limited, too, and what nobody would get takes nothing")
    func towardsOverlay() throws {
      try DataplaneFixture.run { plane in
        let frame = Frame.udp(from: Topology.guest(1), to: .broadcast)
        plane.beginStormControl(StormLimits(broadcast: 20))
        plane.changeDomain { domain in
          domain.flood = []
          domain.locals.removeAll { $0.port != Place.vm1.rawValue }
        }
        for _ in 0..<10 { plane.send(frame, from: .vm1) }
        plane.expect(drops: [.vm1: [.floodNoReceiver: 10]])
        plane.changeDomain { $0.flood = [Topology.group] }
        for _ in 0..<10 { plane.send(frame, from: .vm1) }
        plane.expect(
          tunnelled: Array(repeating: plane.tunnelled(to: Topology.group, frame), count: 4), drops: [.vm1: [.vniStormBroadcast: 6]])
      }
    }

    @Test("limits change without refilling buckets, and our own announcements pass")
    func changes() throws {
      try DataplaneFixture.run { plane in
        let frame = Frame.udp(from: Topology.guest(1), to: .broadcast)
        plane.changeDomain { domain in
          domain.flood = []
          domain.locals.removeAll { $0.port == Place.vm3.rawValue }
        }
        plane.beginStormControl(StormLimits(broadcast: 200))
        for _ in 0..<12 { plane.send(frame, from: .vm1) }
        plane.expect(local: [.vm2: times(10, frame)], drops: [.vm1: [.vniStormBroadcast: 2]])
        plane.limitFloods(StormLimits(broadcast: 1000))
        plane.send(frame, from: .vm1)
        plane.expect(drops: [.vm1: [.vniStormBroadcast: 1]])
        plane.pass(milliseconds: 10)
        for _ in 0..<12 { plane.send(frame, from: .vm1) }
        plane.expect(local: [.vm2: times(10, frame)], drops: [.vm1: [.vniStormBroadcast: 2]])
        plane.change { model in
          model.announcements = [
            Announcement(
              serial: 1, key: MACKey(domain: Topology.domain, mac: Topology.guest(1)), place: .port(Place.vm1.rawValue, vlan: 0))
          ]
        }
        plane.run()
        #expect(plane.take(.vm2).count == 1)
        plane.limitFloods(StormLimits())
        for _ in 0..<100 { plane.send(frame, from: .vm1) }
        plane.expect(local: [.vm2: times(100, frame)])
      }
    }

    @Test(
      "over five seconds a storm's rate is the limit, within 2 percent and a few frames",
      arguments: [1, 5, 10, 40, 64, 100, 999, 1000, 33_333, 250_000] as [UInt64])
    func accuracy(_ limit: UInt64) {
      let entry = StormEntry(StormLimits(broadcast: limit))
      let second = cdpdk_cycles_per_second()
      var now: UInt64 = 1 << 50
      var meters = StormMeters(now: now)
      // Rounds of a worker: a burst of 32 each, and once a pause of 30 ms.
      let round = max(second * 32 / max(limit * 3, 1000), 1)
      let end = now + 5 * second
      var passed = 0
      var rounds = 0
      while now < end {
        for _ in 0..<32 where entry.admits(.broadcast, &meters, now: now) { passed += 1 }
        rounds += 1
        now += rounds == 50 ? second * 3 / 100 : round
      }
      let tolerance = Double(limit) * 5 * 0.02 + 4
      #expect(abs(Double(passed) - Double(limit) * 5) <= tolerance, "\(passed) in five seconds")
    }

    @Test("rounding of the meter's period stays below 1.1 percent", arguments: [1, 1000, 14_880_952, 1_000_000_000] as [UInt64])
    func rounding(_ limit: UInt64) {
      let profile = StormEntry(StormLimits(broadcast: limit)).broadcast.profile
      let rate = Double(cdpdk_cycles_per_second()) * Double(profile.cir_bytes_per_period) / Double(profile.cir_period)
      #expect(abs(rate / Double(limit) - 1) < 0.011, "\(rate) a second")
    }
  }
}
