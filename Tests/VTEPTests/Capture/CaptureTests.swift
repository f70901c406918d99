// Captures: what workers copy for them, and what happens when nobody takes it.

import CDPDK
import Encap
import MACTable
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("Captures")
  struct CaptureTests {
    private let guest = Topology.guest
    private static let names = CaptureNames(ports: Dictionary(uniqueKeysWithValues: Place.allCases.map { ($0.rawValue, "\($0)") }))

    private func capture(_ plane: DataplaneFixture, _ filter: String = "", port: Place? = nil) throws -> Capture {
      let captures = Captures(shared: plane.test.shared, threads: TestRuntime.workers)
      return try Capture(CaptureSettings(filter: try PacketFilter(filter)), port: port?.rawValue ?? .absent, captures)
    }

    private func take(_ capture: Capture) -> [CapturedFrame] {
      capture.take(limit: .max, byteLimit: .max, names: Self.names)
    }

    private func words(_ frame: CapturedFrame) -> String {
      let (vni, vtep) = (frame.vni.map { "\($0)" }, frame.vtep.map { "\($0)" })
      return ["\(frame.direction)", frame.port ?? "-", vni ?? "-", vtep ?? "-", frame.reason?.name ?? "-"].joined(separator: " ")
    }

    @Test("frames before and after encapsulation, in both directions, and dropped ones", arguments: Family.allCases, Attachment.allCases)
    func everything(_ family: Family, _ attachment: Attachment) throws {
      try DataplaneFixture.run(family, attachment) { plane in
        let capture = try capture(plane)
        let near = Topology.vtepAddress(Topology.near, family)
        let out = Frame.udp(from: guest(1), to: guest(21))
        plane.send(out, from: .vm1)
        plane.run()
        let sent = plane.take(.uplink)
        var frames = take(capture)
        #expect(frames.map(words) == ["fromPort vm1 5001 - -", "toUnderlay uplink 5001 \(near) -"])
        #expect(frames.map(\.octets) == [plane.onWire(out), sent[0]] && frames.allSatisfy { $0.byteCount == $0.octets.count })
        #expect(frames[0].nanoseconds <= frames[1].nanoseconds)

        let packet = plane.packet(carrying: .udp(from: guest(21), to: guest(2)))
        plane.send(packet)
        plane.run()
        let delivered = plane.take(.vm2)
        frames = take(capture)
        #expect(frames.map(words) == ["fromUnderlay uplink 5001 \(near) -", "toPort vm2 5001 - -"])
        #expect(frames.map(\.octets) == [packet.bytes, delivered[0]])

        plane.send(.udp(from: .zero, to: guest(2)), from: .vm1)
        plane.send(plane.packet(carrying: .udp(from: guest(21), to: guest(22))))
        plane.expect(drops: [.vm1: [.sourceZero: 1], .uplink: [.splitHorizon: 1]])
        #expect(
          Set(take(capture).map(words)) == [
            "fromPort vm1 5001 - -", "dropped vm1 5001 - source-zero", "fromUnderlay uplink 5001 \(near) -",
            "dropped uplink 5001 \(near) split-horizon",
          ])
        // After the end, nothing; and nothing is left behind.
        capture.stop()
        plane.send(out, from: .vm1)
        plane.run()
        _ = plane.take(.uplink)
        #expect(take(capture).isEmpty && capture.missedCount == 0 && plane.test.shared.pointee.captures.load(ordering: .relaxed) == 0)
        plane.expect()
      }
    }

    @Test("only what was asked for")
    func filters() throws {
      try DataplaneFixture.run { plane in
        let captures = Captures(shared: plane.test.shared, threads: TestRuntime.workers)
        func start(
          _ filter: String, port: Place? = nil, vni: UInt32? = nil, onlyDrops: Bool = false, snapLength: Int = 2000
        ) throws -> Capture {
          let settings = CaptureSettings(
            filter: try PacketFilter(filter), vni: vni.map(VNI.init(truncating:)), onlyDrops: onlyDrops, snapLength: snapLength)
          return try Capture(settings, port: port?.rawValue ?? .absent, captures)
        }
        let all = [
          // The frame, and the frame inside.
          (try start("udp dst port 5000"), 4), (try start("udp dst port 4789"), 4), (try start("ether src 02:00:00:00:00:15"), 2),
          (try start("arp"), 3), (try start("", port: .vm1), 3), (try start("udp", port: .vm1), 2), (try start("", vni: 4242), 2),
          (try start("", onlyDrops: true, snapLength: 20), 1),
        ]
        #expect(throws: VTEPError.self) { try start("") }
        plane.send(.udp(from: guest(1), to: guest(21)), from: .vm1)
        plane.send(plane.packet(carrying: .udp(from: guest(21), to: guest(1))))
        var unknown = plane.packet(carrying: [UInt8](repeating: 2, count: 60))
        unknown.vni = 4242
        plane.send(unknown)
        plane.changeDomain { $0.flood = [] }
        plane.send(.arpRequest(from: guest(1), target: 9), from: .vm1)
        plane.run()
        for place in [Place.uplink, .vm1, .vm2, .vm3] { _ = plane.take(place) }
        let found = all.map { take($0.0) }
        // ARP comes in once and leaves by two ports.
        #expect(found.map(\.count) == all.map(\.1))
        #expect(found[7].first?.octets.count == 20 && found[7].first?.byteCount ?? 0 > 60 && found[7].first?.reason == .unknownVNI)
        plane.expect(drops: [.uplink: [.unknownVNI: 1]])
      }
    }

    @Test("what nobody takes in time is missed and counted; forwarding goes on")
    func slowReader() throws {
      try DataplaneFixture.run { plane in
        let capture = try capture(plane, "udp", port: .vm1)
        let frame = Frame.udp(from: guest(1), to: guest(2), byteCount: 1500)
        var count = 0
        while capture.missedCount < 100 {
          for _ in 0..<32 { plane.send(frame, from: .vm1) }
          plane.run()
          count += 32
          #expect(plane.take(.vm2).count == 32)
          try #require(count < 10_000)
        }
        let waiting = take(capture)
        #expect(waiting.count + Int(capture.missedCount) == count && waiting.allSatisfy { $0.octets == frame })
        // There is room again.
        plane.send(frame, from: .vm1)
        plane.expect(local: [.vm2: [frame]])
        #expect(take(capture).map(\.octets) == [frame])
      }
    }

    @Test("frames of all sizes and buffers come out of the ring as they went in, however often it wraps")
    func ring() throws {
      let test = try TestRuntime.shared()
      guard let ring = CaptureRing() else {
        Issue.record("no memory")
        return
      }
      var expected: [[UInt8]] = []
      for round in 0..<12_000 {
        let bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: round), count: Int.random(in: 1...1900))
        let mbuf = Mbuf(MemoryPort.buffer(of: bytes, segments: round % 3 == 0 ? [1, 700] : [], pool: test.runtime.pool))
        var record = CaptureRecord()
        record.byteCount = UInt32(bytes.count)
        record.capturedCount = UInt32(bytes.count)
        record.cycles = UInt64(round)
        ring.put(record, mbuf)
        mbuf.free()
        expected.append(bytes)
        while expected.count > 900 {
          let waiting = ring.take()
          let taken = try #require(waiting)
          let first = expected.removeFirst()
          try #require(taken.octets == first && Int(taken.record.byteCount) == first.count)
        }
      }
      #expect(ring.missed.value == 0)
    }

    @Test("libpcap says what is wrong with a filter")
    func badFilter() {
      #expect { try PacketFilter("udp port") } throws: { "\($0)".contains("syntax error") }
      #expect { try PacketFilter("host no.such.name.invalid") } throws: { "\($0)".contains("no.such.name.invalid") }
    }
  }
}
