// Several uplinks: what is flooded counts once, whichever uplink it comes by.

import Encap
import MACTable
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("Several uplinks")
  struct UplinkTests {
    private let frame = Frame.udp(from: Topology.guest(21), to: Topology.guest(1))

    /// - Parameter sender: another one in each test, since what is elected lives on.
    private func flooded(_ plane: DataplaneFixture, from sender: UInt8) -> VXLANPacket {
      var packet = plane.packet(carrying: frame)
      packet.source = Topology.address(sender, plane.family)
      packet.destination = Topology.groupAddress(plane.family)
      packet.destinationMAC = Topology.nextHop(Topology.group, plane.family)
      return packet
    }

    @Test("a packet to a group that two uplinks deliver is taken once", arguments: Family.allCases)
    func once(_ family: Family) throws {
      try DataplaneFixture.run(family) { plane in
        plane.change { $0.domains[0].entry.learnsFromVTEPs = false }
        for _ in 0..<3 {
          plane.send(flooded(plane, from: 101), at: .uplink)
          plane.send(flooded(plane, from: 101), at: .secondUplink)
        }
        plane.expect(local: [.vm1: [frame, frame, frame]], drops: [.secondUplink: [.uplinkDuplicate: 3]])
        // Another sender may come by the other uplink; unicast by both.
        plane.send(flooded(plane, from: 102), at: .secondUplink)
        plane.send(plane.packet(carrying: frame), at: .uplink)
        plane.send(plane.packet(carrying: frame), at: .secondUplink)
        plane.expect(local: [.vm1: [frame, frame, frame]])
      }
    }

    @Test("the other uplink stands in when the elected one is down", arguments: Family.allCases)
    func down(_ family: Family) throws {
      try DataplaneFixture.run(family) { plane in
        plane.change { $0.domains[0].entry.learnsFromVTEPs = false }
        plane.send(flooded(plane, from: 103), at: .uplink)
        plane.run()
        plane.changePort(.uplink) { $0.isUp = false }
        plane.send(flooded(plane, from: 103), at: .secondUplink)
        plane.expect(local: [.vm1: [frame, frame]])
        // It stays with the one that delivers.
        plane.changePort(.uplink) { $0.isUp = true }
        plane.send(flooded(plane, from: 103), at: .secondUplink)
        plane.send(flooded(plane, from: 103), at: .uplink)
        plane.expect(local: [.vm1: [frame]], drops: [.uplink: [.uplinkDuplicate: 1]])
      }
    }

    @Test("our own packet, heard by the other uplink, is no loop; by the same one it is", arguments: Family.allCases)
    func ownPacket(_ family: Family) throws {
      try DataplaneFixture.run(family) { plane in
        plane.changePort(.uplink) { $0.mac = Topology.uplinkMAC }
        var packet = flooded(plane, from: 104)
        packet.source = Topology.ownAddress(family)
        packet.sourceMAC = Topology.uplinkMAC
        plane.send(packet, at: .secondUplink)
        plane.send(packet, at: .uplink)
        plane.expect(drops: [.secondUplink: [.uplinkDuplicate: 1], .uplink: [.outerSourceOwn: 1]])
      }
    }

    /// A second is about 2,000 units on today's machines, and more than 100 on any.
    @Test("the other uplink takes over after a silence; each key has its own uplink")
    func silence() throws {
      let election = UplinkElection()
      let ports = UnsafeMutablePointer<PortEntry>.allocate(capacity: Limits.ports)
      ports.initialize(repeating: PortEntry(), count: Limits.ports)
      defer { ports.deallocate() }
      for index in 0..<2 {
        ports[index].isUp = true
        ports[index].isUnderlay = true
      }
      // Near the end of the 32 bits of time, which begin anew.
      let start = UInt32.max - 50
      let key: UInt64 = 0x1234_5678_9abc_def0
      #expect(election.takes(key, at: 0, ports: ports, now: start))
      #expect(!election.takes(key, at: 1, ports: ports, now: start))
      #expect(!election.takes(key, at: 1, ports: ports, now: start &- 3), "a worker whose clock is behind")
      #expect(!election.takes(key, at: 1, ports: ports, now: start &+ 100))
      #expect(election.takes(key, at: 0, ports: ports, now: start &+ 100), "it is heard again")
      #expect(election.takes(key, at: 1, ports: ports, now: start &+ 1_000_000))
      #expect(!election.takes(key, at: 0, ports: ports, now: start &+ 1_000_001))
      // Ports beyond 255 are no others.
      ports[1024].isUp = true
      ports[1024].isUnderlay = true
      #expect(election.takes(key, at: 1024, ports: ports, now: start &+ 1_500_000))
      #expect(!election.takes(key, at: 0, ports: ports, now: start &+ 1_500_001))
      // The NIC of a tap that is down receives on: only the other uplink delivers.
      ports[1024].isUp = false
      #expect(!election.takes(key, at: 1024, ports: ports, now: start &+ 1_500_001))
      #expect(election.takes(key, at: 0, ports: ports, now: start &+ 1_500_001))
      // Ten thousand others, of the same sets: the least recently heard one gives way.
      for other in 0..<10_000 {
        let key = UInt64(other) &* 0x9e37_79b9_7f4a_7c15
        #expect(election.takes(key, at: PortIndex(other % 2), ports: ports, now: start &+ 2_000_000))
      }
      let taken = (0..<10_000).count { other in
        election.takes(UInt64(other) &* 0x9e37_79b9_7f4a_7c15, at: PortIndex((other + 1) % 2), ports: ports, now: start &+ 2_000_001)
      }
      #expect(taken < 1500, "most of them are still known")
    }
  }
}
