// What a controller adds to the walks: multicast addresses with VTEPs of their own, tunnels with a key of their own, and
// the IP addresses of local stations.

import Encap
import MACTable
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("Controller")
  struct ControllerWalkTests {
    private let guest = Topology.guest
    /// Index of the list, beyond the topology's VTEPs.
    private let list: VTEPIndex = 3
    private let group = MACAddress(bits: 0x0100_5e01_0101)

    private func addList(_ plane: DataplaneFixture, _ members: [VTEPIndex]) throws {
      plane.change { model in
        model.vteps.append(ForwardingModel.VTEP(entry: VTEPEntry(), members: members))
      }
      try plane.table.setStatic(MACKey(domain: Topology.domain, mac: group), at: .list(list), type: .controller)
    }

    @Test("frames to a placed multicast address: local bindings, and its VTEPs only", arguments: Family.allCases, Attachment.allCases)
    func selective(_ family: Family, _ attachment: Attachment) throws {
      try DataplaneFixture.run(family, attachment) { plane in
        try addList(plane, [Topology.far])
        let selected = Frame.udp(from: guest(1), to: group)
        let other = Frame.udp(from: guest(1), to: MACAddress(bits: 0x0100_5e01_0102))
        for frame in [other, selected, selected] { plane.send(frame, from: .vm1) }
        plane.expect(
          local: [.vm2: [other, selected, selected], .vm3: [other, selected, selected]],
          tunnelled: [
            plane.tunnelled(to: Topology.group, other), plane.tunnelled(to: Topology.far, selected),
            plane.tunnelled(to: Topology.far, selected),
          ])
      }
    }

    @Test("a list of none: local bindings only", arguments: Attachment.allCases)
    func empty(_ attachment: Attachment) throws {
      try DataplaneFixture.run(.ipv4, attachment) { plane in
        try addList(plane, [])
        let frame = Frame.udp(from: guest(1), to: group)
        plane.send(frame, from: .vm1)
        plane.expect(local: [.vm2: [frame], .vm3: [frame]])
      }
    }

    @Test("from a tunnel: local bindings, never another tunnel", arguments: Family.allCases, Attachment.allCases)
    func fromTunnel(_ family: Family, _ attachment: Attachment) throws {
      try DataplaneFixture.run(family, attachment) { plane in
        try addList(plane, [Topology.far, Topology.near])
        let frame = Frame.udp(from: guest(21), to: group)
        plane.send(plane.packet(carrying: frame))
        plane.expect(local: [.vm1: [frame], .vm2: [frame], .vm3: [frame]])
      }
    }

    @Test("a tunnel with a key of its own", arguments: Family.allCases, Attachment.allCases)
    func tunnelKey(_ family: Family, _ attachment: Attachment) throws {
      try DataplaneFixture.run(family, attachment) { plane in
        plane.change { model in
          let settings = Topology.settings()
          var tunnel = ForwardingModel.VTEP(
            entry: VTEPEntry(address: Topology.vtepAddress(Topology.near, family), tunnelKey: VNI(truncating: 77)))
          var adjacency = Topology.adjacency(Topology.near, family)
          adjacency.header = settings.header(
            to: Topology.vtepAddress(Topology.near, family), from: Topology.ownAddress(family), sourceMAC: Topology.uplinkMAC,
            nextHop: Topology.nextHop(Topology.near, family), hasOwnKey: true)
          tunnel.adjacencies = [adjacency]
          model.vteps.append(tunnel)
        }
        try plane.table.setStatic(MACKey(domain: Topology.domain, mac: guest(40)), at: .vtep(list), type: .controller)
        let frame = Frame.udp(from: guest(1), to: guest(40))
        plane.send(frame, from: .vm1)
        var packet = plane.tunnelled(to: Topology.near, frame)
        packet.vni = 77
        plane.expect(tunnelled: [packet])
        // The VTEP is known as ever.
        let answer = Frame.udp(from: guest(21), to: guest(1))
        plane.send(plane.packet(carrying: answer))
        plane.expect(local: [.vm1: [answer]])
      }
    }

    @Test("stations' addresses are reported where a controller wants them", arguments: Attachment.allCases)
    func stations(_ attachment: Attachment) throws {
      try DataplaneFixture.run(.ipv4, attachment) { plane in
        plane.changeDomain { $0.flood = [] }
        let frame = Frame.arpRequest(from: guest(1), target: 9)
        plane.send(frame, from: .vm1)
        plane.expect(local: [.vm2: [frame], .vm3: [frame]])
        plane.changeDomain { $0.entry.reportsStations = true }
        plane.send(frame, from: .vm1)
        var sighting = Sighting.port(guest(1), .vm1, vlan: attachment.vlan)
        sighting.station = IPAddress(ipv4: 0xac10_0001)
        plane.expect(local: [.vm2: [frame], .vm3: [frame]], learned: [sighting])
      }
    }

    @Test("a new station's first frame may be an answer to one other", arguments: Attachment.allCases)
    func answer(_ attachment: Attachment) throws {
      try DataplaneFixture.run(.ipv4, attachment) { plane in
        plane.changeDomain { $0.entry.reportsStations = true }
        var frame = Frame.arpRequest(from: guest(5), target: 9)
        frame.replaceSubrange(0..<6, with: [UInt8].octets(guest(2)))
        plane.send(frame, from: .vm1)
        var sighting = Sighting.port(guest(5), .vm1, vlan: attachment.vlan)
        sighting.station = IPAddress(ipv4: 0xac10_0005)
        plane.expect(local: [.vm2: [frame]], learned: [sighting])
      }
    }

    @Test("a burst of several: what a frame says is its own station's", arguments: Attachment.allCases)
    func burst(_ attachment: Attachment) throws {
      try DataplaneFixture.run(.ipv4, attachment) { plane in
        plane.changeDomain { $0.entry.reportsStations = true }
        func answer(from number: UInt64) -> Frame {
          var frame = Frame.arpRequest(from: guest(number), target: 9)
          frame.replaceSubrange(0..<6, with: [UInt8].octets(guest(2)))
          return frame
        }
        let frames = [
          Frame.udp(from: guest(5), to: guest(2)), answer(from: 6), Frame.udp(from: guest(7), to: guest(2)), answer(from: 8),
          Frame.udp(from: guest(5), to: guest(2)), Frame.udp(from: guest(9), to: guest(2)),
        ]
        for frame in frames { plane.send(frame, from: .vm1) }
        let stations: [(UInt64, UInt32?)] = [(5, nil), (6, 0xac10_0006), (7, nil), (8, 0xac10_0008), (5, nil), (9, nil)]
        plane.expect(
          local: [.vm2: frames],
          learned: stations.map { number, address in
            var sighting = Sighting.port(guest(number), .vm1, vlan: attachment.vlan)
            sighting.station = address.map { IPAddress(ipv4: $0) }
            return sighting
          })
      }
    }
  }
}

@Suite("Station claims")
struct StationAddressesTests {
  private let key = MACKey(domain: 1, mac: MACAddress(bits: 0x0200_0000_0001))
  private let first = IPAddress(ipv4: 0x0a00_0001)
  private let second = IPAddress(ipv4: 0x0a00_0002)
  private let six = IPAddress(high: 0x2001_0db8 << 32, low: 1)

  @Test("the first stays until it has not been heard for a minute; IPv4 stands above IPv6")
  func precedence() {
    var claims = StationAddresses()
    claims.record(six, of: key, nowSeconds: 0)
    claims.record(first, of: key, nowSeconds: 1)
    claims.record(six, of: key, nowSeconds: 100)
    claims.record(second, of: key, nowSeconds: 60)
    #expect(claims[key] == first)
    #expect(claims.changeCount == 2)
    claims.record(first, of: key, nowSeconds: 30)
    claims.record(second, of: key, nowSeconds: 89)
    #expect(claims[key] == first)
    claims.record(second, of: key, nowSeconds: 90)
    #expect(claims[key] == second)
    #expect(claims.changeCount == 3)
    claims.keep([])
    #expect(claims[key] == nil)
  }
}
