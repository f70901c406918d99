// Packets from the wire that are dropped, a case for each reason: outer headers, the frames inside, and what passes between a NIC that
// DPDK drives and its tap.

import CDPDK
import Encap
import MACTable

@testable import VTEP

extension [UInt8] {
  /// Changes an IPv4 header behind an Ethernet header, and makes its checksum right again.
  fileprivate mutating func changeIPv4(_ edit: (inout [UInt8]) -> Void) {
    edit(&self)
    replaceSubrange(24..<26, with: [0, 0])
    replaceSubrange(24..<26, with: [UInt8].big16(Array(self[14..<34]).internetChecksum))
  }
}

extension DropCase {
  static let ofOuterHeaders: [DropCase] = [
    octets(.outerMACOtherHost) { $0 = Array($0.prefix(CutFrame.otherHostByteCount)) },
    octets(.outerMACGroup) { $0 = Array($0.prefix(CutFrame.groupByteCount)) },
    octets(.outerIPv4Header) { $0[14] = 0x44 },
    octets(.outerIPv4Checksum) { $0[24] ^= 1 },
    octets(.outerIPv6Header, .ipv6) { $0[14] = 0x40 },
    octets(.outerLength) { $0.removeLast(10) },
    octets(.outerFragment) { $0.changeIPv4 { $0[20] = 0x20 } },
    octets(.outerExtensionHeader, .ipv6) {
      // A hop-by-hop header that is longer than the packet.
      $0[20] = 0
      $0[54] = 17
      $0[55] = 255
    },
    wire(.outerSourceInvalid) { $0.source = Topology.groupAddress(.ipv4) },
    wire(.outerSourceOwn) { $0.source = Topology.ownAddress(.ipv4) },
    wire(.notOurDestination) { $0.destination = Topology.address(77, .ipv4) },
    DropCase(.uplinkDuplicate, counted: .secondUplink) { plane in
      plane.change { $0.domains[0].entry.learnsFromVTEPs = false }
      plane.send(flooded(plane), at: .uplink)
    } _: { plane in
      Arrival(place: .secondUplink, bytes: flooded(plane).bytes)
    },
    octets(.udpLength) { $0.replaceSubrange(38..<40, with: [0, 7]) },
    wire(.udpChecksum) { $0.udpChecksum = .wrong },
    wire(.udp6ZeroChecksum, .ipv6) { $0.udpChecksum = .zero },
    octets(.vxlanTruncated) { bytes in
      bytes.changeIPv4 { $0.replaceSubrange(16..<18, with: [0, 32]) }
      bytes.replaceSubrange(38..<40, with: [0, 12])
    },
    wire(.vxlanFlags) { $0.flags = 0xf7 },
  ]

  /// From a sender of which nothing is elected yet.
  private static func flooded(_ plane: DataplaneFixture) -> VXLANPacket {
    var packet = plane.packet(carrying: goodInner)
    packet.source = Topology.address(201, plane.family)
    packet.destination = Topology.groupAddress(plane.family)
    packet.destinationMAC = Topology.nextHop(Topology.group, plane.family)
    return packet
  }

  static let ofInnerFrames: [DropCase] = [
    wire(.unknownVNI) { $0.vni = 4242 },
    wire(.innerRunt) { $0.inner = Array(goodInner[..<13]) },
    wire(.innerSourceMulticast) { $0.inner = .udp(from: .broadcast, to: one) },
    wire(.innerSourceZero) { $0.inner = .udp(from: .zero, to: one) },
    wire(.innerSourceOwn) { plane in
      try plane.setStatic(one, at: .port(Place.vm1.rawValue, vlan: 0))
    } _: {
      $0.inner = .udp(from: one, to: two)
    },
    wire(.innerSourceFrozen) { plane in
      plane.freeze(Topology.guest(0x66), at: .port(Place.vm3.rawValue, vlan: 0), second: .port(Place.vm2.rawValue, vlan: 0))
    } _: {
      $0.inner = .udp(from: Topology.guest(0x66), to: one)
    },
    wire(.innerVLAN) { $0.inner = goodInner.tagged(7) },
    wire(.ecnForbidden) { $0.trafficClass = 3 },
    wire(.peerNotAllowed) { plane in
      plane.changeDomain {
        $0.entry.acceptsOnlyPeers = true
        $0.peers = [Topology.far]
      }
    } _: { _ in
    },
    wire(.splitHorizon) { $0.inner = .udp(from: near, to: Topology.guest(22)) },
    wire(.innerLinkLocalControl) { $0.inner = .udp(from: near, to: MACAddress(bits: 0x0180_c200_000e)) },
    wire(.bfdOff) { packet in
      packet.vni = 0
      packet.inner = .udp(from: near, to: .bfdOfOpenVSwitch)
    },
    DropCase(
      .bfdQueueFull, counted: .uplink,
      prepare: { plane in
        plane.change { $0.vteps[Int(Topology.near)].entry.hasBFD = true }
        while plane.test.bfdArrivals[0].send(SlowPathItem()) {}
      },
      follow: { plane in
        var item = SlowPathItem()
        while plane.test.bfdArrivals[0].receive(&item) {}
      },
      { plane in Arrival(place: .uplink, bytes: plane.packet(carrying: .udp(from: near, to: .bfdOfRFC8971)).bytes) }),
  ]

  /// The uplink is the NIC, and the second uplink's place is its tap.
  static let ofOwnedUplinks: [DropCase] = [
    DropCase(.controlRateLimit, counted: .uplink) { plane in
      plane.ownUplink()
      plane.worker.hostBudgets[Int(Place.uplink.rawValue.rawValue) * HostFrameClass.count + Int(HostFrameClass.neighbor.rawValue)] = 0
    } _: { _ in
      Arrival(place: .uplink, bytes: .arpRequest(from: near, target: 1))
    },
    DropCase(.hostRateLimit, counted: .uplink) { plane in
      overload(plane)
      plane.worker.hostBudgets[Int(Place.uplink.rawValue.rawValue) * HostFrameClass.count + Int(HostFrameClass.host.rawValue)] = 0
    } _: { _ in
      Arrival(place: .uplink, bytes: .udp(from: near, to: Topology.uplinkMAC))
    },
    // Behind a burst that is processed.
    DropCase(.receiveFull, counted: .uplink, isOneBurst: true) { plane in
      overload(plane)
      plane.worker.uplinkLoads[Int(Place.uplink.rawValue.rawValue)].fullBursts = Worker.burstsBeforeRelief
      for _ in 0..<Limits.burst { plane.send(plane.packet(carrying: goodInner)) }
    } _: { plane in
      Arrival(place: .uplink, bytes: plane.packet(carrying: goodInner).bytes)
    },
  ]

  /// The NIC has received more than the worker takes.
  private static func overload(_ plane: DataplaneFixture) {
    plane.ownUplink()
    plane.worker.nowCycles = 1000
    plane.worker.uplinkLoads[Int(Place.uplink.rawValue.rawValue)].lastRelief = 1000
  }
}
