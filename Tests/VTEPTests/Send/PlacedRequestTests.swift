// Frames whose sender says where the checksum is that it has left: a kernel at the other end of a veth or tap. Trains of UDP datagrams,
// segments and checksums inside tunnels of the sender's own, SCTP.

import CDPDK
import Encap
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("Requests with a place")
  struct PlacedRequestTests {
    private let guest = Topology.guest

    // -- a tunnel of the sender's own ----------------------------------------------------------------------------------

    private func nested(_ isIPv6: Bool, to number: UInt64 = 21, _ inner: Frame) -> VXLANPacket {
      let prefix = isIPv6 ? "fd00::" : "10.99.0."
      return VXLANPacket(
        sourceMAC: guest(1), destinationMAC: guest(number), source: IPAddress(prefix + "1")!, destination: IPAddress(prefix + "2")!,
        identification: 0xfffe, udpChecksum: isIPv6 ? .correct : .zero, vni: 77, inner: inner)
    }

    private func tcp(_ isIPv6: Bool, byteCount: Int) -> TCPFrame {
      var frame = TCPFrame(from: guest(31), to: guest(32), isIPv6: isIPv6, byteCount: byteCount)
      frame.flags = 0x99
      return frame
    }

    private func placed(_ frame: TCPFrame, segment: Int = 0) -> MemoryPort.Received {
      .placed(covered: 32 + frame.payload.count, offset: 16, segment: segment)
    }

    private func pieces(_ frame: TCPFrame, _ size: Int, in packet: VXLANPacket) -> [Frame] {
      frame.segments(size).enumerated().map { index, segment in
        var piece = packet
        piece.inner = segment
        piece.identification &+= UInt16(index)
        return piece.bytes
      }
    }

    @Test("a large segment in VXLAN in a frame, to everyone", arguments: Family.allCases, Attachment.allCases)
    func tunnelled(_ family: Family, _ attachment: Attachment) throws {
      try DataplaneFixture.run(family, attachment, features: .offersOffloads) { plane in
        // No port takes it whole. One that takes trains of datagrams gets the pieces joined (DatagramCoalescingTests).
        plane.changePort(.vm2) { $0.features = .takesAll }
        for isIPv6 in [false, true] {
          let frame = tcp(!isIPv6, byteCount: 20_001)
          let remote = nested(isIPv6, frame.bytes(finished: false))
          plane.send(remote.bytes, from: .vm1, as: placed(frame, segment: 1001))
          plane.expect(tunnelled: pieces(frame, 1001, in: remote).map { plane.tunnelled(to: Topology.near, $0) })
          let local = nested(isIPv6, to: 2, frame.bytes(finished: false))
          plane.send(local.bytes, from: .vm1, as: placed(frame, segment: 1001))
          plane.expect(local: [.vm2: pieces(frame, 1001, in: local)])
        }
      }
    }

    @Test("a checksum in VXLAN in a frame", arguments: Family.allCases, Attachment.allCases)
    func checksum(_ family: Family, _ attachment: Attachment) throws {
      try DataplaneFixture.run(family, attachment, features: .offersOffloads) { plane in
        plane.changePort(.vm2) { $0.features = .takesAll }
        for isIPv6 in [false, true] {
          for byteCount in [0, 1, 999] {
            let frame = tcp(!isIPv6, byteCount: byteCount)
            let unfinished = Array(frame.bytes(finished: false).suffix(32 + byteCount))
            for number in [UInt64(21), 2] {
              // A tunnel computes its own checksum as if the inner one were finished.
              let finished = nested(isIPv6, to: number, frame.bytes(finished: true)).bytes
              plane.send(finished.dropLast(unfinished.count) + unfinished, from: .vm1, as: placed(frame))
              if number == 2 {
                plane.expect(local: [.vm2: [finished]])
              } else {
                plane.expect(tunnelled: [plane.tunnelled(to: Topology.near, finished)])
              }
            }
          }
          // One segment: the tunnel's own checksum is missing as well.
          let frame = tcp(!isIPv6, byteCount: 700)
          var packet = nested(isIPv6, frame.bytes(finished: true))
          let finished = packet.bytes
          packet.inner = frame.bytes(finished: false)
          var sent = packet.bytes
          if isIPv6 {
            let pseudo: [UInt8] = Array(sent[22..<54]) + .big32(UInt32(sent.count - 54)) + .big32(17)
            sent.replaceSubrange(60..<62, with: [UInt8].big16(~pseudo.internetChecksum))
          }
          plane.send(sent, from: .vm1, as: placed(frame, segment: 700))
          plane.expect(tunnelled: [plane.tunnelled(to: Topology.near, finished)])
        }
      }
    }

    @Test("where TCP is the outermost header, nothing is different")
    func outermost() throws {
      try DataplaneFixture.run(features: .offersOffloads) { plane in
        plane.changePort(.vm2) { $0.features = .takesAll }
        for isIPv6 in [false, true] {
          var frame = TCPFrame(from: guest(1), to: guest(2), isIPv6: isIPv6, byteCount: 20_000)
          plane.send(frame.bytes(finished: false), from: .vm1, as: placed(frame, segment: 1400))
          plane.expect(local: [.vm2: [frame.bytes(finished: false)]])
          frame.destination = guest(21)
          plane.send(frame.bytes(finished: false), from: .vm1, as: placed(frame, segment: 1400))
          plane.expect(tunnelled: frame.segments(1400).map { plane.tunnelled(to: Topology.near, $0) })
        }
      }
    }

    @Test("requests that are not sound are dropped", arguments: Attachment.allCases)
    func refused(_ attachment: Attachment) throws {
      try DataplaneFixture.run(.ipv4, attachment, features: .offersOffloads) { plane in
        let frame = tcp(false, byteCount: 3000)
        let packet = nested(false, frame.bytes(finished: false)).bytes
        // Not where the headers end; beyond the frame; in another buffer.
        for (covered, offset) in [(3031, 16), (3033, 16), (3032, 6), (0, 0), (1, 0), (3032, 32_767), (1000, 16)] {
          plane.send(packet, from: .vm1, as: .placed(covered: covered, offset: offset, segment: 1000))
        }
        for (covered, offset) in [(0, 0), (1, 0), (3032, 32_767), (1000, 16)] {
          plane.send(packet, from: .vm1, as: .placed(covered: covered, offset: offset))
        }
        for size in [1, 2, 65_500] { plane.send(packet, from: .vm1, as: placed(frame, segment: size)) }
        // The lengths of the two packets contradict each other.
        var short = packet
        short.replaceSubrange(66..<68, with: [UInt8].big16(short.big16(at: 66) - 1))
        plane.send(short, from: .vm1, as: placed(frame, segment: 1000))
        plane.expect(drops: [.vm1: [.offloadHeaders: 12, .offloadSegmentSize: 3]])
      }
    }

    // -- UDP ----------------------------------------------------------------------------------------------------------

    @Test("a train of datagrams: whole to a port that takes it, cut for all others", arguments: [false, true], Attachment.allCases)
    func datagrams(_ isIPv6: Bool, _ attachment: Attachment) throws {
      try DataplaneFixture.run(.ipv4, attachment, features: .offersOffloads) { plane in
        let received = MemoryPort.Received.placed(covered: 9009, offset: 6, segment: 1200)
        func whole(to number: UInt64) -> UDPFrame { UDPFrame(from: guest(1), to: guest(number), isIPv6: isIPv6, byteCount: 9001) }
        func train(to number: UInt64) -> Frame { whole(to: number).bytes(finished: false) }
        func pieces(to number: UInt64) -> [Frame] { whole(to: number).datagrams(1200) }
        plane.send(train(to: 21), from: .vm1, as: received)
        plane.expect(tunnelled: pieces(to: 21).map { plane.tunnelled(to: Topology.near, $0) })
        // A guest that takes TCP segments takes no datagrams.
        plane.changePort(.vm2) { $0.features = .takesAll }
        plane.send(train(to: 2), from: .vm1, as: received)
        plane.expect(local: [.vm2: pieces(to: 2)])
        plane.changePort(.vm2) { $0.features = [.takesUnfinished, .takesSegmentsUDP] }
        plane.send(train(to: 2), from: .vm1, as: received)
        plane.run()
        let buffers = plane.takeBuffers(.vm2)
        defer { for buffer in buffers { cdpdk_mbuf_free(buffer) } }
        #expect(buffers.map { MemoryPort.bytes(of: $0) } == [plane.onWire(train(to: 2))])
        let expected = OffloadRequest(
          linkByteCount: attachment == .tagged ? 18 : 14, networkByteCount: isIPv6 ? 40 : 20, transportByteCount: 8, isIPv6: isIPv6,
          isUDP: true, segmentByteCount: 1200)
        #expect(buffers.map { Mbuf($0).hasRequest ? Mbuf($0).request : nil } == [expected])
      }
    }

    // -- SCTP ---------------------------------------------------------------------------------------------------------

    /// RFC 9260 appendix A, bit by bit.
    private func crc32c(_ octets: some Sequence<UInt8>) -> UInt32 {
      ~octets.reduce(UInt32.max) { crc, octet in
        (0..<8).reduce(crc ^ UInt32(octet)) { crc, _ in crc >> 1 ^ (crc & 1 == 1 ? 0x82f6_3b78 : 0) }
      }
    }

    @Test("SCTP: CRC32c, also over several buffers and inside a tunnel")
    func sctp() throws {
      // The check value that every description of this CRC gives.
      let check = Array("123456789".utf8)
      #expect(~check.withUnsafeBytes { cdpdk_crc32c(.max, $0.baseAddress!, 9) } == 0xe306_9283)
      try DataplaneFixture.run(features: .offersOffloads) { plane in
        plane.changePort(.vm2) { $0.maxFrameByteCount = 9014 }
        for byteCount in [12, 13, 28, 1001, 4003] {
          let body: [UInt8] = [0x0f, 0xa0, 0x13, 0x88, 1, 2, 3, 4] + (8..<byteCount).map { UInt8(truncatingIfNeeded: $0 &* 5) }
          func frame(_ checksum: UInt32) -> Frame {
            var packet = body
            packet.replaceSubrange(8..<12, with: [UInt8].big32(checksum.byteSwapped))
            var header: [UInt8] = [0x45, 0] + .big16(UInt16(20 + byteCount)) + [0, 7, 0x40, 0, 64, 132, 0, 0]
            header += [172, 16, 0, 1, 172, 16, 0, 2]
            header.replaceSubrange(10..<12, with: [UInt8].big16(header.internetChecksum))
            return .ethernet(from: guest(1), to: guest(2), type: 0x0800, header + packet)
          }
          let finished = frame(crc32c(frame(0).suffix(byteCount)))
          // Whatever the field holds.
          for field in [UInt32(0), 0xdead_beef] {
            plane.send(frame(field), from: .vm1, as: .placed(covered: byteCount, offset: 8))
            plane.expect(local: [.vm2: [finished]])
            let inner = nested(false, to: 2, frame(field))
            plane.send(inner.bytes, from: .vm1, as: .placed(covered: byteCount, offset: 8))
            plane.expect(local: [.vm2: [nested(false, to: 2, finished).bytes]])
          }
        }
      }
    }
  }
}
