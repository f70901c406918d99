// Frames whose source address is frozen: they pass where the address is held, and nowhere else, without a word to the learner.

import Encap
import MACTable
import Testing

@testable import VTEP

extension DataplaneFixture {
  /// Makes an address move until it is frozen at `first`.
  func freeze(_ mac: MACAddress, at first: MACLocation, second: MACLocation) {
    table.configureMoveGuard(moves: 1, windowSeconds: 10, holdSeconds: 10)
    for place in [first, second, first] { learn(mac, at: place) }
    #expect(table.frozenMove(MACKey(domain: Topology.domain, mac: mac))?.first == first)
  }
}

extension DataplaneTests {
  @Suite("Frozen sources")
  struct FrozenSourceTests {
    private let mac = Topology.guest(0x66)

    @Test("at a port: frames from other ports and from VTEPs are dropped, those around them are not", arguments: Attachment.allCases)
    func atPort(_ attachment: Attachment) throws {
      try DataplaneFixture.run(.ipv4, attachment) { plane in
        let place = MACLocation.port(Place.vm1.rawValue, vlan: attachment.vlan)
        plane.freeze(mac, at: place, second: .port(Place.vm2.rawValue, vlan: attachment.vlan))
        let known = Frame.udp(from: Topology.guest(2), to: Topology.guest(3))
        let forged = Frame.udp(from: mac, to: Topology.guest(3))
        for _ in 0..<3 {
          plane.send(forged, from: .vm2)
          plane.send(known, from: .vm2)
          plane.send(.udp(from: mac, to: .broadcast), from: .vm2)
          plane.send(known, from: .vm2)
        }
        plane.expect(local: [.vm3: Array(repeating: known, count: 6)], drops: [.vm2: [.sourceFrozen: 6]])
        let fromNear = Frame.udp(from: Topology.guest(21), to: Topology.guest(3))
        for _ in 0..<3 {
          plane.send(plane.packet(carrying: forged))
          plane.send(plane.packet(carrying: fromNear))
        }
        plane.expect(local: [.vm3: Array(repeating: fromNear, count: 3)], drops: [.uplink: [.innerSourceFrozen: 3]])
        // Where it is held, its traffic goes in both directions.
        let answer = Frame.udp(from: Topology.guest(3), to: mac)
        plane.send(forged, from: .vm1)
        plane.send(answer, from: .vm3)
        plane.expect(local: [.vm3: [forged], .vm1: [answer]])
      }
    }

    @Test("behind a VTEP: frames from ports, other VTEPs and unknown ones are dropped")
    func behindVTEP() throws {
      try DataplaneFixture.run { plane in
        plane.freeze(mac, at: .vtep(Topology.near), second: .vtep(Topology.far))
        let frame = Frame.udp(from: mac, to: Topology.guest(3))
        plane.send(frame, from: .vm1)
        plane.send(plane.packet(from: Topology.far, carrying: frame))
        plane.expect(drops: [.vm1: [.sourceFrozen: 1], .uplink: [.innerSourceFrozen: 1]])
        // A VTEP without an index is not reported for it, either.
        plane.change { $0.vteps[Int(Topology.far)].entry.isInUse = false }
        plane.send(plane.packet(from: Topology.far, carrying: frame))
        plane.expect(drops: [.uplink: [.innerSourceFrozen: 1]])
        plane.send(plane.packet(carrying: frame))
        plane.expect(local: [.vm3: [frame]])
      }
    }

    @Test("released: the next frame from elsewhere is told to the learner")
    func released() throws {
      try DataplaneFixture.run { plane in
        plane.freeze(mac, at: .port(Place.vm1.rawValue, vlan: 0), second: .vtep(Topology.near))
        let frame = Frame.udp(from: mac, to: Topology.guest(3))
        plane.send(frame, from: .vm2)
        plane.expect(drops: [.vm2: [.sourceFrozen: 1]])
        #expect(plane.table.releaseFrozen(nowSeconds: 10).count == 1)
        plane.send(frame, from: .vm2)
        plane.expect(local: [.vm3: [frame]], learned: [.port(mac, .vm2)])
      }
    }

    @Test("a frozen source takes no place of a port's limit")
    func limit() throws {
      try DataplaneFixture.run { plane in
        plane.limit(.vm2) { $0.macLimit = 2 }
        plane.freeze(mac, at: .port(Place.vm1.rawValue, vlan: 0), second: .port(Place.vm2.rawValue, vlan: 0))
        for _ in 0..<3 { plane.send(.udp(from: mac, to: Topology.guest(3)), from: .vm2) }
        plane.expect(drops: [.vm2: [.sourceFrozen: 3]])
        let fresh = Frame.udp(from: Topology.guest(0x67), to: Topology.guest(3))
        plane.send(fresh, from: .vm2)
        plane.expect(local: [.vm3: [fresh]], learned: [.port(Topology.guest(0x67), .vm2)])
      }
    }
  }
}
