// The walk from a guest to the wire for known destinations: outer headers byte by byte, local delivery, learning, and
// what does not fit or has no way out.

import CDPDK
import Encap
import MACTable
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("Access: known unicast")
  struct AccessUnicastTests {
    private let guest = Topology.guest

    @Test("to a VTEP: every octet", arguments: Family.allCases, Attachment.allCases)
    func toVTEP(_ family: Family, _ attachment: Attachment) throws {
      try DataplaneFixture.run(family, attachment) { plane in
        let frame = Frame.udp(from: guest(1), to: guest(21))
        plane.send(frame, from: .vm1)
        plane.run()
        let headerByteCount = family == .ipv4 ? 36 : 56
        #expect(plane.deltas.toVTEP(Topology.near) == Traffic(packets: 1, bytes: frame.count + headerByteCount))
        #expect(plane.deltas.toVTEP(Topology.far) == Traffic())
        #expect(plane.deltas.toOverlay(Topology.domain) == Traffic(packets: 1, bytes: frame.count))
        #expect(plane.deltas.flooded(Topology.domain) == 0)
        plane.expect(tunnelled: [plane.tunnelled(to: Topology.near, frame)])
      }
    }

    @Test("a burst keeps its order", arguments: Family.allCases, Attachment.allCases)
    func burst(_ family: Family, _ attachment: Attachment) throws {
      try DataplaneFixture.run(family, attachment) { plane in
        // More than a burst and more than a transmit batch.
        let frames = (0..<150).map { index in
          let flow = FlowFields(sourcePort: UInt16(2000 + index))
          return index % 3 == 0
            ? Frame.udp6(from: guest(1), to: guest(22), flow, byteCount: 70 + index)
            : Frame.udp(from: guest(1), to: guest(21), flow, byteCount: 60 + index)
        }
        for frame in frames { plane.send(frame, from: .vm1) }
        plane.expect(
          tunnelled: frames.enumerated().map { plane.tunnelled(to: $0 % 3 == 0 ? Topology.far : Topology.near, $1) })
      }
    }

    @Test("a frame alone in its buffer gets its header in place, without a copy")
    func inPlace() throws {
      try DataplaneFixture.run { plane in
        plane.send(.udp(from: guest(1), to: guest(21)), from: .vm1)
        plane.run()
        let buffers = plane.takeBuffers(.uplink)
        #expect(buffers.map { cdpdk_mbuf_segment_count($0) } == [1])
        for buffer in buffers { cdpdk_mbuf_free(buffer) }
      }
    }

    @Test("traffic class and TTL are inherited or fixed as configured", arguments: Family.allCases)
    func inheritance(_ family: Family) throws {
      // DSCP 46 with ECT(0), from IPv4 and IPv6 guests.
      let flow = FlowFields(trafficClass: 46 << 2 | 2, hopLimit: 9)
      let frames = [Frame.udp(from: guest(1), to: guest(21), flow), Frame.udp6(from: guest(1), to: guest(21), flow)]
      let arp = Frame.ethernet(from: guest(1), to: guest(21), type: 0x0806, [UInt8](repeating: 0, count: 46))
      try DataplaneFixture.run(family) { plane in
        for frame in frames { plane.send(frame, from: .vm1) }
        plane.expect(
          tunnelled: frames.map {
            var packet = plane.tunnelled(to: Topology.near, $0)
            packet.trafficClass = 46 << 2 | 2
            return packet
          })

        var settings = Topology.settings()
        settings.ttl = .inherit
        settings.dscp = .fixed(10)
        settings.udpChecksum = .on
        settings.udpPort = 8472
        plane.setAdjacencies(Topology.near, [Topology.adjacency(Topology.near, family, settings: settings)])
        for frame in frames + [arp] { plane.send(frame, from: .vm1) }
        plane.expect(
          tunnelled: (frames + [arp]).map {
            var packet = plane.tunnelled(to: Topology.near, $0)
            // ECN is always the inner one (RFC 6040); a frame that is not IP has no TTL to inherit.
            packet.trafficClass = $0 == arp ? 10 << 2 : 10 << 2 | 2
            packet.ttl = $0 == arp ? 64 : 9
            packet.udpChecksum = .correct
            packet.destinationPort = 8472
            return packet
          })
      }
    }

    @Test("to another local port", arguments: Attachment.allCases)
    func toLocalPort(_ attachment: Attachment) throws {
      try DataplaneFixture.run(.ipv4, attachment) { plane in
        let frame = Frame.udp(from: guest(1), to: guest(2))
        let answer = Frame.udp6(from: guest(2), to: guest(1))
        plane.send(frame, from: .vm1)
        plane.send(answer, from: .vm2)
        plane.expect(local: [.vm2: [frame], .vm1: [answer]])
      }
    }

    @Test("back to where it came from: dropped", arguments: Attachment.allCases)
    func samePort(_ attachment: Attachment) throws {
      try DataplaneFixture.run(.ipv4, attachment) { plane in
        plane.learn(guest(4), at: .port(Place.vm1.rawValue, vlan: attachment.vlan))
        plane.send(.udp(from: guest(1), to: guest(4)), from: .vm1)
        plane.expect(drops: [.vm1: [.samePort: 1]])
      }
    }

    @Test("the largest frame that fits the underlay, and one octet more", arguments: Family.allCases, Attachment.allCases)
    func underlayMTU(_ family: Family, _ attachment: Attachment) throws {
      try DataplaneFixture.run(family, attachment) { plane in
        let largest = Topology.underlayMTU - (family == .ipv4 ? 36 : 56)
        let frame = Frame.udp(from: guest(1), to: guest(21), byteCount: largest)
        plane.send(frame, from: .vm1)
        plane.send(.udp(from: guest(1), to: guest(21), byteCount: largest + 1), from: .vm1)
        plane.expect(
          tunnelled: [plane.tunnelled(to: Topology.near, frame)], drops: [.vm1: [.tooBigForUnderlay: 1]])
      }
    }

    @Test("the largest frame that fits a port, and one octet more", arguments: Attachment.allCases)
    func portMTU(_ attachment: Attachment) throws {
      try DataplaneFixture.run(.ipv4, attachment) { plane in
        // A VLAN tag does not count.
        let frame = Frame.udp(from: guest(1), to: guest(2), byteCount: 1514)
        plane.send(frame, from: .vm1)
        plane.send(.udp(from: guest(1), to: guest(2), byteCount: 1515), from: .vm1)
        plane.expect(local: [.vm2: [frame]], drops: [.vm1: [.tooBigForPort: 1]])
      }
    }

    @Test("to a port that is down, to a VTEP without a route", arguments: Attachment.allCases)
    func noWayOut(_ attachment: Attachment) throws {
      try DataplaneFixture.run(.ipv4, attachment) { plane in
        plane.changePort(.vm2) { $0.isUp = false }
        plane.setAdjacencies(Topology.near, [])
        plane.send(.udp(from: guest(1), to: guest(2)), from: .vm1)
        plane.send(.udp(from: guest(1), to: guest(21)), from: .vm1)
        plane.expect(drops: [.vm1: [.portDown: 1, .noRoute: 1]])
        for reason in [DropReason.ownAddressMissing, .routeNotUnderlay, .ipsecPolicy] {
          plane.change { $0.vteps[Int(Topology.near)].entry.obstacle = reason }
          plane.send(.udp(from: guest(1), to: guest(21)), from: .vm1)
          plane.expect(drops: [.vm1: [reason: 1]])
        }
      }
    }

    @Test("to a port without a device: counted where it should have left")
    func noDevice() throws {
      try DataplaneFixture.run { plane in
        plane.changePort(.vm2) { $0.kind = .none }
        plane.change { $0.receiveQueues[0].removeAll { $0.port == Place.vm2.rawValue } }
        plane.send(.udp(from: guest(1), to: guest(2)), from: .vm1)
        plane.expect(drops: [.vm2: [.portDown: 1]])
      }
    }

    @Test("a full transmit queue: the rest is counted and freed")
    func transmitFull() throws {
      try DataplaneFixture.run { plane in
        let capacity = plane.test.ports[Int(Place.vm2.rawValue)].capacity
        let frame = Frame.udp(from: guest(1), to: guest(2), byteCount: 64)
        for _ in 0..<capacity / 32 {
          for _ in 0..<32 { plane.send(frame, from: .vm1) }
          plane.run()
        }
        for _ in 0..<capacity % 32 + 7 { plane.send(frame, from: .vm1) }
        plane.expect(local: [.vm2: Array(repeating: frame, count: capacity)], drops: [.vm2: [.transmitFull: 7]])
      }
    }

    @Test("no room for the outer header in front of the frame")
    func noHeadroom() throws {
      try DataplaneFixture.run { plane in
        // 128 - 78 leaves exactly the 50 octets needed.
        let fits = Frame.udp(from: guest(1), to: guest(21), byteCount: 78)
        plane.sendWithoutHeadroom(fits, from: .vm1)
        plane.sendWithoutHeadroom(.udp(from: guest(1), to: guest(21), byteCount: 79), from: .vm1)
        plane.expect(tunnelled: [plane.tunnelled(to: Topology.near, fits)], drops: [.vm1: [.noHeadroom: 1]])
      }
    }

    @Test("a frame in several buffers is forwarded whole", arguments: Family.allCases)
    func segments(_ family: Family) throws {
      try DataplaneFixture.run(family) { plane in
        let frame = Frame.udp(from: guest(1), to: guest(21), byteCount: 900)
        plane.sendRaw(frame, at: .vm1, segments: [5, 300])
        // Too much for one buffer.
        plane.sendRaw(.udp(from: guest(1), to: guest(21), byteCount: 2600), at: .vm1, segments: [1300])
        plane.expect(tunnelled: [plane.tunnelled(to: Topology.near, frame)], drops: [.vm1: [.frameTooLong: 1]])
      }
    }
  }
}
