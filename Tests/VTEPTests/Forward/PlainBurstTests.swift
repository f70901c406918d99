// Bursts take short cuts for everyday frames. Whatever a burst is made of, the same frames come out, and the same is counted, as when each
// frame comes alone, or in a burst that may not take them.

import Encap
import MACTable
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("Short cuts of bursts")
  struct PlainBurstTests {
    private let guest = Topology.guest

    enum Way: CaseIterable {
      case bursts, oneByOne
      /// Behind a frame in several buffers, which no short cut takes.
      case general
    }

    private struct Outcome: Equatable {
      var frames: [Place: [String]]
      var drops: [Place: [DropReason: Int]]
      var counted: [Traffic]
    }

    private struct Random: RandomNumberGenerator {
      var state: UInt64
      mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ state >> 29
      }
    }

    /// A frame of a guest on a port with two tagged bindings, mostly an everyday one.
    private func taggedFrame(_ random: inout Random, uncommon: Int) -> Frame {
      let inner = frame(&random, uncommon: uncommon / 2)
      guard inner.count >= 14 else { return inner }
      guard Int.random(in: 0..<100, using: &random) < uncommon else {
        return inner.tagged([100, 100, 200].randomElement(using: &random)!)
      }
      switch Int.random(in: 0..<7, using: &random) {
      case 0: return inner
      case 1: return inner.tagged(100, priority: 5)
      case 2: return inner.tagged(300)
      case 3: return inner.tagged(0)
      case 4: return inner.tagged(4095)
      case 5: return inner.tagged(200, tpid: 0x88a8)
      default: return inner.tagged(7).tagged(100)
      }
    }

    /// A frame of a guest, mostly an everyday one.
    private func frame(_ random: inout Random, uncommon: Int) -> Frame {
      let destination = guest([21, 21, 22, 2, 3, 1].randomElement(using: &random)!)
      let flow = FlowFields(
        sourcePort: .random(in: 0...999, using: &random), trafficClass: [0, 0, 0, 2, 0xb8].randomElement(using: &random)!)
      let byteCount = [60, 64, 98, 590, 1514].randomElement(using: &random)!
      let everyday = Frame.udp(from: guest(1), to: destination, flow, byteCount: byteCount)
      guard Int.random(in: 0..<100, using: &random) < uncommon else { return everyday }
      switch Int.random(in: 0..<14, using: &random) {
      case 0: return .udp6(from: guest(1), to: destination, flow)
      case 1: return .arpRequest(from: guest(1), target: 9)
      case 2: return .ethernet(from: .zero, to: destination, type: 0x88b5, [1, 2, 3])
      case 3: return .ethernet(from: guest(1 | 1 << 40), to: destination, type: 0x88b5, [1, 2, 3])
      case 4: return Array(everyday[..<Int.random(in: 1..<38, using: &random)])
      case 5: return everyday.tagged(77)
      case 6: return everyday.tagged(0, priority: 5)
      case 7: return .ethernet(from: guest(1), to: MACAddress(bits: 0x0180_c200_0000), type: 38, [0x42, 0x42, 3])
      case 8: return .ethernet(from: guest(1), to: destination, type: 0x8808, [UInt8](repeating: 1, count: 46))
      case 9: return .udp(from: guest(1), to: guest(77), flow)
      case 10: return .udp(from: guest(1), to: destination, flow, byteCount: 1565)
      case 11: return .udp(from: guest(5), to: destination, flow)
      // Dropped in the middle of a burst.
      case 12: return .udp(from: guest(0x66), to: destination, flow)
      default: return .udp(from: guest(1), to: guest(UInt64.random(in: 0...999, using: &random) << 16 | 99), flow)
      }
    }

    private func packet(_ plane: DataplaneFixture, _ random: inout Random, uncommon: Int) -> VXLANPacket {
      let inner = Frame.udp(
        from: guest(21), to: guest([1, 1, 2, 3].randomElement(using: &random)!), FlowFields(sourcePort: .random(in: 0...9, using: &random)),
        byteCount: [60, 98, 1514].randomElement(using: &random)!)
      var packet = plane.packet(carrying: inner)
      packet.trafficClass = [0, 0, 0xb8].randomElement(using: &random)!
      guard Int.random(in: 0..<100, using: &random) < uncommon else { return packet }
      switch Int.random(in: 0..<13, using: &random) {
      case 0: packet.vni = 77
      // To the second domain, which has bindings if they are tagged.
      case 1: packet.vni = Topology.otherVNI.rawValue
      case 2: packet.trafficClass = 3
      case 3: packet.paddingByteCount = 5
      case 4: packet.udpChecksum = .correct
      case 5: packet.udpChecksum = .wrong
      case 6: packet.flags = 0
      case 7: packet.inner = .arpRequest(from: guest(21), target: 1)
      case 8: packet.inner = .udp(from: guest(21), to: guest(22))
      case 9: packet.inner = .udp(from: guest(21), to: guest(1)).tagged(5)
      case 10: packet.inner = .udp(from: guest(21), to: guest(3), byteCount: 1515)
      case 11: packet.inner = .udp(from: .zero, to: guest(1))
      default: packet.reserved = 0xff
      }
      return packet
    }

    /// The second domain's bindings: VLAN 200 of all ports.
    private func addBindings(_ plane: DataplaneFixture) {
      for (number, place) in [(1, Place.vm1), (2, .vm2), (3, .vm3)] as [(UInt64, Place)] {
        let index = Int(place.rawValue)
        plane.change {
          $0.vlanMaps[index] = VLANMap([100: Topology.domain, 200: Topology.otherDomain])
          $0.ports[index].vlanDomains = $0.vlanMaps[index]?.domains
          $0.domains[Int(Topology.otherDomain)].locals.append(LocalTarget(port: place.rawValue, vlan: 200))
        }
        plane.learn(guest(number), at: .port(place.rawValue, vlan: 200), domain: Topology.otherDomain)
      }
      // Behind another VTEP than in the first domain.
      plane.learn(guest(21), at: .vtep(Topology.far), domain: Topology.otherDomain)
    }

    private func run(
      _ way: Way, _ family: Family, _ attachment: Attachment = .untagged, seed: UInt64, uncommon: Int, peersOnly: Bool, isCrowded: Bool
    ) throws -> Outcome {
      var outcome = Outcome(frames: [:], drops: [:], counted: [])
      try DataplaneFixture.run(family, attachment) { plane in
        if attachment == .tagged { addBindings(plane) }
        if isCrowded { plane.crowd() }
        if peersOnly {
          plane.changeDomain {
            $0.entry.acceptsOnlyPeers = true
            $0.peers = [Topology.near]
          }
        }
        plane.freeze(guest(0x66), at: .port(Place.vm2.rawValue, vlan: 0), second: .port(Place.vm3.rawValue, vlan: 0))
        let bindings = [Place.vm1, .vm2, .vm3].flatMap { place in
          [0, 100, 200].map { plane.test.counters[0].binding(port: place.rawValue, vlan: $0) }
        }
        func counted() -> [Traffic] {
          bindings.flatMap {
            [
              Traffic(packets: Int($0.pointee.rxPackets.value), bytes: Int($0.pointee.rxBytes.value)),
              Traffic(packets: Int($0.pointee.txPackets.value), bytes: Int($0.pointee.txBytes.value)),
            ]
          }
        }
        let before = counted()
        var random = Random(state: seed)
        for place in [Place.vm1, .uplink] {
          for position in 0..<96 {
            let bytes =
              place != .vm1
              ? packet(plane, &random, uncommon: uncommon).bytes
              : attachment == .tagged ? taggedFrame(&random, uncommon: uncommon) : frame(&random, uncommon: uncommon)
            let isCut = way == .general && position % 32 == 0 && bytes.count > 16
            plane.sendRaw(bytes, at: place, segments: isCut ? [15] : [])
            if way == .oneByOne { plane.run() }
          }
          plane.run()
        }
        let deltas = plane.deltas
        outcome.drops = deltas.drops
        outcome.counted = zip(counted(), before).map { $0 - $1 }
        for place in Place.allCases {
          outcome.counted += [deltas.received(place), deltas.sent(place)]
          outcome.frames[place] = plane.take(place).map(\.hex)
        }
        for index in [Topology.near, Topology.far, Topology.group] { outcome.counted += [deltas.fromVTEP(index), deltas.toVTEP(index)] }
        for index in [Topology.domain, Topology.otherDomain] { outcome.counted += [deltas.fromOverlay(index), deltas.toOverlay(index)] }
        outcome.counted.append(Traffic(packets: deltas.flooded(Topology.domain), bytes: 0))
        _ = Sighting.takeAll(plane.test.learnRings[0])
        plane.base = CounterValues(plane.test.counters[0])
        plane.put = plane.put.map { _ in Traffic() }
        plane.taken = plane.put
      }
      return outcome
    }

    @Test("the same comes out", arguments: Family.allCases, [0, 3, 40])
    func sameOutcome(_ family: Family, _ uncommon: Int) throws {
      try compare(family, .untagged, uncommon)
    }

    @Test("the same comes out of tagged bursts", arguments: Family.allCases, [0, 3, 40])
    func sameOutcomeTagged(_ family: Family, _ uncommon: Int) throws {
      try compare(family, .tagged, uncommon)
    }

    private func compare(_ family: Family, _ attachment: Attachment, _ uncommon: Int) throws {
      for seed in 1...20 as ClosedRange<UInt64> {
        let outcomes = try Way.allCases.map {
          try run($0, family, attachment, seed: seed, uncommon: uncommon, peersOnly: seed % 4 == 0, isCrowded: seed % 5 == 0)
        }
        #expect(outcomes[0] == outcomes[1] && outcomes[0] == outcomes[2], "seed \(seed)")
        // Nothing of it was empty.
        #expect(outcomes[0].frames[.uplink]!.count > 10 && outcomes[0].frames[.vm2]!.count > 10)
      }
    }
  }
}
