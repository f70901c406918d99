// The walk from the wire to a guest: what is delivered, where, and how it looks then; and what is learned from it.

import CDPDK
import Encap
import MACTable
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("Underlay: decapsulation")
  struct UnderlayWalkTests {
    private let guest = Topology.guest

    @Test("to a guest", arguments: Family.allCases, Attachment.allCases)
    func toGuest(_ family: Family, _ attachment: Attachment) throws {
      try DataplaneFixture.run(family, attachment) { plane in
        let frames = [
          Frame.udp(from: guest(21), to: guest(1)), .udp6(from: guest(21), to: guest(1)),
          .ethernet(from: guest(21), to: guest(1), type: 0x88b5, []),
          .udp(from: guest(21), to: guest(1), byteCount: 1514),
        ]
        for frame in frames { plane.send(plane.packet(carrying: frame)) }
        plane.run()
        let byteCount = frames.reduce(0) { $0 + $1.count }
        let headers = frames.count * (family == .ipv4 ? 36 : 56)
        #expect(plane.deltas.fromVTEP(Topology.near) == Traffic(packets: 4, bytes: byteCount + headers))
        #expect(plane.deltas.fromOverlay(Topology.domain) == Traffic(packets: 4, bytes: byteCount))
        plane.expect(local: [.vm1: frames])
      }
    }

    @Test("to the group, with reserved bits set, with a UDP checksum", arguments: Family.allCases)
    func variants(_ family: Family) throws {
      try DataplaneFixture.run(family) { plane in
        let frame = Frame.udp(from: guest(21), to: guest(1))
        var toGroup = plane.packet(carrying: frame)
        toGroup.destination = Topology.groupAddress(family)
        toGroup.destinationMAC = Topology.nextHop(Topology.group, family)
        var reserved = plane.packet(carrying: frame)
        reserved.flags = 0xff
        reserved.reserved = 0xff
        var checked = plane.packet(carrying: frame)
        checked.udpChecksum = .correct
        for packet in [toGroup, reserved, checked] { plane.send(packet) }
        plane.expect(local: [.vm1: [frame, frame, frame]])
      }
    }

    @Test("Ethernet padding of the outer frame is cut off", arguments: Family.allCases, Attachment.allCases)
    func padding(_ family: Family, _ attachment: Attachment) throws {
      try DataplaneFixture.run(family, attachment) { plane in
        let frame = Frame.ethernet(from: guest(21), to: guest(1), type: 0x88b5, [1, 2, 3])
        var packet = plane.packet(carrying: frame)
        packet.paddingByteCount = 9
        plane.send(packet)
        plane.expect(local: [.vm1: [frame]])
      }
    }

    @Test("in several buffers", arguments: Family.allCases)
    func segments(_ family: Family) throws {
      try DataplaneFixture.run(family) { plane in
        let frame = Frame.udp(from: guest(21), to: guest(1), byteCount: 700)
        plane.sendRaw(plane.packet(carrying: frame).bytes, at: .uplink, segments: [30, 100])
        plane.expect(local: [.vm1: [frame]])
      }
    }

    @Test("flooding goes to guests only, never back into a tunnel", arguments: Family.allCases, Attachment.allCases)
    func splitHorizon(_ family: Family, _ attachment: Attachment) throws {
      try DataplaneFixture.run(family, attachment) { plane in
        plane.changeDomain { $0.flood = [Topology.group, Topology.near, Topology.far] }
        let frames = [Frame.arpRequest(from: guest(21), target: 9), .udp(from: guest(21), to: guest(99))]
        for frame in frames { plane.send(plane.packet(carrying: frame)) }
        plane.expect(local: [.vm1: frames, .vm2: frames, .vm3: frames])
      }
    }

    @Test("flooding with no guest up")
    func nobody() throws {
      try DataplaneFixture.run { plane in
        for place in [Place.vm1, .vm2, .vm3] { plane.changePort(place) { $0.isUp = false } }
        plane.send(plane.packet(carrying: .arpRequest(from: guest(21), target: 9)))
        plane.expect(drops: [.uplink: [.floodNoReceiver: 1]])
        plane.send(plane.packet(carrying: .udp(from: guest(21), to: guest(1))))
        plane.expect(drops: [.uplink: [.portDown: 1]])
      }
    }

    @Test("an inner tag is carried where configured", arguments: Family.allCases, Attachment.allCases)
    func carry(_ family: Family, _ attachment: Attachment) throws {
      try DataplaneFixture.run(family, attachment) { plane in
        plane.changeDomain { $0.entry.carriesInnerVLAN = true }
        let frame = Frame.udp(from: guest(21), to: guest(1)).tagged(7, priority: 4)
        plane.send(plane.packet(carrying: frame))
        plane.expect(local: [.vm1: [frame]])
      }
    }

    @Test("VNIs are kept apart", arguments: Family.allCases)
    func vnis(_ family: Family) throws {
      try DataplaneFixture.run(family) { plane in
        plane.changeDomain { $0.locals.removeAll { $0.port == Place.vm3.rawValue } }
        plane.changeDomain(Topology.otherDomain) { $0.locals = [LocalTarget(port: Place.vm3.rawValue, vlan: 0)] }
        // The address is known in the first VNI, not in the other.
        let frame = Frame.udp(from: guest(21), to: guest(1))
        plane.send(plane.packet(carrying: frame, vni: Topology.otherVNI))
        var sighting = Sighting.vtep(guest(21), Topology.near)
        sighting.domain = Topology.otherDomain
        plane.expect(local: [.vm3: [frame]], learned: [sighting])
      }
    }

    /// RFC 6040 section 4.2, figure 4, as (outer, inner, what the guest gets).
    private static let congestion: [(UInt8, UInt8, UInt8)] = [
      (0, 0, 0), (0, 1, 1), (0, 2, 2), (0, 3, 3), (1, 0, 0), (1, 1, 1), (1, 2, 1), (1, 3, 3),
      (2, 0, 0), (2, 1, 1), (2, 2, 2), (2, 3, 3), (3, 1, 3), (3, 2, 3), (3, 3, 3),
    ]

    @Test("congestion marks come through", arguments: Family.allCases)
    func congestion(_ family: Family) throws {
      try DataplaneFixture.run(family) { plane in
        var expected: [Frame] = []
        for (outer, inner, result) in Self.congestion {
          for make in [Frame.udp, Frame.udp6] as [(MACAddress, MACAddress, FlowFields, Int) -> Frame] {
            var packet = plane.packet(carrying: make(guest(21), guest(1), FlowFields(trafficClass: 0x90 | inner), 120))
            packet.trafficClass = 0x28 | outer
            plane.send(packet)
            expected.append(make(guest(21), guest(1), FlowFields(trafficClass: 0x90 | result), 120))
          }
        }
        plane.expect(local: [.vm1: expected])
      }
    }
  }

  @Suite("Learning from frames")
  struct LearningTests {
    private let guest = Topology.guest

    @Test("known at this place: no event, but the time is noted", arguments: Attachment.allCases)
    func known(_ attachment: Attachment) throws {
      try DataplaneFixture.run(.ipv4, attachment) { plane in
        let out = Frame.udp(from: guest(1), to: guest(21))
        let back = Frame.udp(from: guest(21), to: guest(1))
        plane.worker.nowSeconds = 77
        plane.send(out, from: .vm1)
        plane.send(plane.packet(carrying: back))
        plane.expect(local: [.vm1: [back]], tunnelled: [plane.tunnelled(to: Topology.near, out)])
        #expect(plane.entry(guest(1))?.lastSeenSeconds == 77)
        #expect(plane.entry(guest(21))?.lastSeenSeconds == 77)
        #expect(plane.entry(guest(2))?.lastSeenSeconds == 0)
      }
    }

    @Test("new or moved: one event per frame, with the place", arguments: Family.allCases, Attachment.allCases)
    func newAndMoved(_ family: Family, _ attachment: Attachment) throws {
      try DataplaneFixture.run(family, attachment) { plane in
        plane.worker.nowSeconds = 77
        let fresh = Frame.udp(from: guest(50), to: guest(2))
        let moved = Frame.udp(from: guest(1), to: guest(2))
        let fromOverlay = Frame.udp(from: guest(21), to: guest(2))
        plane.send(fresh, from: .vm1)
        plane.send(moved, from: .vm3)
        plane.send(fromOverlay, from: .vm3)
        let vlan = attachment.vlan
        plane.expect(
          local: [.vm2: [fresh, moved, fromOverlay]],
          learned: [
            .port(guest(50), .vm1, vlan: vlan), .port(guest(1), .vm3, vlan: vlan), .port(guest(21), .vm3, vlan: vlan),
          ])
        plane.send(plane.packet(from: Topology.near, carrying: fresh))
        plane.send(plane.packet(from: Topology.far, carrying: fromOverlay))
        plane.send(plane.packet(from: Topology.far, carrying: moved))
        plane.expect(
          local: [.vm2: [fresh, fromOverlay, moved]],
          learned: [
            .vtep(guest(50), Topology.near), .vtep(guest(21), Topology.far), .vtep(guest(1), Topology.far),
          ])
        // Only the learner writes; a stale place is not "seen".
        #expect(plane.entry(guest(1))?.location == .port(Place.vm1.rawValue, vlan: vlan))
        #expect(plane.entry(guest(1))?.lastSeenSeconds == 0)
      }
    }

    @Test("behind a VTEP that has no index yet: its address", arguments: Family.allCases)
    func unknownVTEP(_ family: Family) throws {
      try DataplaneFixture.run(family) { plane in
        let frame = Frame.udp(from: guest(60), to: guest(1))
        let stranger = Topology.address(200, family)
        var packet = plane.packet(carrying: frame)
        packet.source = stranger
        plane.send(packet)
        plane.send(plane.packet(carrying: frame))
        plane.send(packet)
        plane.expect(
          local: [.vm1: [frame, frame, frame]],
          learned: [.unknown(guest(60), stranger), .unknown(guest(60), stranger), .vtep(guest(60), Topology.near)])
        // The next snapshot knows it.
        plane.change { model in
          model.vteps.append(ForwardingModel.VTEP(entry: VTEPEntry(address: stranger, isInUse: true)))
        }
        plane.send(packet)
        plane.expect(local: [.vm1: [frame]], learned: [.vtep(guest(60), 3)])
      }
    }

    @Test("not from VTEPs where learning is off")
    func learningOff() throws {
      try DataplaneFixture.run { plane in
        plane.changeDomain { $0.entry.learnsFromVTEPs = false }
        let frame = Frame.udp(from: guest(60), to: guest(1))
        var stranger = plane.packet(carrying: frame)
        stranger.source = Topology.address(200, .ipv4)
        plane.send(plane.packet(carrying: frame))
        plane.send(stranger)
        plane.expect(local: [.vm1: [frame, frame]])
        let local = Frame.udp(from: guest(50), to: guest(1))
        plane.send(local, from: .vm2)
        plane.expect(local: [.vm1: [local]], learned: [.port(guest(50), .vm2)])
      }
    }

    @Test("static entries are not contested")
    func statics() throws {
      try DataplaneFixture.run { plane in
        try plane.setStatic(guest(30), at: .vtep(Topology.near))
        try plane.setStatic(guest(2), at: .port(Place.vm2.rawValue, vlan: 0))
        let remote = Frame.udp(from: guest(30), to: guest(1))
        let local = Frame.udp(from: guest(2), to: guest(1))
        plane.send(plane.packet(from: Topology.far, carrying: remote))
        plane.send(remote, from: .vm3)
        plane.send(local, from: .vm3)
        plane.expect(local: [.vm1: [remote, remote, local]])
      }
    }

    @Test("refused frames teach nothing")
    func refused() throws {
      try DataplaneFixture.run { plane in
        plane.sendRaw(Frame.udp(from: guest(50), to: guest(1)).tagged(9), at: .vm2)
        plane.send(plane.packet(carrying: .udp(from: guest(51), to: guest(1)), vni: VNI(truncating: 1)))
        var congested = plane.packet(carrying: .udp(from: guest(52), to: guest(1)))
        congested.trafficClass = 3
        plane.send(congested)
        plane.expect(drops: [.vm2: [.vlanNotBound: 1], .uplink: [.unknownVNI: 1, .ecnForbidden: 1]])
      }
    }

    @Test("a full ring loses events, never frames")
    func fullRing() throws {
      try DataplaneFixture.run { plane in
        let capacity = Limits.learnEvents - 1
        for index in 0..<capacity + 9 {
          plane.send(.udp(from: guest(0x10000 + UInt64(index)), to: guest(2), byteCount: 60), from: .vm1)
          if index % 64 == 63 {
            plane.run()
            #expect(plane.take(.vm2).count == 64)
          }
        }
        plane.run()
        #expect(plane.deltas.eventsLost == 9)
        #expect(plane.take(.vm2).count == (capacity + 9) % 64)
        plane.expect(learned: (0..<capacity).map { .port(guest(0x10000 + UInt64($0)), .vm1) })
      }
    }
  }
}
