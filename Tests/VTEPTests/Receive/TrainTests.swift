// Packets of which the kernel says more than their octets do: trains, trusted and unfinished checksums, and large segments inside a tunnel.

import CDPDK
import Encap
import MACTable
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("Underlay: what the kernel says about packets")
  struct TrainTests {
    private let guest = Topology.guest

    private func run(_ family: Family = .ipv4, _ body: (DataplaneFixture) throws -> Void) throws {
      try DataplaneFixture.run(family) { plane in
        plane.worker.receiver.hasNotes = true
        try body(plane)
      }
    }

    private func headerByteCount(_ family: Family) -> Int { family == .ipv4 ? 42 : 62 }

    /// What the virtio-net header of a packet says.
    private struct Note {
      /// Where a checksum is missing; 0: none is.
      var start = 0
      var offset = 6
      /// 0: there is nothing to cut.
      var segment = 0
      /// The checksum has been verified.
      var isChecked = false
    }

    private func send(_ bytes: [UInt8], _ note: Note, segments: [Int] = [], counting packets: [Int]? = nil, _ plane: DataplaneFixture) {
      let buffer = MemoryPort.buffer(of: bytes, segments: segments, pool: plane.test.runtime.pool)
      cdpdk_mbuf_set_received(buffer, note.start > 0 ? 1 : 0, note.segment > 0 ? 1 : 0, UInt16(note.segment), 0)
      cdpdk_mbuf_note_checksum(buffer, UInt16(note.start), note.start > 0 ? UInt16(note.offset) : 0)
      if note.isChecked { cdpdk_mbuf_trust_outer(buffer) }
      let port = Int(Place.uplink.rawValue)
      plane.test.ports[port].put(buffer)
      for packet in packets ?? [bytes.count] { plane.put[port].add(packet) }
    }

    /// Sends datagrams as the kernel joins them: under the first one's headers, with the length of all and an unfinished checksum.
    private func sendTrain(_ packets: [VXLANPacket], segments: [Int] = [], _ plane: DataplaneFixture) {
      let headers = headerByteCount(plane.family)
      var whole = packets[0]
      whole.inner += packets.dropFirst().flatMap { $0.bytes[headers...] }
      whole.udpChecksum = .wrong
      let note = Note(start: headers - 8, segment: packets[0].bytes.count - headers)
      send(whole.bytes, note, segments: segments, counting: packets.map(\.bytes.count), plane)
    }

    // -- trains -----------------------------------------------------------------------------------------------------------

    @Test("a train is taken apart, wherever its buffers end", arguments: Family.allCases)
    func apart(_ family: Family) throws {
      let frames = [200, 200, 200, 77].map { Frame.udp(from: guest(21), to: guest(1), byteCount: $0) }
      // In one buffer; with the first datagram in the first; a datagram across two, and across three.
      for segments in [[], [headerByteCount(family) + 208], [300], [headerByteCount(family) + 212, 100]] {
        try run(family) { plane in
          sendTrain(frames.map { plane.packet(carrying: $0) }, segments: segments, plane)
          plane.run()
          let bytes = frames.reduce(0) { $0 + $1.count + headerByteCount(family) - 6 }
          #expect(plane.deltas.fromVTEP(Topology.near) == Traffic(packets: 4, bytes: bytes))
          #expect(plane.deltas.fromOverlay(Topology.domain).packets == 4)
          plane.expect(local: [.vm1: frames])
        }
      }
    }

    @Test("more datagrams than a burst, between ordinary packets", arguments: Family.allCases)
    func manyDatagrams(_ family: Family) throws {
      try run(family) { plane in
        let frames = (0..<100).map { Frame.udp(from: guest(21), to: guest(UInt64(1 + $0 % 3)), byteCount: 60 + 4 * ($0 & 1)) }
        let same = frames.map { $0 + [UInt8](repeating: 0, count: 64 - $0.count) }
        plane.send(plane.packet(carrying: same[0]))
        sendTrain(same[1..<98].map { plane.packet(carrying: $0) }, segments: [1514, 2000, 2000], plane)
        for frame in same[98...] { plane.send(plane.packet(carrying: frame)) }
        plane.expect(
          local: Dictionary(
            uniqueKeysWithValues: [Place.vm1, .vm2, .vm3].enumerated().map { number, place in
              (place, same.indices.filter { $0 % 3 == number }.map { same[$0] })
            }))
      }
    }

    @Test("each datagram is judged by itself", arguments: Family.allCases)
    func judged(_ family: Family) throws {
      try run(family) { plane in
        let frame = Frame.udp(from: guest(21), to: guest(1), byteCount: 100)
        var packets = (0..<5).map { _ in plane.packet(carrying: frame) }
        packets[0].flags = 0
        packets[2].vni = 7
        packets[3].inner = Frame.udp(from: MACAddress(bits: 0x0100_0000_0001), to: guest(1), byteCount: 100)
        packets[4].inner = Array(frame[..<13])
        sendTrain(packets, plane)
        plane.expect(
          local: [.vm1: [frame]], drops: [.uplink: [.vxlanFlags: 1, .unknownVNI: 1, .innerSourceMulticast: 1, .innerRunt: 1]])
      }
    }

    @Test("a train that is not for us counts as what it stands for", arguments: Family.allCases)
    func notOurs(_ family: Family) throws {
      try run(family) { plane in
        var packets = (0..<3).map { _ in plane.packet(carrying: .udp(from: guest(21), to: guest(1))) }
        for index in packets.indices { packets[index].destination = Topology.address(200, family) }
        sendTrain(packets, plane)
        plane.expect(drops: [.uplink: [.notOurDestination: 3]])
      }
    }

    @Test("without buffers the datagrams are dropped and counted")
    func noBuffers() throws {
      try run { plane in
        sendTrain((0..<3).map { _ in plane.packet(carrying: .udp(from: guest(21), to: guest(1))) }, plane)
        // An ordinary buffer stands in for one without room.
        plane.test.withFreeBuffers(1, slices: 1) { plane.run() }
        #expect(plane.take(.vm1).count == 2)
        plane.expect(drops: [.uplink: [.noBuffers: 1]])
      }
    }

    @Test("TCP segments of a train are joined again, without copying", arguments: Family.allCases, [false, true])
    func joined(_ family: Family, _ isIPv6: Bool) throws {
      try run(family) { plane in
        plane.changePort(.vm1) { $0.features = .takesAll }
        let frame = TCPFrame(from: guest(21), to: guest(1), isIPv6: isIPv6, byteCount: 5000)
        let packets = frame.segments(900).map { plane.packet(carrying: $0) }
        sendTrain(packets, segments: [packets[0].bytes.count, 2000, 2000], plane)
        plane.run()
        let buffers = plane.takeBuffers(.vm1)
        defer { for buffer in buffers { cdpdk_mbuf_free(buffer) } }
        #expect(buffers.map { MemoryPort.bytes(of: $0) } == [frame.bytes(finished: false)])
        #expect(buffers.map { Mbuf($0).request.segmentByteCount } == [900])
      }
    }

    @Test("what several guests get is not joined in their common memory")
    func flooded() throws {
      try run { plane in
        plane.changePort(.vm1) { $0.features = .takesAll }
        plane.changePort(.vm3) { $0.features = .takesAll }
        let segments = TCPFrame(from: guest(21), to: guest(99), byteCount: 3000).segments(1000)
        sendTrain(segments.map { plane.packet(carrying: $0) }, segments: [1500], plane)
        plane.expect(local: [.vm1: segments, .vm2: segments, .vm3: segments])
      }
    }

    @Test("tags are added in memory of their own")
    func tagged() throws {
      try DataplaneFixture.run(.ipv4, .tagged) { plane in
        plane.worker.receiver.hasNotes = true
        let frames = (0..<3).map { _ in Frame.udp(from: guest(21), to: guest(1), byteCount: 100) }
        sendTrain(frames.map { plane.packet(carrying: $0) }, plane)
        plane.expect(local: [.vm1: frames])
      }
    }

    // -- checksums of the outer header ------------------------------------------------------------------------------------

    @Test("an outer checksum that is verified or unfinished is trusted", arguments: Family.allCases)
    func trusted(_ family: Family) throws {
      try run(family) { plane in
        let frame = Frame.udp(from: guest(21), to: guest(1), byteCount: 300)
        var packet = plane.packet(carrying: frame)
        packet.udpChecksum = .wrong
        send(packet.bytes, Note(), plane)
        send(packet.bytes, Note(start: headerByteCount(family) - 8), plane)
        send(packet.bytes, Note(isChecked: true), plane)
        // Of several buffers, as the kernel reassembles fragments.
        send(packet.bytes, Note(isChecked: true), segments: [100], plane)
        plane.expect(local: [.vm1: [frame, frame, frame]], drops: [.uplink: [.udpChecksum: 1]])
      }
    }

    // -- what is inside ---------------------------------------------------------------------------------------------------

    private func inner(_ frame: Frame, _ family: Family, isIPv6: Bool, segment: Int = 0) -> Note {
      Note(start: headerByteCount(family) + 8 + (isIPv6 ? 54 : 34), offset: 16, segment: segment)
    }

    @Test("a large inner segment: untouched for a guest that takes it, else cut", arguments: Family.allCases, [false, true])
    func innerSegment(_ family: Family, _ isIPv6: Bool) throws {
      for takes in [false, true] {
        try run(family) { plane in
          if takes { plane.changePort(.vm1) { $0.features = .takesAll } }
          var frame = TCPFrame(from: guest(21), to: guest(1), isIPv6: isIPv6, byteCount: 5000)
          frame.flags = 0x98
          let bytes = frame.bytes(finished: false)
          var packet = plane.packet(carrying: bytes)
          packet.udpChecksum = family == .ipv4 ? .zero : .wrong
          let note = inner(bytes, family, isIPv6: isIPv6, segment: 1300)
          send(packet.bytes, note, segments: [1514, 2000], plane)
          plane.expect(local: [.vm1: takes ? [bytes] : frame.segments(1300)])
        }
      }
    }

    @Test("an unfinished inner checksum, with padding behind the packet", arguments: Family.allCases, [false, true])
    func innerChecksum(_ family: Family, _ isIPv6: Bool) throws {
      for takes in [false, true] {
        try run(family) { plane in
          if takes { plane.changePort(.vm1) { $0.features = .takesAll } }
          let frame = TCPFrame(from: guest(21), to: guest(1), isIPv6: isIPv6, byteCount: 100)
          var packet = plane.packet(carrying: frame.bytes(finished: false))
          packet.udpChecksum = family == .ipv4 ? .zero : .wrong
          packet.paddingByteCount = 5
          send(packet.bytes, inner(frame.bytes(finished: false), family, isIPv6: isIPv6), plane)
          plane.expect(local: [.vm1: [frame.bytes(finished: !takes)]])
        }
      }
    }

    @Test("a priority tag in front of a large inner segment")
    func innerTag() throws {
      try run { plane in
        let frame = TCPFrame(from: guest(21), to: guest(1), byteCount: 3000)
        let bytes = frame.bytes(finished: false).tagged(0, priority: 3)
        var note = inner(bytes, .ipv4, isIPv6: false, segment: 1300)
        note.start += 4
        send(plane.packet(carrying: bytes).bytes, note, segments: [1514], plane)
        plane.expect(local: [.vm1: frame.segments(1300)])
      }
    }

    @Test("requests that do not fit the packet are refused")
    func unsound() throws {
      try run { plane in
        let udp = plane.packet(carrying: .udp(from: guest(21), to: guest(1), byteCount: 300)).bytes
        // In the middle of the VXLAN header; for TCP where there is none.
        send(udp, Note(start: 46), plane)
        send(plane.packet(carrying: .arpRequest(from: guest(21), target: 1)).bytes, Note(start: 84, offset: 16, segment: 100), plane)
        // Headers that are not all in the first buffer.
        send(udp, Note(start: 84), segments: [55], plane)
        plane.expect(drops: [.uplink: [.offloadHeaders: 3]])
      }
    }
  }
}
