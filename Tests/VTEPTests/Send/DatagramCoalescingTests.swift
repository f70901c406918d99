// UDP datagrams from a tunnel towards a guest that takes large ones: joined to exactly what becomes the same datagrams again; and
// everything that must not be joined.

import CDPDK
import Encap
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("Coalescing of datagrams")
  struct DatagramCoalescingTests {
    private let guest = Topology.guest
    private static let taking: PortFeatures = [.takesAll, .takesSegmentsUDP]

    private func run(
      _ family: Family = .ipv4, _ features: PortFeatures = taking, _ body: (DataplaneFixture) throws -> Void
    ) throws {
      try DataplaneFixture.run(family, features: features, body)
    }

    private func flow(_ isIPv6: Bool = false, byteCount: Int) -> UDPFrame {
      UDPFrame(from: guest(21), to: guest(1), isIPv6: isIPv6, byteCount: byteCount)
    }

    private func send(_ frames: [Frame], _ plane: DataplaneFixture) {
      for frame in frames { plane.send(plane.packet(carrying: frame)) }
    }

    @Test("datagrams become what is cut into the same again", arguments: Family.allCases, [false, true])
    func joined(_ family: Family, _ isIPv6: Bool) throws {
      try run(family) { plane in
        // A short one at the end; a whole number; the smallest Ethernet frame's payload.
        for (size, byteCount) in [(1200, 9001), (1000, 4000), (18, 18 * 20)] {
          let frame = flow(isIPv6, byteCount: byteCount)
          send(frame.datagrams(size), plane)
          plane.expect(local: [.vm1: [frame.bytes(finished: false)]])
        }
      }
    }

    @Test("the guest is told how it was cut", arguments: [false, true])
    func request(_ isIPv6: Bool) throws {
      try run { plane in
        send(flow(isIPv6, byteCount: 5000).datagrams(1400), plane)
        plane.run()
        let buffers = plane.takeBuffers(.vm1)
        defer { for buffer in buffers { cdpdk_mbuf_free(buffer) } }
        try #require(buffers.count == 1)
        #expect(
          Mbuf(buffers[0]).request
            == OffloadRequest(
              linkByteCount: 14, networkByteCount: isIPv6 ? 40 : 20, transportByteCount: 8, isIPv6: isIPv6, isUDP: true,
              segmentByteCount: 1400))
      }
    }

    @Test("identifications: in a row, or all the same with DF (RFC 6864)")
    func identifications() throws {
      try run { plane in
        var frame = flow(byteCount: 4000)
        send(frame.datagrams(1000, counts: false), plane)
        plane.expect(local: [.vm1: [frame.bytes(finished: false)]])
        frame.isAtomic = false
        send(frame.datagrams(1000), plane)
        plane.expect(local: [.vm1: [frame.bytes(finished: false)]])
        // Without DF each must keep its own.
        let same = frame.datagrams(1000, counts: false)
        send(same, plane)
        plane.expect(local: [.vm1: same])
        let apart = [frame.datagrams(1000)[0], frame.datagrams(1000)[2]]
        send(apart, plane)
        plane.expect(local: [.vm1: apart])
      }
    }

    @Test("no more than every kernel cuts: 64, and no more than an IP packet holds")
    func limit() throws {
      for (size, limit) in [(100, 64), (1400, 46)] {
        let parts = flow(byteCount: size * (limit + 1)).datagrams(size)
        let segments = parts.map { JoinableSegment(frame: $0.span.bytes) }
        let first = try #require(segments[0])
        for (position, isContinued) in [(limit - 1, true), (limit, false)] {
          let next = try #require(segments[position])
          let (head, frame) = (parts[0], parts[position])
          let found = first.isContinued(by: next, head: head.span.bytes, frame: frame.span.bytes, after: position * size)
          #expect(found == isContinued)
        }
      }
    }

    @Test("not for a guest that takes only TCP segments", arguments: [false, true])
    func notTaken(_ isIPv6: Bool) throws {
      try run(.ipv4, .takesAll) { plane in
        let datagrams = flow(isIPv6, byteCount: 4000).datagrams(1000)
        send(datagrams, plane)
        plane.expect(local: [.vm1: datagrams])
      }
    }

    @Test("nothing is joined that differs, grows, is damaged, or has no checksum", arguments: [false, true])
    func different(_ isIPv6: Bool) throws {
      let datagrams = flow(isIPv6, byteCount: 2800).datagrams(1400)
      let transport = isIPv6 ? 54 : 34
      var cases: [[Frame]] = []
      // TOS or flow label, TTL or hop limit; ports.
      let network: [(Int, UInt8)] = isIPv6 ? [(17, 1), (15, 0x10), (21, 1)] : [(15, 1), (22, 1)]
      for (offset, bits) in network + [(transport + 1, 1), (transport + 3, 1)] {
        var second = datagrams[1]
        second[offset] ^= bits
        second.repairChecksums()
        cases.append([datagrams[0], second])
      }
      for position in 0..<2 {
        var damaged = datagrams
        damaged[position][200] ^= 1
        cases.append(damaged)
        var bare = datagrams
        bare[position].replaceSubrange(transport + 6..<transport + 8, with: [0, 0])
        cases.append(bare)
      }
      var long = flow(isIPv6, byteCount: 1400).bytes(finished: true)
      if !isIPv6 {
        long[19] = 0xff
        long.repairChecksums()
      }
      cases.append([flow(isIPv6, byteCount: 100).bytes(finished: true), long])
      // Order is kept.
      cases.append([datagrams[0], Frame.udp(from: guest(21), to: guest(1)), datagrams[1]])
      for frames in cases {
        try run { plane in
          send(frames, plane)
          plane.expect(local: [.vm1: frames])
        }
      }
    }
  }
}
