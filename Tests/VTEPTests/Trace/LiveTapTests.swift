// The workers' tap for live traces: which frames are taken, what is noted of them, and that all frames go their way as without it.

import CDPDK
import Encap
import MACTable
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("Live trace")
  struct LiveTapTests {
    private struct Taken: Equatable {
      var octets: [UInt8]
      var port: Place
      var sent: [Place: Int]
      var reason: DropReason?
      var held: Int
    }

    private let guest = Topology.guest

    /// Arms a trace, runs `body`, disarms it, and returns what was taken.
    private func tapped(_ plane: DataplaneFixture, _ filter: LiveFilter, count: Int, _ body: () -> Void) -> [Taken] {
      let shared = plane.test.shared
      shared.pointee.liveTap.filter.pointee = filter
      shared.pointee.liveTap.pool.pointee = plane.test.runtime.pool
      shared.pointee.liveTap.taken.store(0, ordering: .relaxed)
      shared.pointee.liveTap.wanted.store(count, ordering: .releasing)
      body()
      shared.pointee.liveTap.wanted.store(0, ordering: .releasing)
      var taken: [Taken] = []
      for index in 0..<count {
        let frame = shared.pointee.liveTap.frames + index
        guard frame.pointee.isReady.exchange(false, ordering: .acquiring), let copy = frame.pointee.copy else { continue }
        let outcome = frame.pointee.outcome
        let sent = (0..<outcome.usedPorts).map { (Place(rawValue: outcome.ports[$0].port)!, Int(outcome.ports[$0].frames)) }
        taken.append(
          Taken(
            octets: MemoryPort.bytes(of: copy), port: Place(rawValue: frame.pointee.port)!, sent: Dictionary(uniqueKeysWithValues: sent),
            reason: outcome.reason, held: outcome.held))
        cdpdk_mbuf_free(copy)
        frame.pointee.copy = nil
      }
      return taken
    }

    @Test("frames from a port", arguments: Family.allCases, Attachment.allCases)
    func fromPort(_ family: Family, _ attachment: Attachment) throws {
      try DataplaneFixture.run(family, attachment) { plane in
        plane.setAdjacencies(Topology.far, [])
        let known = Frame.udp(from: guest(1), to: guest(21))
        let local = Frame.udp(from: guest(1), to: guest(2))
        let lost = Frame.udp(from: guest(1), to: guest(22))
        let flooded = Frame.udp(from: guest(1), to: guest(77))
        let others = Frame.udp(from: guest(2), to: guest(1))
        let taken = tapped(plane, LiveFilter(port: Place.vm1.rawValue), count: 3) {
          for frame in [known, local, lost, flooded] { plane.send(frame, from: .vm1) }
          plane.send(others, from: .vm2)
          plane.run()
        }
        #expect(
          taken == [
            Taken(octets: plane.onWire(known), port: .vm1, sent: [.uplink: 1], reason: nil, held: 0),
            Taken(octets: plane.onWire(local), port: .vm1, sent: [.vm2: 1], reason: nil, held: 0),
            Taken(octets: plane.onWire(lost), port: .vm1, sent: [:], reason: .noRoute, held: 0),
          ])
        plane.expect(
          local: [.vm1: [others], .vm2: [local, flooded], .vm3: [flooded]],
          tunnelled: [plane.tunnelled(to: Topology.near, known), plane.tunnelled(to: Topology.group, flooded)],
          drops: [.vm1: [.noRoute: 1]])
      }
    }

    @Test("by a filter and VNI, in bursts of others")
    func filtered() throws {
      try DataplaneFixture.run(.ipv4, .tagged) { plane in
        let wanted = Frame.udp(from: guest(1), to: guest(2), FlowFields(sourcePort: 7))
        let other = Frame.udp(from: guest(1), to: guest(3))
        // It is in a VLAN on the wire.
        let filter = try PacketFilter("vlan and udp src port 7 and ether dst \(guest(2))")
        let taken = tapped(plane, LiveFilter(vni: Topology.vni, program: filter.program), count: 8) {
          for _ in 0..<3 { for frame in [other, other, wanted] { plane.send(frame, from: .vm1) } }
          plane.run()
        }
        #expect(taken.map(\.octets) == Array(repeating: plane.onWire(wanted), count: 3))
        plane.expect(local: [.vm2: Array(repeating: wanted, count: 3), .vm3: Array(repeating: other, count: 6)])
        let others = try PacketFilter("vlan and udp src port 8")
        for filter in [LiveFilter(vni: Topology.otherVNI), LiveFilter(program: others.program)] {
          let none = tapped(plane, filter, count: 8) {
            plane.send(wanted, from: .vm1)
            plane.run()
          }
          #expect(none.isEmpty)
          plane.expect(local: [.vm2: [wanted]])
        }
      }
    }

    @Test("packets from a VTEP, by what is inside", arguments: Family.allCases)
    func fromVTEP(_ family: Family) throws {
      try DataplaneFixture.run(family, .untagged) { plane in
        let wanted = Frame.udp(from: guest(21), to: guest(1))
        let back = Frame.udp(from: guest(21), to: guest(22))
        let filter = try PacketFilter("ether src \(guest(21)) and not udp port 4789")
        let taken = tapped(plane, LiveFilter(vni: Topology.vni, program: filter.program), count: 4) {
          plane.send(plane.packet(carrying: wanted))
          plane.send(plane.packet(from: Topology.far, carrying: .udp(from: guest(22), to: guest(1))))
          plane.send(plane.packet(carrying: back))
          plane.run()
        }
        #expect(taken.map(\.octets) == [plane.packet(carrying: wanted).bytes, plane.packet(carrying: back).bytes])
        #expect(taken.map(\.sent) == [[.vm1: 1], [:]] && taken.map(\.reason) == [nil, .splitHorizon])
        plane.expect(local: [.vm1: [wanted, .udp(from: guest(22), to: guest(1))]], drops: [.uplink: [.splitHorizon: 1]])
      }
    }

    @Test("what waits for a next hop is said to wait")
    func held() throws {
      try DataplaneFixture.run(.ipv4, .untagged) { plane in
        plane.setAdjacencies(Topology.near, [Topology.adjacency(Topology.near, .ipv4, isResolved: false)])
        let frame = Frame.udp(from: guest(1), to: guest(21))
        let taken = tapped(plane, LiveFilter(), count: 1) {
          plane.send(frame, from: .vm1)
          plane.run()
        }
        #expect(taken.map(\.held) == [1] && taken[0].sent.isEmpty)
        plane.setAdjacencies(Topology.near, [Topology.adjacency(Topology.near, .ipv4)])
        plane.expect(tunnelled: [plane.tunnelled(to: Topology.near, frame)])
      }
    }
  }
}
