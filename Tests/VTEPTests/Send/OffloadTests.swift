// Frames whose sender left something to do: untouched between guests that take them, finished and cut up on every other
// way, and dropped when the request is not sound.

import CDPDK
import Encap
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("Offloads")
  struct OffloadTests {
    private let guest = Topology.guest

    private func large(_ isIPv6: Bool = false, to number: UInt64 = 21, byteCount: Int = 20_000) -> TCPFrame {
      var frame = TCPFrame(from: guest(1), to: guest(number), isIPv6: isIPv6, byteCount: byteCount)
      // PSH, FIN and CWR, each of which only one segment may have.
      frame.flags = 0x99
      return frame
    }

    @Test("a large segment into a tunnel", arguments: Family.allCases, [false, true])
    func toVTEP(_ family: Family, _ isIPv6: Bool) throws {
      for attachment in Attachment.allCases {
        try DataplaneFixture.run(family, attachment, features: .offersOffloads) { plane in
          // An odd size, so that parts begin at odd offsets of the buffers; a whole number of segments; one more octet.
          for (size, byteCount) in [(1397, 20_000), (1000, 20_000), (1000, 20_001), (700, 1400), (64, 3000)] {
            let frame = large(isIPv6, byteCount: byteCount)
            plane.send(frame.bytes(finished: false), from: .vm1, as: .large(segment: UInt16(size)))
            plane.expect(tunnelled: frame.segments(size).map { plane.tunnelled(to: Topology.near, $0) })
          }
        }
      }
    }

    @Test("64 KiB at once", arguments: [false, true])
    func maximum(_ isIPv6: Bool) throws {
      try DataplaneFixture.run(features: .offersOffloads) { plane in
        let frame = large(isIPv6, byteCount: isIPv6 ? 65_535 - 32 : 65_535 - 52)
        plane.send(frame.bytes(finished: false), from: .vm1, as: .large(segment: 1400))
        plane.expect(tunnelled: frame.segments(1400).map { plane.tunnelled(to: Topology.near, $0) })
      }
    }

    @Test("an unfinished checksum into a tunnel", arguments: Family.allCases, Attachment.allCases)
    func checksumToVTEP(_ family: Family, _ attachment: Attachment) throws {
      try DataplaneFixture.run(family, attachment, features: .offersOffloads) { plane in
        let frames = [false, true].flatMap { isIPv6 in [0, 1, 100, 1301].map { large(isIPv6, byteCount: $0) } }
        for frame in frames { plane.send(frame.bytes(finished: false), from: .vm1, as: .unfinished) }
        // No longer than a segment: only the checksum is missing.
        plane.send(frames[3].bytes(finished: false), from: .vm1, as: .large(segment: 1301))
        plane.expect(tunnelled: (frames + [frames[3]]).map { plane.tunnelled(to: Topology.near, $0.bytes(finished: true)) })
      }
    }

    @Test("UDP: finished as well, and padding taken off")
    func udp() throws {
      try DataplaneFixture.run(features: .offersOffloads) { plane in
        var frame = Frame.udp(from: guest(1), to: guest(21), byteCount: 59)
        let pseudo: [UInt8] = Array(frame[26..<34]) + [0, 17] + Array(frame[38..<40])
        frame.replaceSubrange(40..<42, with: [UInt8].big16(~pseudo.internetChecksum))
        var finished = frame
        finished.replaceSubrange(40..<42, with: [UInt8].big16(Array(frame[34...]).internetChecksum))
        plane.send(frame + [7], from: .vm1, as: .unfinished)
        plane.expect(tunnelled: [plane.tunnelled(to: Topology.near, finished)])
      }
    }

    @Test("between guests that take it: the same buffers, untouched, with the request", arguments: [false, true], Attachment.allCases)
    func passedThrough(_ isIPv6: Bool, _ attachment: Attachment) throws {
      try DataplaneFixture.run(.ipv4, attachment, features: .offersOffloads) { plane in
        plane.changePort(.vm2) { $0.features = .takesAll }
        let frame = large(isIPv6, to: 2)
        let small = large(isIPv6, to: 2, byteCount: 100)
        plane.send(frame.bytes(finished: false), from: .vm1, as: .large(segment: 1400))
        plane.send(small.bytes(finished: false), from: .vm1, as: .unfinished)
        plane.run()
        let buffers = plane.takeBuffers(.vm2)
        defer { for buffer in buffers { cdpdk_mbuf_free(buffer) } }
        let expected = [frame, small].map { plane.onWire($0.bytes(finished: false)) }
        #expect(buffers.map { MemoryPort.bytes(of: $0) } == expected)
        let tag = attachment == .tagged ? 4 : 0
        for (buffer, size) in zip(buffers, [1400, 0]) {
          #expect(Mbuf(buffer).hasRequest)
          #expect(
            Mbuf(buffer).request
              == OffloadRequest(
                linkByteCount: 14 + tag, networkByteCount: isIPv6 ? 40 : 20, transportByteCount: 32, isIPv6: isIPv6,
                isUDP: false, segmentByteCount: size))
        }
        #expect(
          buffers.map { cdpdk_mbuf_segment_count($0) } == [UInt16((plane.onWire(frame.bytes(finished: false)).count - 1) / 1500 + 1), 1])
      }
    }

    @Test("to a port that takes nothing, or only the checksum, or only IPv4", arguments: [false, true])
    func partlyTaken(_ isIPv6: Bool) throws {
      let segments: PortFeatures = isIPv6 ? .takesSegmentsIPv4 : .takesSegmentsIPv6
      // To take segments is of no use without taking their checksums.
      for features in [[], .takesUnfinished, [.takesUnfinished, segments], [.takesSegmentsIPv4, .takesSegmentsIPv6]] as [PortFeatures] {
        for attachment in Attachment.allCases {
          try DataplaneFixture.run(.ipv4, attachment, features: .offersOffloads) { plane in
            plane.changePort(.vm2) { $0.features = features }
            let frame = large(isIPv6, to: 2)
            let small = large(isIPv6, to: 2, byteCount: 100)
            plane.send(frame.bytes(finished: false), from: .vm1, as: .large(segment: 1400))
            plane.send(small.bytes(finished: false), from: .vm1, as: .unfinished)
            let takesSmall = features.contains(.takesUnfinished)
            plane.expect(local: [.vm2: frame.segments(1400) + [small.bytes(finished: !takesSmall)]])
          }
        }
      }
    }

    @Test("segments longer than a buffer, for a port whose MTU is larger than the underlay's")
    func jumboSegments() throws {
      try DataplaneFixture.run(features: .offersOffloads) { plane in
        plane.changePort(.vm2) { $0.maxFrameByteCount = 9014 }
        let frame = large(to: 2)
        plane.send(frame.bytes(finished: false), from: .vm1, as: .large(segment: 8901))
        plane.expect(local: [.vm2: frame.segments(8901)])
      }
    }

    @Test("a frame longer than a buffer with an unfinished checksum")
    func jumboFrame() throws {
      try DataplaneFixture.run(features: .offersOffloads) { plane in
        plane.changePort(.vm2) { $0.maxFrameByteCount = 9014 }
        let frame = large(to: 2, byteCount: 8801)
        plane.send(frame.bytes(finished: false), from: .vm1, as: .unfinished)
        plane.send(frame.bytes(finished: true), from: .vm1, as: .plain)
        plane.expect(local: [.vm2: [frame.bytes(finished: true), frame.bytes(finished: true)]])
      }
    }

    @Test("flooded: each receiver gets it as it can take it", arguments: Family.allCases, Attachment.allCases)
    func flooded(_ family: Family, _ attachment: Attachment) throws {
      try DataplaneFixture.run(family, attachment, features: .offersOffloads) { plane in
        plane.changePort(.vm2) { $0.features = .takesAll }
        for isIPv6 in [false, true] {
          let frame = large(isIPv6, to: 99)
          let small = large(isIPv6, to: 99, byteCount: 100)
          plane.send(frame.bytes(finished: false), from: .vm1, as: .large(segment: 1400))
          plane.send(small.bytes(finished: false), from: .vm1, as: .unfinished)
          let apart = frame.segments(1400) + [small.bytes(finished: true)]
          plane.expect(
            local: [.vm2: [frame, small].map { $0.bytes(finished: false) }, .vm3: apart],
            tunnelled: apart.map { plane.tunnelled(to: Topology.group, $0) })
        }
      }
    }

    @Test("a segment fits if its pieces do")
    func segmentsThatDoNotFit() throws {
      try DataplaneFixture.run(features: .offersOffloads) { plane in
        plane.changePort(.vm2) { $0.features = .takesAll }
        let room = Topology.underlayMTU - 36 - 66
        let fits = large(byteCount: room * 3 + 5)
        plane.send(fits.bytes(finished: false), from: .vm1, as: .large(segment: UInt16(room)))
        plane.expect(tunnelled: fits.segments(room).map { plane.tunnelled(to: Topology.near, $0) })
        // All of it goes the same way, also a last piece that is short enough.
        plane.send(fits.bytes(finished: false), from: .vm1, as: .large(segment: UInt16(room + 1)))
        plane.expect(drops: [.vm1: [.tooBigForUnderlay: 1]])
        // To a guest: the size of its segments counts.
        let local = large(to: 2)
        plane.send(local.bytes(finished: false), from: .vm1, as: .large(segment: 1448))
        plane.send(local.bytes(finished: false), from: .vm1, as: .large(segment: 1449))
        plane.expect(local: [.vm2: [local.bytes(finished: false)]], drops: [.vm1: [.tooBigForPort: 1]])
      }
    }

    @Test("while the next hop resolves it waits whole")
    func held() throws {
      try DataplaneFixture.run(features: .offersOffloads) { plane in
        plane.setAdjacencies(Topology.near, [Topology.adjacency(Topology.near, .ipv4, isResolved: false)])
        let frame = large()
        let small = large(byteCount: 100)
        plane.send(frame.bytes(finished: false), from: .vm1, as: .large(segment: 64))
        plane.send(small.bytes(finished: false), from: .vm1, as: .unfinished)
        plane.expect()
        plane.setAdjacencies(Topology.near, [Topology.adjacency(Topology.near, .ipv4)])
        plane.expect(
          tunnelled: (frame.segments(64) + [small.bytes(finished: true)]).map { plane.tunnelled(to: Topology.near, $0) })
      }
    }

    @Test("ports that are down, VTEPs without a route: one drop a frame")
    func noWayOut() throws {
      try DataplaneFixture.run(features: .offersOffloads) { plane in
        plane.changePort(.vm2) { $0.isUp = false }
        plane.setAdjacencies(Topology.near, [])
        plane.send(large(to: 2).bytes(finished: false), from: .vm1, as: .large(segment: 1400))
        plane.send(large().bytes(finished: false), from: .vm1, as: .large(segment: 1400))
        plane.expect(drops: [.vm1: [.portDown: 1, .noRoute: 1]])
      }
    }

    @Test("no buffers for the segments: the rest is dropped, nothing leaks")
    func noBuffers() throws {
      try DataplaneFixture.run(features: .offersOffloads) { plane in
        let frame = large()
        plane.send(frame.bytes(finished: false), from: .vm1, as: .large(segment: 1000))
        plane.test.withFreeBuffers(3) { plane.run() }
        plane.expect(
          tunnelled: frame.segments(1000).prefix(3).map { plane.tunnelled(to: Topology.near, $0) },
          drops: [.vm1: [.noBuffers: 1]])
      }
    }

    @Test("requests that are not sound are dropped", arguments: Attachment.allCases)
    func refused(_ attachment: Attachment) throws {
      try DataplaneFixture.run(.ipv4, attachment, features: .offersOffloads) { plane in
        let frame = large().bytes(finished: false)
        // Segment sizes: none, next to none, more than a packet holds.
        for size in [0, 1, 19, 65_500] { plane.send(frame, from: .vm1, as: .large(segment: UInt16(size))) }
        // Data offset beyond the packet; no TCP; a packet longer than the frame; UDP and ARP that want it.
        var offset = large(byteCount: 4).bytes(finished: false)
        offset[46] = 0xf0
        var other = frame
        other[23] = 47
        var long = frame
        long.replaceSubrange(16..<18, with: [0xff, 0xff])
        let udp = Frame.udp(from: guest(1), to: guest(21), byteCount: 3000)
        let arp = Frame.arpRequest(from: guest(1), target: 9)
        for bad in [offset, other, long, udp, arp] { plane.send(bad, from: .vm1, as: .large(segment: 1000)) }
        for bad in [offset, other, long, arp] { plane.send(bad, from: .vm1, as: .unfinished) }
        // More behind the packet than 16 bits can say.
        let padded = large(byteCount: 100).bytes(finished: false) + [UInt8](repeating: 0, count: 65_600)
        plane.send(padded, from: .vm1, as: .large(segment: 64))
        plane.send(padded, from: .vm1, as: .unfinished)
        // Headers cut short, at every length.
        let headers = Array(frame[..<66])
        for count in 14..<66 { plane.send(Array(headers[..<count]), from: .vm1, as: .large(segment: 1000)) }
        // The driver ignored a request, and the checksum is still missing. With a right one all is well.
        let small = large(byteCount: 100)
        plane.send(small.bytes(finished: false), from: .vm1, as: .looked)
        plane.send(small.bytes(finished: true), from: .vm1, as: .looked)
        plane.expect(
          tunnelled: [plane.tunnelled(to: Topology.near, small.bytes(finished: true))],
          drops: [.vm1: [.offloadSegmentSize: 4, .offloadHeaders: 5 + 4 + 2 + 52 + 1]])
      }
    }

    @Test("a port that offers nothing has no requests")
    func notOffered() throws {
      try DataplaneFixture.run(features: .offersOffloads) { plane in
        plane.changePort(.vm1) { $0.features = [] }
        let frame = large(byteCount: 100).bytes(finished: false)
        plane.send(frame, from: .vm1, as: .unfinished)
        plane.expect(tunnelled: [plane.tunnelled(to: Topology.near, frame)])
      }
    }
  }
}
