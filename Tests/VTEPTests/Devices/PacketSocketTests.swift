// Packet sockets on the two ends of a veth, with the kernel as the judge: an error for each refused frame, tags, segments, trains, and
// an interface that goes down or away.

import CDPDK
import Encap
import Glibc
import Netlink
import Testing

@testable import VTEP

@_silgen_name("unshare") private func unshare(_ flags: Int32) -> Int32
@_silgen_name("setns") private func setns(_ descriptor: Int32, _ type: Int32) -> Int32

extension DataplaneTests {
  @Suite("Packet sockets", .enabled(if: geteuid() == 0, "SKIPPED: needs root, to create a network namespace"))
  struct PacketSocketTests {
    private static let guest = Topology.guest
    /// CLONE_NEWNET.
    private static let newNetworkNamespace: Int32 = 0x4000_0000

    /// A veth with a packet socket on either end, in a network namespace of its own.
    private final class Wire {
      var receiver: KernelReceiver
      var sender = KernelSender()
      let near: PacketSocketDevice
      let far: PacketSocketDevice
      private let pool: OpaquePointer

      init(_ purpose: PacketSocketDevice.Purpose, farMTU: Int) throws {
        let runtime = try TestRuntime.shared().runtime
        pool = runtime.pool
        receiver = KernelReceiver(pool: runtime.pool, largePool: runtime.largePool)
        // The kernel is to send nothing by itself.
        let file = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY)
        if file >= 0 {
          _ = write(file, "1", 1)
          close(file)
        }
        try Self.ip("link", "add", "near", "type", "veth", "peer", "name", "far")
        try Self.ip("link", "set", "far", "mtu", "\(farMTU)", "up")
        try Self.ip("link", "set", "near", "up")
        let netlink = try NetlinkSocket()
        let links = try (#require(try netlink.link(named: "near")), #require(try netlink.link(named: "far")))
        near = try .open(links.0, queues: 1, purpose: purpose, subject: "near")
        far = try .open(links.1, queues: 1, purpose: purpose, subject: "far")
      }

      deinit {
        near.close()
        far.close()
      }

      static func ip(_ arguments: String...) throws {
        var words: [UnsafeMutablePointer<CChar>?] = (["ip"] + arguments).map { strdup($0) } + [nil]
        var environment: [UnsafeMutablePointer<CChar>?] = [strdup("PATH=/usr/sbin:/usr/bin:/sbin:/bin"), nil]
        defer { for word in words + environment { free(word) } }
        var child: pid_t = 0
        try #require(posix_spawnp(&child, "ip", nil, nil, &words, &environment) == 0)
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0 && errno == EINTR {}
        try #require(status == 0, "ip \(arguments)")
      }

      /// Sends frames in one batch.
      ///
      /// - Returns: positions that the kernel refused, with the errno.
      func send(_ buffers: [OpaquePointer], joins: Bool = false) -> [[Int32]] {
        var batch: [OpaquePointer?] = buffers
        batch.withUnsafeMutableBufferPointer {
          sender.send(packetSocket: near.descriptors[0], $0.baseAddress!, $0.count, joins: joins)
        }
        for buffer in buffers { cdpdk_mbuf_free(buffer) }
        return (0..<sender.refusalCount).map { [sender.refusals[$0].position, sender.refusals[$0].errorNumber] }
      }

      func send(_ frames: [[UInt8]]) -> [[Int32]] {
        send(frames.map { MemoryPort.buffer(of: $0, segments: $0.count > 2000 ? [2000, 2000, 2000, 2000, 2000] : [], pool: pool) })
      }

      struct Received {
        var bytes: [UInt8]
        /// Octets of each segment that the frame is to be cut into; nil: it is one.
        var segment: Int?
        /// Where a checksum is missing: start and offset.
        var checksum: [Int]?
      }

      /// Takes what the far end has received: nothing is on its way any more when a send returns.
      func take(keepsTags: Bool = true) -> [Received] {
        var taken: [Received] = []
        while receiveOnce(keepsTags: keepsTags, { taken.append($0) }) >= 0 {}
        return taken
      }

      /// - Returns: as `KernelReceiver.receive`.
      @discardableResult
      func receiveOnce(keepsTags: Bool = true, _ body: (Received) -> Void = { _ in }) -> Int {
        withUnsafeTemporaryAllocation(of: OpaquePointer?.self, capacity: Limits.burst) { frames in
          let count = receiver.receive(
            packetSocket: far.descriptors[0], headByteCount: 1514, keepsTags: keepsTags, into: frames.baseAddress!)
          for frame in frames[..<max(count, 0)] {
            let buffer = frame!
            defer { cdpdk_mbuf_free(buffer) }
            var received = Received(bytes: MemoryPort.bytes(of: buffer))
            if cdpdk_mbuf_is_large_segment(buffer) != 0 { received.segment = Int(cdpdk_mbuf_segment_size(buffer)) }
            if cdpdk_mbuf_checksum_is_unfinished(buffer) != 0 {
              let noted = cdpdk_mbuf_noted_checksum(buffer)
              received.checksum = [Int(noted >> 16), Int(noted & 0xffff)]
            }
            body(received)
          }
          return count
        }
      }
    }

    private func withWire(
      _ purpose: PacketSocketDevice.Purpose = .port, farMTU: Int = 1500, _ body: (Wire) throws -> Void
    ) throws {
      let home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
      defer {
        precondition(setns(home, 0) == 0)
        close(home)
      }
      try #require(unshare(Self.newNetworkNamespace) == 0)
      try body(try Wire(purpose, farMTU: farMTU))
    }

    private static func frame(_ number: UInt8, byteCount: Int, tags: [[UInt8]] = []) -> [UInt8] {
      let payload = (0..<byteCount - 14).map { UInt8(truncatingIfNeeded: $0) ^ number }
      let addresses = Array(Frame.ethernet(from: guest(1), to: guest(2), type: 0, [])[..<12])
      return addresses + tags.flatMap { $0 } + [0x88, 0xb5] + payload
    }

    // -- refused frames ---------------------------------------------------------------------------------------------------

    @Test("frames around refused ones arrive")
    func refusals() throws {
      try withWire(farMTU: 1000) { wire in
        let frames = [60, 1200, 100, 2000, 60, 1515, 1014].enumerated().map { Self.frame(UInt8($0), byteCount: $1) }
        #expect(wire.send(frames) == [[1, ENOBUFS], [3, EMSGSIZE], [5, EMSGSIZE]])
        #expect(wire.take().map(\.bytes) == [0, 2, 4, 6].map { frames[$0] })
        #expect(wire.send([frames[0]]) == [])
        #expect(wire.take().count == 1)
      }
    }

    @Test("an interface that was down costs no frame afterwards")
    func downAndUp() throws {
      try withWire { wire in
        let frame = Self.frame(1, byteCount: 60)
        #expect(wire.send([frame, frame]) == [])
        for end in ["near", "far"] { try Wire.ip("link", "set", end, "down") }
        #expect(wire.send([frame, frame, frame]) == (0..<3).map { [$0, ENETDOWN] })
        for end in ["near", "far"] { try Wire.ip("link", "set", end, "up") }
        // Up, down and up again: the error of the first time is still to be read.
        for state in ["down", "up"] { try Wire.ip("link", "set", "near", state) }
        #expect(wire.send([frame]) == [])
        #expect(wire.take().count == 3)
      }
    }

    @Test("an interface that is gone refuses all")
    func gone() throws {
      try withWire { wire in
        try Wire.ip("link", "delete", "near")
        let frame = Self.frame(1, byteCount: 60)
        #expect(wire.send([frame, frame]).map { $0[1] } == [ENXIO, ENXIO])
        #expect(wire.take().isEmpty)
      }
    }

    // -- tags ---------------------------------------------------------------------------------------------------------------

    @Test("tags keep their TPID")
    func tags() throws {
      try withWire { wire in
        let stacks: [[[UInt8]]] = [
          [[0x81, 0x00, 0x60, 0x0a]], [[0x88, 0xa8, 0x00, 0x0b]], [[0x91, 0x00, 0x00, 0x0c]], [[0x81, 0x00, 0xe0, 0x00]],
          [[0x88, 0xa8, 0x20, 0x01], [0x81, 0x00, 0x40, 0x02]], [[0x81, 0x00, 0x20, 0x01], [0x88, 0xa8, 0x40, 0x02]],
        ]
        let frames = stacks.map { Self.frame(7, byteCount: 100, tags: $0) }
        #expect(wire.send(frames) == [])
        #expect(wire.take().map(\.bytes) == frames)
        #expect(wire.send([frames[3]]) == [])
        #expect(wire.take(keepsTags: false).map(\.bytes) == [Self.frame(7, byteCount: 100)])
      }
    }

    @Test("full-size tagged frames: the kernel allows four octets more for 0x8100 only")
    func fullSizeTags() throws {
      try withWire { wire in
        let frames = [[[0x81, 0, 0, 1]], [[0x88, 0xa8, 0, 1]]].map { (tags: [[UInt8]]) in
          Self.frame(1, byteCount: 1514, tags: tags)
        }
        #expect(wire.send(frames) == [[1, EMSGSIZE]])
        #expect(wire.take().map(\.bytes) == [frames[0]])
      }
    }

    // -- segments -----------------------------------------------------------------------------------------------------------

    /// With Ethernet header and tag below 64 KiB, gso_max_size: the kernel cuts longer ones at once.
    @Test(
      "a large TCP segment goes and comes as one frame", arguments: [false, true], [[], [0x81, 0, 0, 9], [0x88, 0xa8, 0, 9]] as [[UInt8]])
    func largeSegment(_ isIPv6: Bool, _ tag: [UInt8]) throws {
      try withWire { wire in
        let tcp = TCPFrame(from: Self.guest(1), to: Self.guest(2), isIPv6: isIPv6, byteCount: 65_000)
        var bytes = tcp.bytes(finished: false)
        bytes.insert(contentsOf: tag, at: 12)
        let buffer = MemoryPort.buffer(of: bytes, segments: Array(repeating: 2000, count: 32), pool: try TestRuntime.shared().runtime.pool)
        guard case .sound(let request, _) = OffloadRequest.check(frame: bytes.span.bytes, byteCount: bytes.count, segmentByteCount: 1400)
        else { throw VTEPError(.refused, "request", "not sound") }
        Mbuf(buffer).request = request
        #expect(wire.send([buffer]) == [])
        let taken = wire.take()
        try #require(taken.count == 1)
        #expect(taken[0].bytes == bytes)
        #expect(taken[0].segment == 1400)
        #expect(taken[0].checksum == [bytes.count - tcp.payload.count - 32, 16])
      }
    }

    @Test("no large buffer: the segment is counted, small frames pass")
    func withoutLargeBuffers() throws {
      let pool = try TestRuntime.shared().runtime.largePool
      var taken: [OpaquePointer] = []
      while let buffer = cdpdk_mbuf_alloc(pool) { taken.append(buffer) }
      defer { for buffer in taken { cdpdk_mbuf_free(buffer) } }
      try withWire { wire in
        for end in ["near", "far"] { try Wire.ip("link", "set", end, "mtu", "9000") }
        let frames = [60, 5000, 100].map { Self.frame(1, byteCount: $0) }
        #expect(wire.send(frames) == [])
        #expect(wire.receiveOnce() == 2)
        #expect(wire.receiver.losses.unbuffered == 1)
        #expect(wire.receiver.losses.byteCount == 1514)
      }
    }

    @Test("without buffers frames wait in the socket")
    func withoutBuffers() throws {
      try withWire { wire in
        let frame = Self.frame(1, byteCount: 60)
        #expect(wire.send([frame, frame]) == [])
        try TestRuntime.shared().withFreeBuffers(0) { #expect(wire.receiveOnce() == 0) }
        #expect(wire.take().count == 2)
      }
    }

    // -- trains -------------------------------------------------------------------------------------------------------------

    @Test(
      "packets of one flow leave as one train, also around a refused frame",
      .enabled(if: KernelFeatures.takesTrains, "SKIPPED: needs Linux 6.2"))
    func trains() throws {
      try withWire(.underlay(udpPort: 4789)) { wire in
        let inner = Self.frame(1, byteCount: 1000)
        func packet(_ source: String, _ inner: [UInt8]) -> [UInt8] {
          let isIPv4 = !source.contains(":")
          return VXLANPacket(
            sourceMAC: Self.guest(1), destinationMAC: MACAddress("ff:ff:ff:ff:ff:ff")!, source: IPAddress(source)!,
            destination: IPAddress(isIPv4 ? "224.0.0.9" : "ff02::9")!, udpChecksum: .correct, vni: 5001, inner: inner
          ).bytes
        }
        let short = Self.frame(1, byteCount: 200)
        var frames = (0..<5).map { _ in packet("192.0.2.1", inner) } + [packet("192.0.2.1", short)]
        frames += (0..<3).map { _ in packet("2001:db8::1", inner) } + [Self.frame(1, byteCount: 3000)]
        frames += (0..<2).map { _ in packet("2001:db8::1", inner) }
        let pool = try TestRuntime.shared().runtime.pool
        let refused = wire.send(frames.map { MemoryPort.buffer(of: $0, segments: $0.count > 2000 ? [1500] : [], pool: pool) }, joins: true)
        #expect(refused == [[9, EMSGSIZE]])
        let taken = wire.take()
        #expect(taken.map(\.segment) == [1008, 1008, 1008])
        #expect(taken.map(\.checksum) == [[34, 6], [54, 6], [54, 6]])
        #expect(taken.map(\.bytes.count) == [42 + 5 * 1008 + 208, 62 + 3 * 1008, 62 + 2 * 1008])
      }
    }
  }
}
