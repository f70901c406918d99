// Counters of bindings: packets and bytes as they are on the port, both directions, each place for itself.

import CDPDK
import Encap
import MACTable
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("Counters of bindings")
  struct BindingCounterTests {
    private let guest = Topology.guest

    private struct Counted: Equatable {
      var received: Traffic
      var sent: Traffic
    }

    private func counted(_ plane: DataplaneFixture, _ place: Place, _ vlan: UInt16) -> Counted {
      let counters = plane.test.counters[0].binding(port: place.rawValue, vlan: vlan)
      return Counted(
        received: Traffic(packets: Int(counters.pointee.rxPackets.value), bytes: Int(counters.pointee.rxBytes.value)),
        sent: Traffic(packets: Int(counters.pointee.txPackets.value), bytes: Int(counters.pointee.txBytes.value)))
    }

    /// What the bindings of vm1 and vm2 count while `body` runs, as [(port, VLAN): …].
    private func deltas(_ plane: DataplaneFixture, _ places: [(Place, UInt16)], _ body: () -> Void) -> [Counted] {
      let before = places.map { counted(plane, $0.0, $0.1) }
      body()
      return zip(places, before).map { place, before in
        let now = counted(plane, place.0, place.1)
        return Counted(received: now.received - before.received, sent: now.sent - before.sent)
      }
    }

    private func bind(_ plane: DataplaneFixture) {
      plane.change { model in
        let index = Int(Place.vm2.rawValue)
        model.vlanMaps[index] = VLANMap([200: Topology.domain, 300: Topology.domain])
        model.ports[index].vlanDomains = model.vlanMaps[index]?.domains
        for vlan in [UInt16(200), 300] {
          model.domains[Int(Topology.domain)].locals.append(LocalTarget(port: Place.vm2.rawValue, vlan: vlan))
        }
        model.domains[Int(Topology.domain)].flood = []
      }
      plane.learn(guest(7), at: .port(Place.vm2.rawValue, vlan: 200))
      plane.learn(guest(8), at: .port(Place.vm2.rawValue, vlan: 300))
    }

    @Test("each place counts its own frames, with their tags")
    func both() throws {
      try DataplaneFixture.run { plane in
        bind(plane)
        let places: [(Place, UInt16)] = [(.vm1, 0), (.vm2, 0), (.vm2, 200), (.vm2, 300)]
        let counts = deltas(plane, places) {
          let there = Frame.udp(from: guest(1), to: guest(7))
          let back = Frame.udp(from: guest(8), to: guest(1), byteCount: 200)
          let plain = Frame.udp(from: guest(2), to: guest(1))
          let priority = Frame.udp(from: guest(2), to: guest(1), byteCount: 150)
          // Interleaved within one burst, so that runs are broken; one frame of each kind is refused.
          plane.send(there, from: .vm1)
          plane.send(.ethernet(from: .zero, to: guest(7), type: 0x88b5, []), from: .vm1)
          plane.sendRaw(back.tagged(300), at: .vm2)
          plane.sendRaw(plain, at: .vm2)
          plane.sendRaw(back.tagged(300), at: .vm2)
          plane.sendRaw(back.tagged(999), at: .vm2)
          plane.sendRaw(priority.tagged(0, priority: 1), at: .vm2)
          plane.expect(
            raw: [.vm1: [back, plain, back, priority], .vm2: [there.tagged(200)]],
            drops: [.vm1: [.sourceZero: 1], .vm2: [.vlanNotBound: 1]])
        }
        #expect(
          counts == [
            Counted(received: Traffic(packets: 1, bytes: 98), sent: Traffic(packets: 4, bytes: 200 + 98 + 200 + 150)),
            Counted(received: Traffic(packets: 2, bytes: 98 + 154), sent: Traffic()),
            Counted(received: Traffic(), sent: Traffic(packets: 1, bytes: 102)),
            Counted(received: Traffic(packets: 2, bytes: 2 * 204), sent: Traffic()),
          ])
      }
    }

    @Test("a flood counts at every place it is sent to; from a tunnel, too")
    func flood() throws {
      try DataplaneFixture.run { plane in
        bind(plane)
        let frame = Frame.arpRequest(from: guest(21), target: 9)
        let counts = deltas(plane, [(.vm2, 0), (.vm2, 200), (.vm2, 300), (.vm3, 0)]) {
          for _ in 0..<3 { plane.send(plane.packet(carrying: frame)) }
          let tagged = Array(repeating: [frame, frame.tagged(200), frame.tagged(300)], count: 3).flatMap(\.self)
          plane.expect(raw: [.vm1: [frame, frame, frame], .vm2: tagged, .vm3: [frame, frame, frame]])
        }
        let sizes = [frame.count, frame.count + 4, frame.count + 4, frame.count]
        #expect(counts == sizes.map { Counted(received: Traffic(), sent: Traffic(packets: 3, bytes: 3 * $0)) })
      }
    }

    @Test("what the device does not take is not counted as sent")
    func full() throws {
      try DataplaneFixture.run { plane in
        bind(plane)
        let port = plane.test.ports[Int(Place.vm2.rawValue)]
        let capacity = port.capacity
        let frame = Frame.udp(from: guest(1), to: guest(7), byteCount: 60)
        let plain = Frame.udp(from: guest(1), to: guest(2), byteCount: 60)
        let counts = deltas(plane, [(.vm2, 0), (.vm2, 200)]) {
          // All but five places of the device's ring are taken, and then three frames of each kind come, and again three.
          for _ in 0..<(capacity - 5) / 32 {
            for _ in 0..<32 { plane.send(plain, from: .vm1) }
            plane.run()
          }
          for _ in 0..<(capacity - 5) % 32 { plane.send(plain, from: .vm1) }
          plane.run()
          for _ in 0..<3 {
            plane.send(frame, from: .vm1)
            plane.send(plain, from: .vm1)
          }
          for _ in 0..<3 { plane.send(frame, from: .vm1) }
          let expected =
            Array(repeating: plain, count: capacity - 5) + [frame.tagged(200), plain, frame.tagged(200), plain, frame.tagged(200)]
          plane.expect(raw: [.vm2: expected], drops: [.vm2: [.transmitFull: 4]])
        }
        #expect(
          counts.map(\.sent) == [
            Traffic(packets: capacity - 3, bytes: (capacity - 3) * 60), Traffic(packets: 3, bytes: 3 * 64),
          ])
      }
    }
  }
}
