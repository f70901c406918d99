// TCP segments from a tunnel towards a guest that takes large ones: joined to exactly what their sender cut up; and
// everything that must not be joined.

import CDPDK
import Encap
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("Coalescing")
  struct CoalescingTests {
    private let guest = Topology.guest

    private func run(
      _ family: Family = .ipv4, _ features: PortFeatures = .takesAll, _ body: (DataplaneFixture) throws -> Void
    ) throws {
      try DataplaneFixture.run(family, features: features, body)
    }

    private func stream(_ isIPv6: Bool = false, byteCount: Int = 20_001) -> TCPFrame {
      TCPFrame(from: guest(21), to: guest(1), isIPv6: isIPv6, byteCount: byteCount)
    }

    private func send(_ frames: [Frame], _ plane: DataplaneFixture) {
      for frame in frames { plane.send(plane.packet(carrying: frame)) }
    }

    @Test("segments become what they were cut from", arguments: Family.allCases, [false, true])
    func joined(_ family: Family, _ isIPv6: Bool) throws {
      try run(family) { plane in
        // An odd size; a whole number of segments; PSH on the last one.
        for (size, byteCount, flags) in [(1397, 20_001, UInt8(0x10)), (1000, 20_000, 0x10), (1000, 2001, 0x18)] {
          var frame = stream(isIPv6, byteCount: byteCount)
          frame.flags = flags
          send(frame.segments(size), plane)
          plane.expect(local: [.vm1: [frame.bytes(finished: false)]])
        }
      }
    }

    @Test("the guest is told how it was cut", arguments: [false, true])
    func request(_ isIPv6: Bool) throws {
      try run { plane in
        let frame = stream(isIPv6, byteCount: 5000)
        send(frame.segments(1400), plane)
        plane.run()
        let buffers = plane.takeBuffers(.vm1)
        defer { for buffer in buffers { cdpdk_mbuf_free(buffer) } }
        try #require(buffers.count == 1)
        #expect(cdpdk_mbuf_segment_count(buffers[0]) == 4)
        #expect(
          Mbuf(buffers[0]).request
            == OffloadRequest(
              linkByteCount: 14, networkByteCount: isIPv6 ? 40 : 20, transportByteCount: 32, isIPv6: isIPv6, isUDP: false,
              segmentByteCount: 1400))
      }
    }

    @Test("more than an IP packet holds: two of them")
    func limit() throws {
      try run { plane in
        plane.changePort(.vm1) { $0.maxFrameByteCount = 9000 }
        // The bursts of two ports make one batch: 34 segments of 1,982 octets would be 67,440 with the headers.
        try plane.setStatic(guest(2), at: .port(Place.vm2.rawValue, vlan: 0))
        let whole = TCPFrame(from: guest(2), to: guest(1), byteCount: 1982 * 34)
        let parts = whole.segments(1982)
        for part in parts[..<32] { plane.send(part, from: .vm2) }
        for part in parts[32...] { plane.send(part, from: .vm3) }
        plane.run()
        let got = plane.take(.vm1)
        #expect(got.map(\.count) == [66 + 33 * 1982, 66 + 1982])
        #expect(got.flatMap { $0[66...] } == whole.payload)
      }
    }

    @Test("not for a guest that takes no such segments", arguments: [false, true])
    func notTaken(_ isIPv6: Bool) throws {
      let other: PortFeatures = isIPv6 ? .takesSegmentsIPv4 : .takesSegmentsIPv6
      for features in [[], .takesUnfinished, [.takesUnfinished, other]] as [PortFeatures] {
        try run(.ipv4, features) { plane in
          let segments = stream(isIPv6).segments(1400)
          send(segments, plane)
          plane.expect(local: [.vm1: segments])
        }
      }
    }

    @Test("a damaged segment is handed on as it is, and what follows it apart", arguments: [false, true])
    func damaged(_ isIPv6: Bool) throws {
      let segments = stream(isIPv6, byteCount: 5600).segments(1400)
      for position in 0..<4 {
        try run { plane in
          var sent = segments
          sent[position][200] ^= 1
          send(sent, plane)
          plane.run()
          let got = plane.take(.vm1)
          // Never joined to another, never changed.
          #expect(got.contains(sent[position]))
          #expect(got.reduce(0) { $0 + $1.count - segments[0].count } <= 5600)
        }
      }
    }

    @Test("order is kept: other frames in between part the segments")
    func order() throws {
      try run { plane in
        let segments = stream(byteCount: 5600).segments(1400)
        let other = Frame.udp(from: guest(21), to: guest(1))
        let flow = TCPFrame(from: guest(21), to: guest(1), isIPv6: true, byteCount: 100).bytes(finished: true)
        // Out of order, twice, a gap.
        for sent in [
          [segments[0], other, segments[1], flow, segments[2]], [segments[1], segments[0]], [segments[0], segments[0]],
          [segments[0], segments[2]],
        ] {
          send(sent, plane)
          plane.expect(local: [.vm1: sent])
        }
        // From another port into the same batch.
        let local = Frame.udp(from: guest(2), to: guest(1))
        send([segments[0]], plane)
        plane.send(local, from: .vm2)
        plane.expect(local: [.vm1: [segments[0], local]])
        // A round later: the batch has gone.
        send([segments[0]], plane)
        plane.expect(local: [.vm1: [segments[0]]])
        send([segments[1]], plane)
        plane.expect(local: [.vm1: [segments[1]]])
      }
    }

    @Test("segments that differ in more than their place are not joined", arguments: [false, true])
    func different(_ isIPv6: Bool) throws {
      let whole = stream(isIPv6, byteCount: 2800)
      let segments = whole.segments(1400)
      let transport = isIPv6 ? 54 : 34
      // Acknowledgement, window, urgent pointer, option; TOS or flow label, TTL; ports; flags FIN, SYN, RST, URG, ECE, CWR.
      var changes = [(transport + 9, UInt8(1)), (transport + 15, 1), (transport + 19, 1), (transport + 27, 1)]
      changes += isIPv6 ? [(17, 1), (15, 0x10), (21, 1)] : [(15, 1), (22, 1)]
      changes += [(transport + 1, 1), (transport + 3, 1)]
      changes += [0x01, 0x02, 0x04, 0x20, 0x40, 0x80].map { (transport + 13, $0) }
      for (offset, bits) in changes {
        try run { plane in
          var second = segments[1]
          second[offset] ^= bits
          second.repairChecksums()
          send([segments[0], second], plane)
          plane.expect(local: [.vm1: [segments[0], second]])
        }
      }
      // A segment without payload, one that is longer than the first, and one behind PSH.
      try run { plane in
        let empty = TCPFrame(from: guest(21), to: guest(1), isIPv6: isIPv6, byteCount: 0).bytes(finished: true)
        send([empty, empty], plane)
        plane.expect(local: [.vm1: [empty, empty]])
        let uneven = [
          whole.segments(1300)[0],
          {
            var next = whole; next.sequence &+= 1300; return next
          }().segments(1400)[0],
        ]
        send(uneven, plane)
        plane.expect(local: [.vm1: uneven])
        var pushed = segments[0]
        pushed[transport + 13] |= 8
        pushed.repairChecksums()
        send([pushed, segments[1]], plane)
        plane.expect(local: [.vm1: [pushed, segments[1]]])
      }
    }
  }
}
