// A NIC that DPDK drives, and its tap: VXLAN for us takes the walk, all else reaches the kernel as it is, and what the kernel sends
// leaves complete.

import CDPDK
import Encap
import MACTable
import Testing

@testable import VTEP

extension DataplaneTests {
  /// The uplink is the NIC, and the second uplink's place is its tap.
  @Suite("Owned uplink")
  struct OwnedUplinkTests {
    private let frame = Frame.udp(from: Topology.guest(21), to: Topology.guest(1))
    private let router = MACAddress(bits: 0x0200_0000_cc01)

    private func run(_ family: Family = .ipv4, sourceLocation: SourceLocation = #_sourceLocation, _ body: (DataplaneFixture) throws -> Void)
      throws
    {
      try DataplaneFixture.run(family, sourceLocation: sourceLocation) { plane in
        plane.ownUplink()
        try body(plane)
      }
    }

    private func expectKernel(_ plane: DataplaneFixture, _ frames: [Frame], sourceLocation: SourceLocation = #_sourceLocation) {
      plane.run()
      #expect(plane.take(.secondUplink).map(\.hex) == frames.map(\.hex), "frames to the kernel", sourceLocation: sourceLocation)
    }

    @Test("VXLAN for us takes the walk, also behind a priority tag", arguments: Family.allCases)
    func vxlan(_ family: Family) throws {
      try run(family) { plane in
        let packet = plane.packet(carrying: frame)
        plane.send(packet)
        for type in [0x8100, 0x88a8] as [UInt16] {
          plane.sendRaw(Self.tagged(packet.bytes, type: type, tci: 0xa000), at: .uplink)
        }
        plane.expect(local: [.vm1: [frame, frame, frame]])
        // Longer than a buffer.
        plane.sendRaw(packet.bytes, at: .uplink, segments: [100])
        plane.expect(local: [.vm1: [frame]])
        plane.send(Frame.udp(from: Topology.guest(1), to: Topology.guest(21)), from: .vm1)
        plane.expect(tunnelled: [plane.tunnelled(to: Topology.near, Frame.udp(from: Topology.guest(1), to: Topology.guest(21)))])
      }
    }

    @Test("groups of our VNIs take the walk, others are the kernel's", arguments: Family.allCases)
    func groups(_ family: Family) throws {
      try run(family) { plane in
        plane.change { $0.domains[0].entry.learnsFromVTEPs = false }
        var packet = plane.packet(carrying: frame)
        packet.destination = Topology.groupAddress(family)
        packet.destinationMAC = Topology.nextHop(Topology.group, family)
        plane.send(packet)
        plane.sendRaw(Self.tagged(packet.bytes, type: 0x8100, tci: 0), at: .uplink)
        var foreign = packet
        foreign.destination = family == .ipv4 ? IPAddress(ipv4: 0xef09_0909) : IPAddress(high: 0xff05 << 48, low: 0x909)
        plane.send(foreign)
        plane.sendRaw(Self.tagged(foreign.bytes, type: 0x8100, tci: 0xe000), at: .uplink)
        expectKernel(plane, [foreign.bytes, Self.tagged(foreign.bytes, type: 0x8100, tci: 0xe000)])
        plane.expect(local: [.vm1: [frame, frame]])
      }
    }

    /// Frames of one burst that are sorted out in front of the walk overtake others, of other flows.
    @Test("everything else reaches the kernel unchanged", arguments: Family.allCases)
    func others(_ family: Family) throws {
      try run(family) { plane in
        var routed = plane.packet(carrying: frame)
        routed.destination = Topology.address(77, family)
        var broken = routed
        broken.udpChecksum = .wrong
        var otherPort = plane.packet(carrying: frame)
        otherPort.destinationPort = 4790
        let arp = Frame.arpRequest(from: router, target: 1)
        let frames: [Frame] = [
          arp, Self.tagged(arp, type: 0x8100, tci: 0xe000), Self.tagged(plane.packet(carrying: frame).bytes, type: 0x8100, tci: 5),
          .ethernet(from: router, to: MACAddress(bits: 0x0180_c200_000e), type: 0x88cc, [UInt8](repeating: 7, count: 50)),
          .udp(from: router, to: Topology.uplinkMAC), .udp6(from: router, to: Topology.uplinkMAC), .udp(from: router, to: .broadcast),
          .udp(from: router, to: Topology.guest(99)), routed.bytes, broken.bytes, otherPort.bytes,
          // As short as a driver may hand it over.
          Frame.ethernet(from: router, to: Topology.uplinkMAC, type: 0x0806, []),
          Frame.ethernet(from: router, to: Topology.uplinkMAC, type: 0x0806, [1]),
          Frame.ethernet(from: router, to: .broadcast, type: 0x8100, []), [1, 2, 3],
        ]
        for frame in frames { plane.sendRaw(frame, at: .uplink) }
        plane.sendRaw(frames[4], at: .uplink, segments: [20, 30])
        plane.run()
        #expect(plane.take(.secondUplink).map(\.hex).sorted() == (frames + [frames[4]]).map(\.hex).sorted())
        plane.expect()
        #expect(plane.deltas.ignored(.uplink).isEmpty)
      }
    }

    @Test("what is broken on its way to us is counted, and fragments with it", arguments: Family.allCases)
    func faults(_ family: Family) throws {
      try run(family) { plane in
        var packet = plane.packet(carrying: frame)
        packet.udpChecksum = .wrong
        plane.send(packet)
        packet.udpChecksum = family == .ipv4 ? .zero : .correct
        packet.flags = 0
        plane.send(packet)
        packet.flags = 0x08
        packet.vni = 99
        plane.send(packet)
        plane.expect(drops: [.uplink: [.udpChecksum: 1, .vxlanFlags: 1, .unknownVNI: 1]])
        guard family == .ipv4 else { return }
        // More fragments; and a later one, which may be of anything.
        var first = plane.packet(carrying: frame).bytes
        first.replaceSubrange(20..<22, with: [0x20, 0])
        first.replaceSubrange(24..<26, with: [0, 0])
        first.replaceSubrange(24..<26, with: [UInt8].big16(Array(first[14..<34]).internetChecksum))
        var later = first
        later[21] = 8
        plane.sendRaw(first, at: .uplink)
        plane.sendRaw(later, at: .uplink)
        expectKernel(plane, [later])
        plane.expect(drops: [.uplink: [.outerFragment: 1]])
      }
    }

    @Test("VXLAN to another host's MAC address, or to a group's with a unicast address, is not for us", arguments: Family.allCases)
    func otherMACs(_ family: Family) throws {
      try run(family) { plane in
        for (mac, reason) in [
          (router, DropReason.outerMACOtherHost), (.broadcast, .outerMACGroup), (Topology.nextHop(Topology.group, family), .outerMACGroup),
        ] {
          var packet = plane.packet(carrying: frame)
          packet.destinationMAC = mac
          plane.send(packet)
          plane.sendRaw(Self.tagged(packet.bytes, type: 0x8100, tci: 0), at: .uplink)
          plane.expect(drops: [.uplink: [reason: 2]])
        }
      }
    }

    @Test("what the kernel sends leaves as it is, complete and in pieces that fit")
    func fromKernel() throws {
      try run { plane in
        let plain = Frame.udp(from: Topology.uplinkMAC, to: router)
        let vxlan = plane.packet(carrying: frame).bytes
        plane.sendRaw(plain, at: .secondUplink)
        // Also what looks like VXLAN.
        plane.sendRaw(vxlan, at: .secondUplink)
        plane.run()
        #expect(plane.take(.uplink).map(\.hex) == [plain, vxlan].map(\.hex))
        for isIPv6 in [false, true] {
          let small = TCPFrame(from: Topology.uplinkMAC, to: router, isIPv6: isIPv6, byteCount: 900)
          plane.sendRaw(small.bytes(finished: false), at: .secondUplink, as: .placed(covered: 932, offset: 16))
          let large = TCPFrame(from: Topology.uplinkMAC, to: router, isIPv6: isIPv6, byteCount: 20_000)
          plane.sendRaw(
            large.bytes(finished: false), at: .secondUplink, segments: Array(repeating: 1500, count: 13),
            as: .placed(covered: 20_032, offset: 16, segment: 1448))
          plane.run()
          #expect(plane.take(.uplink).map(\.hex) == ([small.bytes(finished: true)] + large.segments(1448)).map(\.hex))
        }
        // A request that does not fit its frame.
        plane.sendRaw(plain, at: .secondUplink, as: .placed(covered: 1, offset: 16))
        plane.expect(drops: [.secondUplink: [.offloadHeaders: 1]])
      }
    }

    @Test("what the NIC does is left to it, with all that the driver needs", arguments: [false, true])
    func leftToNIC(isIPv6: Bool) throws {
      try run { plane in
        plane.changePort(.uplink) {
          $0.sendsSegments = true
          $0.features.formUnion([.completesTCP, .cutsTCP])
        }
        let small = TCPFrame(from: Topology.uplinkMAC, to: router, isIPv6: isIPv6, byteCount: 900)
        let large = TCPFrame(from: Topology.uplinkMAC, to: router, isIPv6: isIPv6, byteCount: 20_000)
        let datagram = Frame.udp(from: Topology.uplinkMAC, to: router)
        func send() {
          plane.sendRaw(small.bytes(finished: false), at: .secondUplink, as: .placed(covered: 932, offset: 16))
          plane.sendRaw(
            large.bytes(finished: false), at: .secondUplink, segments: Array(repeating: 1500, count: 13),
            as: .placed(covered: 20_032, offset: 16, segment: 1448))
          plane.sendRaw(datagram, at: .secondUplink, as: .placed(covered: datagram.count - 34, offset: 6))
          plane.run()
        }
        send()
        let buffers = plane.takeBuffers(.uplink)
        // The checksum of the datagram is not the NIC's task.
        #expect(buffers.map { Mbuf($0).hasRequest } == [true, true, false])
        #expect(buffers.prefix(2).map { MemoryPort.bytes(of: $0).hex } == [small, large].map { $0.bytes(finished: false).hex })
        #expect(buffers.prefix(2).map { Mbuf($0).hasRequest ? Mbuf($0).request.segmentByteCount : -1 } == [0, 1448])
        for buffer in buffers { cdpdk_mbuf_free(buffer) }
        // Drivers do not look behind extension headers, and not all NICs behind tags and options.
        for other in Self.uncommon(small) {
          plane.sendRaw(other, at: .secondUplink, as: .placed(covered: 932, offset: 16))
          plane.run()
          let kept = plane.takeBuffers(.uplink)
          #expect(kept.map { Mbuf($0).hasRequest } == [false])
          for buffer in kept { cdpdk_mbuf_free(buffer) }
        }
        // Without the one thing the workers do the other.
        plane.changePort(.uplink) { $0.features.remove(.cutsTCP) }
        send()
        let cut = plane.takeBuffers(.uplink)
        #expect(cut.map { Mbuf($0).hasRequest } == [true] + [Bool](repeating: false, count: cut.count - 1))
        #expect(cut.dropFirst().dropLast().map { MemoryPort.bytes(of: $0).hex } == large.segments(1448).map(\.hex))
        for buffer in cut { cdpdk_mbuf_free(buffer) }
      }
    }

    @Test("what the NIC does inside VXLAN is left to it, and is counted as what it sends", arguments: Family.allCases, [false, true])
    func leftInTunnel(_ family: Family, _ namesTunnels: Bool) throws {
      for isIPv6 in [false, true] {
        try run(family) { plane in
          plane.changePort(.vm1) { $0.features = .offersOffloads }
          plane.changePort(.uplink) {
            $0.sendsSegments = true
            $0.features.formUnion([.completesInner, .cutsInner])
            if namesTunnels { $0.features.insert(.namesTunnels) }
          }
          func check(_ frame: TCPFrame, _ size: Int, _ requests: [Bool]) {
            let counted = TunnelTraffic(plane)
            plane.send(frame.bytes(finished: false), from: .vm1, as: size == 0 ? .unfinished : .large(segment: UInt16(size)))
            plane.run()
            let buffers = plane.takeBuffers(.uplink)
            #expect(buffers.map { Mbuf($0).hasRequest } == requests)
            let sent = buffers.flatMap { Mbuf($0).carriedOut(pool: plane.test.runtime.pool) }
            let frames = size == 0 ? [frame.bytes(finished: true)] : frame.segments(size)
            let expected = zip(frames, sent).map { plane.tunnelled(to: Topology.near, $0).withFlow(of: $1)?.bytes.hex }
            #expect(sent.map(\.hex) == expected && sent.count == frames.count)
            #expect(
              TunnelTraffic(plane, since: counted)
                == TunnelTraffic(
                  packets: sent.count, inner: frames.reduce(0) { $0 + $1.count }, outer: sent.reduce(0) { $0 + $1.count - 14 }))
          }
          var frame = TCPFrame(from: Topology.guest(1), to: Topology.guest(21), isIPv6: isIPv6, byteCount: 20_000)
          frame.flags = 0x19
          // An odd size; a whole number of segments; one more octet; as few as are worth it, and less.
          check(frame, 1397, [true, false])
          check(frame, 1000, [true, false])
          frame.payload.append(1)
          check(frame, 1000, [true, false])
          frame.payload.removeLast(18_000)
          check(frame, 1000, [true, false])
          frame.payload.removeLast()
          check(frame, 1000, [false, false])
          frame.payload.removeLast(1300)
          check(frame, 0, [true])
          // A tag would need a binding.
          for other in Self.uncommon(frame).dropFirst() {
            plane.send(other, from: .vm1, as: .unfinished)
            plane.run()
            let buffers = plane.takeBuffers(.uplink)
            #expect(buffers.map { Mbuf($0).hasRequest } == [false])
            for buffer in buffers { cdpdk_mbuf_free(buffer) }
          }
          // CWR is said once, which not all NICs know.
          frame.flags = 0x99
          frame.payload += [UInt8](repeating: 7, count: 9000)
          check(frame, 1000, [Bool](repeating: false, count: 10))
        }
      }
    }

    /// An unfinished frame with a tag, and with an IPv4 option or a destination options header.
    private static func uncommon(_ frame: TCPFrame) -> [Frame] {
      let plain = frame.bytes(finished: false)
      var other = plain
      if frame.isIPv6 {
        other.replaceSubrange(18..<20, with: [UInt8].big16(UInt16(plain.count - 54 + 8)))
        other[20] = 60
        other.insert(contentsOf: [6, 0, 1, 4, 0, 0, 0, 0], at: 54)
      } else {
        other[14] = 0x46
        other.replaceSubrange(16..<18, with: [UInt8].big16(UInt16(plain.count - 14 + 4)))
        other.insert(contentsOf: [1, 1, 1, 0], at: 34)
        other.replaceSubrange(24..<26, with: [0, 0])
        other.replaceSubrange(24..<26, with: [UInt8].big16(Array(other[14..<38]).internetChecksum))
      }
      return [tagged(plain, type: 0x8100, tci: 5), other]
    }

    /// It knows IPv4 alone, and leaves checksums to the NIC.
    @Test("DPDK's library for segmentation reads the request as it is meant", arguments: [false, true])
    func cutByDPDK(_ namesTunnels: Bool) throws {
      try run { plane in
        plane.changePort(.vm1) { $0.features = .offersOffloads }
        plane.changePort(.uplink) {
          $0.sendsSegments = true
          $0.features.formUnion(namesTunnels ? [.cutsInner, .namesTunnels] : .cutsInner)
        }
        var frame = TCPFrame(from: Topology.guest(1), to: Topology.guest(21), byteCount: 20_000)
        frame.flags = 0x19
        plane.send(frame.bytes(finished: false), from: .vm1, as: .large(segment: 1397))
        plane.run()
        let buffers = plane.takeBuffers(.uplink)
        defer { for buffer in buffers { cdpdk_mbuf_free(buffer) } }
        #expect(buffers.count == 2)

        let pool = plane.test.runtime.pool
        let kinds = UInt32(truncatingIfNeeded: cdpdk_tx_offload_tso() | cdpdk_tx_offload_vxlan_tso())
        var context = rte_gso_ctx(direct_pool: pool, indirect_pool: pool, flag: 0, gso_types: kinds, gso_size: 50 + 66 + 1397)
        var pieces = [OpaquePointer?](repeating: nil, count: 64)
        let count = Int(rte_gso_segment(buffers[0], &context, &pieces, 64))
        defer { for case let piece? in pieces { cdpdk_mbuf_free(piece) } }
        let sent = pieces.prefix(max(count, 0)).map { MemoryPort.bytes(of: $0!) }
        let expected = zip(frame.segments(1397), sent).map { plane.tunnelled(to: Topology.near, $0).withFlow(of: $1)?.bytes ?? [] }
        #expect(sent.count == frame.segments(1397).count - 1)
        #expect(sent.map { Self.withoutChecksums($0).hex } == expected.map { Self.withoutChecksums($0).hex })
      }
    }

    /// And without an outer identification.
    private static func withoutChecksums(_ packet: [UInt8]) -> [UInt8] {
      var packet = packet
      for offset in [18, 24, 50 + 24, 50 + 50] { packet.replaceSubrange(offset..<offset + 2, with: [0, 0]) }
      return packet
    }

    /// Sent into the tunnel to a VTEP, by the counters of VNI and VTEP.
    private struct TunnelTraffic: Equatable {
      var packets, packetsOfVTEP, inner, outer: UInt64

      init(packets: Int, inner: Int, outer: Int) {
        self.packets = UInt64(packets)
        packetsOfVTEP = UInt64(packets)
        self.inner = UInt64(inner)
        self.outer = UInt64(outer)
      }

      init(_ plane: DataplaneFixture, since base: TunnelTraffic = TunnelTraffic(packets: 0, inner: 0, outer: 0)) {
        let domain = plane.test.counters[0].domains + Int(Topology.domain)
        let vtep = plane.test.counters[0].vteps + Int(Topology.near)
        packets = domain.pointee.txPackets.value - base.packets
        packetsOfVTEP = vtep.pointee.txPackets.value - base.packetsOfVTEP
        inner = domain.pointee.txBytes.value - base.inner
        outer = vtep.pointee.txBytes.value - base.outer
      }
    }

    @Test("a frame that others have, too, is finished by the workers")
    func sharedInTunnel() throws {
      try run { plane in
        plane.changePort(.vm1) { $0.features = .offersOffloads }
        plane.changePort(.uplink) {
          $0.sendsSegments = true
          $0.features.formUnion([.completesInner, .cutsInner])
        }
        let frame = TCPFrame(from: Topology.guest(1), to: Topology.guest(99), byteCount: 5000)
        plane.send(frame.bytes(finished: false), from: .vm1, as: .large(segment: 1000))
        plane.run()
        let sent = plane.take(.uplink)
        let expected = zip(frame.segments(1000), sent).map { plane.tunnelled(to: Topology.group, $0).withFlow(of: $1)?.bytes.hex }
        #expect(sent.map(\.hex) == expected && sent.count == 5)
        for place in [Place.vm2, .vm3] { _ = plane.take(place) }
      }
    }

    @Test("a checksum that the NIC has found right is not verified again", arguments: Family.allCases)
    func verdict(_ family: Family) throws {
      try run(family) { plane in
        var packet = plane.packet(carrying: frame)
        packet.udpChecksum = .wrong
        plane.sendRaw(packet.bytes, at: .uplink, as: .right)
        plane.expect(drops: [.uplink: [.udpChecksum: 1]])
        plane.changePort(.uplink) { $0.features.insert(.verifiesUDP) }
        // The wrong checksum shows that it is the NIC's word that counts.
        plane.sendRaw(packet.bytes, at: .uplink, as: .right)
        plane.expect(local: [.vm1: [frame]])
        plane.sendRaw(packet.bytes, at: .uplink)
        plane.expect(drops: [.uplink: [.udpChecksum: 1]])
      }
    }

    @Test("a NIC that takes one buffer gets one")
    func oneBuffer() throws {
      try run { plane in
        plane.changePort(.uplink) { $0.sendsSegments = false }
        let plain = Frame.udp(from: Topology.uplinkMAC, to: router, byteCount: 1400)
        plane.sendRaw(plain, at: .secondUplink, segments: [700])
        plane.run()
        let buffers = plane.takeBuffers(.uplink)
        #expect(buffers.map { cdpdk_mbuf_segment_count($0) } == [1])
        #expect(buffers.map { MemoryPort.bytes(of: $0).hex } == [plain.hex])
        for buffer in buffers { cdpdk_mbuf_free(buffer) }
        plane.expect()
      }
    }

    private static func tagged(_ frame: Frame, type: UInt16, tci: UInt16) -> Frame {
      frame[..<12] + .big16(type) + .big16(tci) + frame[12...]
    }
  }
}
