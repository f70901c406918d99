// Broadcast, multicast and unknown unicast from a guest: to every other binding and to the group or the list of VTEPs, as
// clones that share one payload.

import CDPDK
import Encap
import MACTable
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("Access: flooding")
  struct FloodTests {
    private let guest = Topology.guest

    private func frames() -> [Frame] {
      [
        .arpRequest(from: guest(1), target: 9),
        .udp(from: guest(1), to: MACAddress(bits: 0x0100_5e00_00fb)),
        .udp6(from: guest(1), to: guest(99)),
      ]
    }

    @Test("to the other ports and to the group", arguments: Family.allCases, Attachment.allCases)
    func toGroup(_ family: Family, _ attachment: Attachment) throws {
      try DataplaneFixture.run(family, attachment) { plane in
        for frame in frames() { plane.send(frame, from: .vm1) }
        plane.run()
        #expect(plane.deltas.flooded(Topology.domain) == 3)
        plane.expect(
          local: [.vm2: frames(), .vm3: frames()], tunnelled: frames().map { plane.tunnelled(to: Topology.group, $0) })
      }
    }

    /// More devices than a worker collects packets for at a time; they share one device here.
    @Test("to more ports than there are batches")
    func toManyPorts() throws {
      try DataplaneFixture.run(.ipv4, .untagged) { plane in
        let count = Limits.batches + 40
        plane.change { model in
          let other = model.ports[Int(Place.vm3.rawValue)]
          for index in 1000..<1000 + count {
            model.ports[index] = other
            model.domains[Int(Topology.domain)].locals.append(LocalTarget(port: PortIndex(index), vlan: 0))
          }
        }
        let frame = Frame.arpRequest(from: guest(1), target: 9)
        plane.send(frame, from: .vm1)
        plane.run()
        #expect(plane.test.ports[Int(Place.vm3.rawValue)].take() == Array(repeating: frame, count: count + 1))
        #expect(plane.test.ports[Int(Place.vm2.rawValue)].take() == [frame])
        #expect(plane.test.ports[Int(Place.uplink.rawValue)].take().count == 1)
        #expect(plane.worker.batchCount == 0)
        // Taken, and seen to be right: the counters of a place do not tell about the others at its device.
        plane.base = CounterValues(plane.test.counters[0])
        plane.put = Array(repeating: Traffic(), count: Place.allCases.count)
      }
    }

    @Test("to every VTEP of a list", arguments: Family.allCases, Attachment.allCases)
    func toList(_ family: Family, _ attachment: Attachment) throws {
      try DataplaneFixture.run(family, attachment) { plane in
        plane.changeDomain { $0.flood = [Topology.far, Topology.near] }
        for frame in frames() { plane.send(frame, from: .vm1) }
        plane.run()
        let byteCount = frames().reduce(0) { $0 + $1.count }
        #expect(plane.deltas.toOverlay(Topology.domain) == Traffic(packets: 6, bytes: 2 * byteCount))
        #expect(plane.deltas.toVTEP(Topology.far) == plane.deltas.toVTEP(Topology.near))
        plane.expect(
          local: [.vm2: frames(), .vm3: frames()],
          tunnelled: frames().flatMap {
            [plane.tunnelled(to: Topology.far, $0), plane.tunnelled(to: Topology.near, $0)]
          })
      }
    }

    @Test("only to the overlay, only to ports", arguments: Family.allCases, Attachment.allCases)
    func oneSide(_ family: Family, _ attachment: Attachment) throws {
      try DataplaneFixture.run(family, attachment) { plane in
        let frame = Frame.arpRequest(from: guest(1), target: 9)
        plane.changeDomain { $0.locals.removeAll { $0.port != Place.vm1.rawValue } }
        plane.send(frame, from: .vm1)
        plane.expect(tunnelled: [plane.tunnelled(to: Topology.group, frame)])
      }
      try DataplaneFixture.run(family, attachment) { plane in
        let frame = Frame.arpRequest(from: guest(3), target: 9)
        plane.changeDomain { $0.flood = [] }
        plane.changePort(.vm1) { $0.isUp = false }
        plane.send(frame, from: .vm3)
        plane.expect(local: [.vm2: [frame]])
      }
    }

    @Test("nobody there: the reason says why", arguments: Attachment.allCases)
    func nobody(_ attachment: Attachment) throws {
      try DataplaneFixture.run(.ipv4, attachment) { plane in
        let frame = Frame.arpRequest(from: guest(1), target: 9)
        plane.changeDomain { $0.flood = [] }
        plane.changePort(.vm2) { $0.isUp = false }
        plane.changePort(.vm3) { $0.isUp = false }
        plane.send(frame, from: .vm1)
        plane.expect(drops: [.vm1: [.portDown: 1]])
        plane.changeDomain { $0.locals.removeAll { $0.port != Place.vm1.rawValue } }
        plane.send(frame, from: .vm1)
        plane.run()
        #expect(plane.deltas.flooded(Topology.domain) == 0)
        plane.expect(drops: [.vm1: [.floodNoReceiver: 1]])
        plane.changeDomain { $0.entry.isFloodDisabled = true }
        plane.send(frame, from: .vm1)
        plane.expect(drops: [.vm1: [.floodDisabled: 1]])
      }
    }

    @Test("receivers that cannot take the frame do not keep it from the others", arguments: Family.allCases)
    func partly(_ family: Family) throws {
      try DataplaneFixture.run(family) { plane in
        plane.changeDomain { $0.flood = [Topology.near, Topology.group, Topology.far] }
        plane.setAdjacencies(Topology.near, [])
        plane.setAdjacencies(Topology.far, [Topology.adjacency(Topology.far, family, mtu: 100)])
        plane.changePort(.vm2) { $0.maxFrameByteCount = 60 }
        let frame = Frame.udp6(from: guest(1), to: guest(99))
        plane.send(frame, from: .vm1)
        plane.expect(
          local: [.vm3: [frame]], tunnelled: [plane.tunnelled(to: Topology.group, frame)],
          drops: [.vm1: [.noRoute: 1, .tooBigForUnderlay: 1, .tooBigForPort: 1]])
      }
    }

    @Test("clones share the payload; headers are chained in front of it")
    func clones() throws {
      try DataplaneFixture.run { plane in
        plane.changeDomain { $0.flood = [Topology.near, Topology.far] }
        plane.send(.arpRequest(from: guest(1), target: 9), from: .vm1)
        plane.run()
        let remote = plane.takeBuffers(.uplink)
        #expect(remote.map { cdpdk_mbuf_segment_count($0) } == [2, 2])
        let local = plane.takeBuffers(.vm2) + plane.takeBuffers(.vm3)
        #expect(local.map { cdpdk_mbuf_segment_count($0) } == [1, 1])
        #expect(Set(local.map { cdpdk_mbuf_data($0) }).count == 1, "the payload was copied")
        for buffer in remote + local { cdpdk_mbuf_free(buffer) }
      }
    }

    @Test("a tag for one receiver does not show in the others' frames")
    func mixedTags() throws {
      try DataplaneFixture.run(.ipv4, .tagged) { plane in
        plane.changeDomain { domain in
          domain.locals = [
            LocalTarget(port: Place.vm1.rawValue, vlan: 100), LocalTarget(port: Place.vm2.rawValue, vlan: 0),
            LocalTarget(port: Place.vm3.rawValue, vlan: 5), LocalTarget(port: Place.vm2.rawValue, vlan: 6),
            LocalTarget(port: Place.vm3.rawValue, vlan: 0),
          ]
        }
        let frame = Frame.arpRequest(from: guest(1), target: 9)
        plane.sendRaw(frame.tagged(100), at: .vm1)
        plane.expect(
          raw: [.vm2: [frame, frame.tagged(6)], .vm3: [frame.tagged(5), frame]],
          tunnelled: [plane.tunnelled(to: Topology.group, frame)])
      }
    }

    @Test("devices that send no chains get copies", arguments: Family.allCases, Attachment.allCases)
    func copies(_ family: Family, _ attachment: Attachment) throws {
      try DataplaneFixture.run(family, attachment) { plane in
        for place in Place.allCases { plane.changePort(place) { $0.sendsSegments = false } }
        plane.changeDomain { $0.flood = [Topology.near, Topology.far] }
        let frame = Frame.udp(from: guest(1), to: .broadcast, byteCount: 1514)
        plane.send(frame, from: .vm1)
        plane.run()
        let buffers = plane.takeBuffers(.uplink)
        #expect(buffers.map { cdpdk_mbuf_segment_count($0) } == [1, 1])
        let sent = buffers.map(MemoryPort.bytes)
        let expected = [Topology.near, Topology.far].map { plane.tunnelled(to: $0, frame) }
        #expect(sent.map(\.hex) == zip(expected, sent).map { $0.withFlow(of: $1)?.bytes.hex })
        for buffer in buffers { cdpdk_mbuf_free(buffer) }
        plane.expect(local: [.vm2: [frame], .vm3: [frame]])
      }
    }

    @Test("without a free buffer the last receiver still gets the frame")
    func noBuffers() throws {
      try DataplaneFixture.run { plane in
        let frame = Frame.arpRequest(from: guest(1), target: 9)
        plane.send(frame, from: .vm1)
        plane.test.withFreeBuffers(0) {
          plane.expect(local: [.vm3: [frame]], drops: [.vm1: [.noBuffers: 2]])
        }
        // One buffer: enough for the clone, not for the header in front of it.
        plane.send(frame, from: .vm1)
        plane.test.withFreeBuffers(1) {
          plane.expect(local: [.vm2: [frame], .vm3: [frame]], drops: [.vm1: [.noBuffers: 1]])
        }
      }
    }
  }
}
