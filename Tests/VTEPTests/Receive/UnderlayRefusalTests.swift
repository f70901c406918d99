// Packets from the wire that go nowhere, each for the one reason that the table below names.

import Encap
import MACTable
import Testing

@testable import VTEP

/// A packet that is dropped on the way in: a change to a good one.
struct RefusedPacket: CustomTestStringConvertible, Sendable {
  var name: String
  var reason: DropReason
  var edit: @Sendable (inout VXLANPacket, Family) -> Void

  var testDescription: String { name }

  init(_ name: String, _ reason: DropReason, _ edit: @escaping @Sendable (inout VXLANPacket, Family) -> Void) {
    self.name = name
    self.reason = reason
    self.edit = edit
  }

  private static let near = Topology.guest(21)
  private static let one = Topology.guest(1)
  private static let good = Frame.udp(from: near, to: one)

  static let all: [RefusedPacket] = [
    RefusedPacket("to another host", .notOurDestination) { $0.destination = Topology.address(77, $1) },
    RefusedPacket("to a group of others", .notOurDestination) {
      $0.destination = $1 == .ipv4 ? IPAddress(ipv4: 0xef81_0204) : IPAddress(high: 0xff05 << 48, low: 9)
    },
    RefusedPacket("from our own address", .outerSourceOwn) { $0.source = Topology.ownAddress($1) },
    RefusedPacket("from a group", .outerSourceInvalid) { $0.source = Topology.groupAddress($1) },
    RefusedPacket("wrong UDP checksum", .udpChecksum) { packet, _ in packet.udpChecksum = .wrong },
    RefusedPacket("without the I flag", .vxlanFlags) { packet, _ in packet.flags = 0xf7 },
    RefusedPacket("unknown VNI", .unknownVNI) { packet, _ in packet.vni = 4242 },
    RefusedPacket("VNI 0", .unknownVNI) { packet, _ in packet.vni = 0 },
    RefusedPacket("13 octets inside", .innerRunt) { packet, _ in packet.inner = Array(good[..<13]) },
    RefusedPacket("nothing inside", .innerRunt) { packet, _ in packet.inner = [] },
    RefusedPacket("inner tag cut off", .innerRunt) { packet, _ in packet.inner = Array(good.tagged(7)[..<17]) },
    RefusedPacket("inner group source", .innerSourceMulticast) { packet, _ in packet.inner = .udp(from: .broadcast, to: one) },
    RefusedPacket("inner zero source", .innerSourceZero) { packet, _ in packet.inner = .udp(from: .zero, to: one) },
    RefusedPacket("inner spanning tree", .innerLinkLocalControl) { packet, _ in
      packet.inner = .udp(from: near, to: MACAddress(bits: 0x0180_c200_0000))
    },
    RefusedPacket("inner tag", .innerVLAN) { packet, _ in packet.inner = good.tagged(7) },
    RefusedPacket("inner tag behind a priority tag", .innerVLAN) { packet, _ in packet.inner = good.tagged(7).tagged(0) },
    RefusedPacket("nothing behind a priority tag", .innerRunt) { packet, _ in packet.inner = Array(good.tagged(0).prefix(17)) },
    RefusedPacket("congestion that cannot be told, IPv4 inside", .ecnForbidden) { packet, _ in packet.trafficClass = 3 },
    RefusedPacket("congestion that cannot be told, IPv6 inside", .ecnForbidden) { packet, _ in
      packet.trafficClass = 3
      packet.inner = .udp6(from: near, to: one)
    },
    RefusedPacket("to a guest behind another VTEP", .splitHorizon) { packet, _ in
      packet.inner = .udp(from: near, to: Topology.guest(22))
    },
    RefusedPacket("to a guest behind the same VTEP", .splitHorizon) { packet, _ in
      packet.inner = .udp(from: near, to: near)
    },
    RefusedPacket("too big for the guest's port", .tooBigForPort) { packet, _ in
      packet.inner = .udp(from: near, to: one, byteCount: 1515)
    },
  ]
}

extension DataplaneTests {
  @Suite("Underlay: refused packets")
  struct UnderlayRefusalTests {
    private let guest = Topology.guest

    /// The bad packet stands between good ones, which must not suffer.
    @Test("each for its reason", arguments: RefusedPacket.all, Family.allCases)
    func refused(_ refused: RefusedPacket, _ family: Family) throws {
      try DataplaneFixture.run(family) { plane in
        let good = Frame.udp(from: guest(21), to: guest(2))
        var packet = plane.packet(carrying: .udp(from: guest(21), to: guest(1)))
        refused.edit(&packet, family)
        plane.send(plane.packet(carrying: good))
        plane.send(packet)
        plane.send(plane.packet(carrying: good))
        plane.expect(local: [.vm2: [good, good]], drops: [.uplink: [refused.reason: 1]])
      }
    }

    @Test("zero UDP checksum: fine over IPv4, over IPv6 when configured")
    func zeroChecksum() throws {
      let frame = Frame.udp(from: guest(21), to: guest(1))
      for family in Family.allCases {
        try DataplaneFixture.run(family) { plane in
          var packet = plane.packet(carrying: frame)
          packet.udpChecksum = .zero
          plane.send(packet)
          if family == .ipv4 {
            plane.expect(local: [.vm1: [frame]])
          } else {
            plane.expect(drops: [.uplink: [.udp6ZeroChecksum: 1]])
            plane.change { $0.decapPolicy.acceptsZeroUDP6Checksum = true }
            plane.send(packet)
            plane.expect(local: [.vm1: [frame]])
          }
        }
      }
    }

    @Test("what the socket filter has cut off is counted")
    func cutFrames() throws {
      try DataplaneFixture.run { plane in
        let packet = plane.packet(carrying: .udp(from: guest(21), to: guest(1))).bytes
        plane.sendRaw(Array(packet.prefix(CutFrame.otherHostByteCount)), at: .uplink)
        plane.sendRaw(Array(packet.prefix(CutFrame.otherHostByteCount)), at: .uplink)
        plane.sendRaw(Array(packet.prefix(CutFrame.groupByteCount)), at: .uplink)
        plane.expect(drops: [.uplink: [.outerMACOtherHost: 2, .outerMACGroup: 1]])
      }
    }

    @Test("what is not VXLAN for our port is the kernel's, and no drop", arguments: Family.allCases)
    func ignored(_ family: Family) throws {
      try DataplaneFixture.run(family) { plane in
        var packet = plane.packet(carrying: .udp(from: guest(21), to: guest(1)))
        packet.destinationPort = 8472
        plane.send(packet)
        plane.sendRaw(.arpRequest(from: guest(21), target: 1), at: .uplink)
        plane.sendRaw(.udp(from: guest(21), to: Topology.uplinkMAC), at: .uplink)
        plane.sendRaw([1, 2, 3], at: .uplink)
        var tagged = packet.bytes
        tagged.insert(contentsOf: [0x81, 0, 0, 7], at: 12)
        plane.sendRaw(tagged, at: .uplink)
        var tcp = Frame.udp(from: guest(21), to: Topology.uplinkMAC)
        tcp[23] = 6
        plane.sendRaw(tcp, at: .uplink)
        plane.run()
        #expect(plane.deltas.ignored(.uplink) == [.otherPort: 2, .notIP: 2, .vlanTag: 1, .notUDP: 1])
        #expect(plane.deltas.ignored(.secondUplink) == [:])
        plane.expect()
        plane.change { $0.decapPolicy = DecapPolicy(udpPort: 8472) }
        plane.send(packet)
        plane.expect(local: [.vm1: [packet.inner]])
      }
    }

    @Test("an address family not in use has no address to send to", arguments: Family.allCases)
    func unspecifiedDestination(_ family: Family) throws {
      try DataplaneFixture.run(family) { plane in
        plane.change { model in
          if family == .ipv4 { model.ownIPv4 = IPAddress(ipv4: 0) } else { model.ownIPv6 = IPAddress(high: 0, low: 0) }
        }
        var packet = plane.packet(carrying: .udp(from: guest(21), to: guest(1)))
        plane.send(packet)
        packet.destination = family == .ipv4 ? IPAddress(ipv4: 0) : IPAddress(high: 0, low: 0)
        plane.send(packet)
        plane.expect(drops: [.uplink: [.notOurDestination: 2]])
      }
    }

    @Test("accept-from: peers", arguments: Family.allCases)
    func peers(_ family: Family) throws {
      try DataplaneFixture.run(family) { plane in
        let frame = Frame.udp(from: guest(21), to: guest(1))
        var stranger = plane.packet(carrying: frame)
        stranger.source = Topology.address(200, family)
        plane.changeDomain {
          $0.entry.acceptsOnlyPeers = true
          $0.peers = [Topology.near]
        }
        plane.send(plane.packet(from: Topology.near, carrying: frame))
        plane.send(plane.packet(from: Topology.far, carrying: frame))
        plane.send(stranger)
        plane.expect(local: [.vm1: [frame]], drops: [.uplink: [.peerNotAllowed: 2]])
        plane.changeDomain { $0.peers = [] }
        plane.send(plane.packet(from: Topology.near, carrying: frame))
        plane.expect(drops: [.uplink: [.peerNotAllowed: 1]])
      }
    }

    @Test("many peers, in any order")
    func manyPeers() throws {
      try DataplaneFixture.run { plane in
        plane.change { model in
          for index in 3..<UInt16(60) {
            let entry = VTEPEntry(address: Topology.address(UInt8(index + 2), .ipv4), isInUse: true)
            model.vteps.append(ForwardingModel.VTEP(entry: entry))
          }
          model.domains[0].entry.acceptsOnlyPeers = true
          model.domains[0].entry.learnsFromVTEPs = false
          model.domains[0].peers = (3..<60).filter { $0 % 2 == 1 }.shuffled().map { VTEPIndex($0) }
        }
        let frame = Frame.udp(from: guest(21), to: guest(1))
        for index in 3..<UInt8(60) {
          var packet = plane.packet(carrying: frame)
          packet.source = Topology.address(index + 2, .ipv4)
          plane.send(packet)
        }
        plane.expect(local: [.vm1: Array(repeating: frame, count: 29)], drops: [.uplink: [.peerNotAllowed: 28]])
      }
    }

    @Test("our guest's address from the tunnel: a loop", arguments: Family.allCases)
    func ownSource(_ family: Family) throws {
      try DataplaneFixture.run(family) { plane in
        try plane.setStatic(guest(2), at: .port(Place.vm2.rawValue, vlan: 0))
        let looped = Frame.udp(from: guest(2), to: guest(1))
        let good = Frame.udp(from: guest(21), to: guest(1))
        plane.send(plane.packet(carrying: good))
        plane.send(plane.packet(carrying: looped))
        plane.send(plane.packet(carrying: good))
        plane.expect(local: [.vm1: [good, good]], drops: [.uplink: [.innerSourceOwn: 1]])
      }
    }

    @Test("a looped frame of a stranger teaches nothing")
    func ownSourceOfStranger() throws {
      try DataplaneFixture.run { plane in
        try plane.setStatic(guest(2), at: .port(Place.vm2.rawValue, vlan: 0))
        var packet = plane.packet(carrying: .udp(from: guest(2), to: guest(1)))
        packet.source = Topology.address(200, .ipv4)
        plane.send(packet)
        plane.expect(drops: [.uplink: [.innerSourceOwn: 1]])
        // Nor does one whose source the operator has placed behind another VTEP.
        try plane.setStatic(guest(30), at: .vtep(Topology.near))
        packet.inner = .udp(from: guest(30), to: guest(1))
        plane.send(packet)
        plane.expect(local: [.vm1: [packet.inner]])
      }
    }
  }
}
