// Frames from ports that are dropped, a case for each reason: malformed ones, limits, and ways that lead nowhere.

import CDPDK
import Encap
import MACTable

@testable import VTEP

extension DropCase {
  private static func control(_ last: UInt64) -> Frame { .udp(from: one, to: MACAddress(bits: 0x0180_c200_0000 | last)) }

  private static var bpdu: Frame {
    .octets(MACAddress(bits: 0x0180_c200_0000)) + .octets(one) + [0, 38, 0x42, 0x42, 3] + [UInt8](repeating: 0, count: 43)
  }

  static func probe(_ plane: DataplaneFixture) -> Frame {
    let probe = LoopProbe(
      daemon: plane.test.shared.pointee.daemonID, token: 42, port: Place.vm3.rawValue.rawValue, vlan: 0, vni: Topology.vni)
    var frame = Frame(repeating: 0, count: LoopProbe.frameByteCount)
    frame.withUnsafeMutableBytes { buffer in
      var span = buffer.mutableBytes
      probe.write(into: &span, source: MACAddress(bits: 0x0200_0000_9999), tpid: 0x8100)
    }
    return frame
  }

  static let ofPorts: [DropCase] = [
    guest(.runtFrame, Array(good[..<13])),
    DropCase(.frameTooLong) { _ in
      Arrival(place: .vm1, bytes: .udp(from: one, to: near, byteCount: 2600), segments: [1300])
    },
    guest(.sourceMulticast, .udp(from: .broadcast, to: two)),
    guest(.sourceZero, .udp(from: .zero, to: two)),
    guest(.linkLocalControl, control(0xe)),
    guest(.bpduGuard, bpdu) { $0.set(.guardsBPDU, .vm1) },
    DropCase(.loopProbe) { Arrival(place: .vm1, bytes: probe($0)) },
    guest(.puntRateLimit, control(0xe)) { plane in
      plane.set(.puntsControl, .vm1)
      for _ in 0..<Worker.slowPathBudget { plane.send(control(0xe), from: .vm1) }
    },
    DropCase(
      .puntQueueFull, isOneBurst: true,
      prepare: { plane in
        plane.set(.puntsControl, .vm1)
        while plane.test.punts[0].send(SlowPathItem()) {}
      }, follow: { _ = $0.takePunts() }, { _ in Arrival(place: .vm1, bytes: control(0xe)) }),
    guest(.bfdFromPort, .udp(from: one, to: .bfdOfOpenVSwitch)),
    guest(.vlanReserved, good.tagged(4095)),
    guest(.vlanNotBound, good.tagged(100)),
    guest(.tpidNotBound, good.tagged(100), .tagged) { plane in
      plane.changePort(.vm1) { ($0.tpid, $0.takesAnyTPID) = (0x88a8, false) }
    },
    guest(.untaggedNotBound, good, .tagged),
    DropCase(.offloadHeaders) { plane in
      plane.changePort(.vm1) { $0.features = .offersOffloads }
    } _: { _ in
      Arrival(place: .vm1, bytes: .arpRequest(from: one, target: 9), received: .unfinished)
    },
    DropCase(.offloadSegmentSize) { plane in
      plane.changePort(.vm1) { $0.features = .offersOffloads }
    } _: { _ in
      let frame = TCPFrame(from: one, to: near, byteCount: 1200).bytes(finished: false)
      return Arrival(place: .vm1, bytes: frame, received: .large(segment: 0))
    },
  ]

  private static func storm(_ reason: DropReason, to destination: MACAddress, _ limit: @escaping @Sendable (inout PortSettings) -> Void)
    -> DropCase
  {
    guest(reason, .udp(from: one, to: destination)) { plane in
      plane.limit(.vm1, limit)
      for _ in 0..<4 { plane.send(.udp(from: one, to: destination), from: .vm1) }
    }
  }

  private static func floodStorm(_ reason: DropReason, to destination: MACAddress, _ limits: StormLimits) -> DropCase {
    guest(reason, .udp(from: one, to: destination)) { plane in
      plane.beginStormControl(limits)
      // A twentieth of a second's worth.
      for _ in 0..<10 { plane.send(.udp(from: one, to: destination), from: .vm1) }
    }
  }

  private static let unknownUnicast = Topology.guest(0x77)
  private static let unknownMulticast = MACAddress(bits: 0x0100_5e01_0101)

  static let ofLimits: [DropCase] = [
    guest(.portDisabled, good) { $0.limit(.vm1) { $0.isEnabled = false } },
    guest(.sourceSpoofed, good) { $0.limit(.vm1) { ($0.antiSpoofing, $0.macs) = (true, [Topology.guest(0x11)]) } },
    guest(.aclDeniedIngress, good) { $0.filter(.vm1, [.deny(.ingress, [(.protocolNumber, "udp")])]) },
    DropCase(.aclDeniedEgress, counted: .vm2) { plane in
      plane.filter(.vm2, [.deny(.egress)])
    } _: { _ in
      Arrival(place: .vm1, bytes: good)
    },
    guest(.portMACLimit, .udp(from: Topology.guest(0x40), to: two)) { $0.limit(.vm1) { $0.macLimit = 1 } },
    guest(.ingressRateLimit, good) { plane in
      plane.limit(.vm1) { $0.ingressPackets = 1000 }
      for _ in 0..<100 { plane.send(good, from: .vm1) }
    },
    storm(.stormBroadcast, to: .broadcast) { $0.stormBroadcast = 10 },
    storm(.stormUnknownUnicast, to: unknownUnicast) { $0.stormUnknownUnicast = 10 },
    storm(.stormUnknownMulticast, to: unknownMulticast) { $0.stormUnknownMulticast = 10 },
    floodStorm(.vniStormBroadcast, to: .broadcast, StormLimits(broadcast: 200)),
    floodStorm(.vniStormUnknownUnicast, to: unknownUnicast, StormLimits(unknownUnicast: 200)),
    floodStorm(.vniStormUnknownMulticast, to: unknownMulticast, StormLimits(unknownMulticast: 200)),
    guest(.sourceFrozen, .udp(from: Topology.guest(0x66), to: two)) { plane in
      plane.freeze(
        Topology.guest(0x66), at: .port(Place.vm3.rawValue, vlan: 0), second: .port(Place.vm2.rawValue, vlan: 0))
    },
    DropCase(.egressRateLimit, counted: .vm2) { plane in
      plane.limit(.vm2) { $0.egressPackets = 1000 }
      for _ in 0..<100 { plane.send(good, from: .vm1) }
    } _: { _ in
      Arrival(place: .vm1, bytes: good)
    },
  ]

  private static func noWay(_ reason: DropReason) -> DropCase {
    guest(reason, remote) { plane in
      plane.setAdjacencies(Topology.near, [])
      plane.change { $0.vteps[Int(Topology.near)].entry.obstacle = reason }
    }
  }

  private static func unresolve(_ plane: DataplaneFixture) {
    plane.setAdjacencies(Topology.near, [Topology.adjacency(Topology.near, plane.family, isResolved: false)])
  }

  /// The port's queue is full, whatever it is called for its kind.
  private static func full(_ reason: DropReason) -> DropCase {
    DropCase(reason, counted: .vm2, isOneBurst: true) { plane in
      plane.changePort(.vm2) { $0.fullReason = reason }
      let capacity = plane.test.ports[Int(Place.vm2.rawValue)].capacity
      for sent in 0..<capacity {
        plane.send(good, from: .vm1)
        if sent % 32 == 0 { plane.run() }
      }
      plane.run()
    } _: { _ in
      Arrival(place: .vm1, bytes: good)
    }
  }

  static let ofPaths: [DropCase] = [
    guest(.tooBigForUnderlay, .udp(from: one, to: near, byteCount: Topology.underlayMTU - 35)),
    guest(.tooBigForPort, .udp(from: one, to: two, byteCount: 1515)),
    guest(.samePort, .udp(from: one, to: Topology.guest(4))) { $0.learn(Topology.guest(4), at: .port(Place.vm1.rawValue, vlan: 0)) },
    guest(.portIsolated, good) { plane in
      for place in [Place.vm1, .vm2] { plane.changePort(place) { $0.features.insert(.isIsolated) } }
    },
    guest(.carriedVLANBound, good.tagged(200)) { plane in
      plane.change { model in
        model.domains[Int(Topology.domain)].entry.carriesInnerVLAN = true
        let index = Int(Place.vm2.rawValue)
        model.vlanMaps[index] = VLANMap([200: Topology.otherDomain])
        model.ports[index].vlanDomains = model.vlanMaps[index]?.domains
        model.ports[index].features.insert(.guardsVLANs)
      }
    },
    guest(.floodDisabled, .arpRequest(from: one, target: 9)) { plane in
      plane.changeDomain {
        $0.flood = []
        $0.locals.removeAll { $0.port != Place.vm1.rawValue }
        $0.entry.isFloodDisabled = true
      }
    },
    guest(.floodNoReceiver, .arpRequest(from: one, target: 9)) { plane in
      plane.changeDomain {
        $0.flood = []
        $0.locals.removeAll { $0.port != Place.vm1.rawValue }
      }
    },
    noWay(.noRoute), noWay(.uplinkDown), noWay(.ownAddressMissing), noWay(.routeNotUnderlay), noWay(.ipsecPolicy),
    DropCase(
      .neighborUnresolved, prepare: unresolve,
      follow: { plane in
        for held in plane.worker.held.takeAll() {
          plane.worker.held.append(held)
          plane.worker.held.keepExpiry(cdpdk_cycles())
        }
        plane.tick()
      }, { _ in Arrival(place: .vm1, bytes: remote) }),
    guest(.holdQueueFull, remote) { plane in
      unresolve(plane)
      for _ in 0..<Limits.heldFramesPerVTEP { plane.send(remote, from: .vm1) }
    },
    DropCase(
      .heldTargetGone, prepare: unresolve, follow: { plane in plane.change { $0.domains[Int(Topology.domain)].entry.serial += 1 } },
      { _ in Arrival(place: .vm1, bytes: remote) }),
    full(.transmitFull), full(.guestRingFull),
    DropCase(.noBuffers, freeBuffers: 0) { plane in
      // For two ports: one of them gets a copy.
      plane.changeDomain { $0.flood = [] }
    } _: { _ in
      Arrival(place: .vm1, bytes: .arpRequest(from: one, target: 9))
    },
    DropCase(.noHeadroom) { _ in Arrival(place: .vm1, bytes: .udp(from: one, to: near, byteCount: 79), isInHeadroom: true) },
    guest(.portDown, good) { plane in plane.changePort(.vm2) { $0.isUp = false } },
  ]
}
