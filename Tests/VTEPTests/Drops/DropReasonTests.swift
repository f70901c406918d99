// Every drop reason has a frame that is dropped for it: trace names it, one counter moves by one, and the frame is kept.

import CDPDK
import Encap
import FoundationEssentials
import MACTable
import Synchronization
import Testing

@testable import VTEP

extension DataplaneTests {
  @Suite("Drop reasons")
  struct DropReasonTests {
    /// Reasons that only a real kernel gives, and the integration test that sees to each.
    static let ofKernels: [DropReason: (file: String, test: String)] = [
      .refusedByKernel: ("operations/test_dropped_frames.py", "test_refused_by_the_kernel"),
      .puntNotControl: ("operations/test_dropped_frames.py", "test_general_traffic_on_a_punt_tap"),
    ]
    /// Reasons that have a test of their own below, or in BFDServiceTests.
    static let ofSlowPath: Set<DropReason> = [.puntTapDown, .bfdInvalid, .bfdTunnelKey]

    @Test("there is a case, or a test, for each", arguments: DropReason.allCases)
    func isCovered(_ reason: DropReason) throws {
      let count = DropCase.all.count { $0.reason == reason }
      if let kernel = Self.ofKernels[reason] {
        #expect(count == 0 && !Self.ofSlowPath.contains(reason))
        let file = #filePath.replacing("Tests/VTEPTests/Drops/DropReasonTests.swift", with: "Integration/\(kernel.file)")
        let text = try String(contentsOfFile: file, encoding: .utf8)
        #expect(text.contains("\ndef \(kernel.test)(") && text.contains("\"\(reason.name)\""))
      } else {
        #expect(count == (Self.ofSlowPath.contains(reason) ? 0 : 1), "\(reason.name) needs a DropCase")
      }
    }

    @Test("exactly one counter moves by one, and the frame is kept", arguments: DropCase.all)
    func isCountedAndKept(_ drop: DropCase) throws {
      try DataplaneFixture.run(drop.family, drop.attachment) { plane in
        defer { drop.clear(plane) }
        try drop.begin(plane)
        let kept = plane.test.counters[0].droppedFrames
        let before = kept.frames(drop.reason).last?.number
        let arrival = drop.drop(plane)
        #expect(plane.deltas.drops == [drop.counted: [drop.reason: 1]])
        let frame = try #require(kept.frames(drop.reason).last)
        #expect(frame.number == (before.map { $0 + 1 } ?? 0))
        #expect(frame.port == drop.counted.rawValue)
        #expect(frame.octets.count == min(frame.byteCount, DroppedFrames.octetCount) && frame.byteCount <= arrival.bytes.count)
        // Whole, without its tag, or from the inside of a packet: the end of what is kept is somewhere in it.
        #expect(arrival.bytes.hex.contains(Array(frame.octets.suffix(16)).hex))
      }
    }

    @Test("trace names it first, or does not and the reference says why", arguments: DropCase.all)
    func isTraced(_ drop: DropCase) throws {
      try DataplaneFixture.run(drop.family, drop.attachment) { plane in
        defer { drop.clear(plane) }
        try drop.begin(plane)
        let run = try drop.dryRun(plane)
        let report = try RunningState(plane).report(on: run)
        let result = try #require(report.stages.last)
        guard drop.reason.untraceable == nil else {
          #expect(run.drops.isEmpty && report.outcome != .dropped, "trace says more than the reference: \(report.summary)")
          return
        }
        #expect(run.drops == [DryRun.Drop(port: drop.counted.rawValue, reason: drop.reason, count: 1)])
        #expect(report.drops.map(\.reason) == [drop.reason] && report.drops.map(\.place) == ["\(drop.counted)"])
        #expect(
          result.name == .result && result.text.contains("dropped: \(drop.reason.name), counted at \(drop.counted)"), "\(result.text)")
        #expect(report.outcome == .dropped, "\(report.stages.map(\.text)), sent: \(run.sent.map { ($0.port, $0.octets.hex) })")
        // What trace has said is what happens, and nothing of it has happened yet.
        #expect(plane.deltas.drops.isEmpty)
        _ = drop.drop(plane)
        #expect(plane.deltas.drops == [drop.counted: [drop.reason: 1]])
      }
    }

    @Test("reasons that only a real kernel gives, or the slow path, are not traced", arguments: DropReason.allCases)
    func untraced(_ reason: DropReason) {
      if Self.ofKernels[reason] != nil || Self.ofSlowPath.contains(reason) { #expect(reason.untraceable != nil) }
    }

    @Test("the frame's VNI and VTEP are kept, and counted, where they are known")
    func places() throws {
      let known: [DropReason: (vni: UInt32, vtep: VTEPIndex?)] = [
        .samePort: (5001, nil), .sourceSpoofed: (5001, nil), .tooBigForUnderlay: (5001, Topology.near), .noRoute: (5001, Topology.near),
        .portDown: (5001, nil), .guestRingFull: (5001, nil), .floodNoReceiver: (5001, nil), .egressRateLimit: (5001, nil),
        .unknownVNI: (4242, Topology.near), .innerSourceZero: (5001, Topology.near), .splitHorizon: (5001, Topology.near),
        .ecnForbidden: (5001, Topology.near), .innerVLAN: (5001, Topology.near), .peerNotAllowed: (5001, Topology.near),
        .innerLinkLocalControl: (5001, Topology.near), .innerSourceOwn: (5001, Topology.near),
      ]
      for drop in DropCase.all {
        guard let (vni, vtep) = known[drop.reason] else { continue }
        try DataplaneFixture.run(drop.family, drop.attachment) { plane in
          defer { drop.clear(plane) }
          try drop.begin(plane)
          let counters = plane.test.counters[0]
          let domains = counters.drop(domain: Topology.domain, drop.reason)
          let vteps = counters.drop(vtep: Topology.near, drop.reason)
          let before = (domains.pointee.value, vteps.pointee.value)
          _ = drop.drop(plane)
          let frame = try #require(counters.droppedFrames.frames(drop.reason).last)
          #expect(frame.vni?.rawValue == vni, "\(drop.reason.name)")
          #expect(frame.vtep == vtep.map { Topology.vtepAddress($0, drop.family) }, "\(drop.reason.name)")
          #expect(domains.pointee.value == before.0 + (vni == 5001 ? 1 : 0), "\(drop.reason.name)")
          #expect(vteps.pointee.value == before.1 + (vtep == nil ? 0 : 1), "\(drop.reason.name)")
        }
      }
    }

    @Test("the frame of a VLAN that is not bound has no VNI", arguments: Attachment.allCases)
    func unbound(_ attachment: Attachment) throws {
      try DataplaneFixture.run(.ipv4, attachment) { plane in
        plane.sendRaw(DropCase.good.tagged(77), at: .vm1)
        plane.expect(drops: [.vm1: [.vlanNotBound: 1]])
        #expect(plane.test.counters[0].droppedFrames.frames(.vlanNotBound).last?.vni == nil)
      }
    }

    @Test("of a flood, the last frames that were looked at are kept, and all are counted")
    func flood() throws {
      try DataplaneFixture.run { plane in
        let kept = plane.test.counters[0].droppedFrames
        func send(_ range: Range<UInt16>) {
          for number in range {
            plane.send(.udp(from: .zero, to: DropCase.two, FlowFields(sourcePort: number)), from: .vm1)
          }
          plane.expect(drops: [.vm1: [.sourceZero: range.count]])
        }
        func ports() -> [UInt16] { kept.frames(.sourceZero).map { $0.octets.big16(at: 34) } }
        plane.worker.nowCycles = 1000
        send(0..<60)
        plane.pass(milliseconds: 2)
        // The millisecond of the first 60 is over, which is found out with the next that are too many.
        send(100..<200)
        #expect(ports().count == DroppedFrames.capacity)
        #expect(ports().last == 167)
        plane.pass(milliseconds: 2)
        send(300..<310)
        #expect(ports().suffix(11) == [167] + Array(300..<310))
      }
    }

    /// As `WorkerLoop` and reports do it: a frame is never one half of one and one half of another.
    @Test("a reader never sees a frame that is being replaced")
    func torn() async throws {
      let test = try TestRuntime.shared()
      let frames = DroppedFrames()
      let mbufs = (0..<4).map { Mbuf(MemoryPort.buffer(of: [UInt8](repeating: UInt8($0), count: 100 + $0), pool: test.runtime.pool)) }
      defer { mbufs.forEach { $0.free() } }
      nonisolated(unsafe) let source = mbufs
      let isDone = Flag()
      async let _: Void = Task.detached {
        for round in 0..<400_000 {
          frames.keep(
            source[round % 4], .runtFrame, port: PortIndex(round % 4), vni: UInt32(round % 4), vtep: IPAddress(ipv4: UInt32(1 + round % 4)),
            now: UInt64(round % 4))
        }
        isDone.value.store(true, ordering: .releasing)
      }.value
      var seen = 0
      while !isDone.value.load(ordering: .acquiring) {
        for frame in frames.frames(.runtFrame) {
          let mark = UInt8(frame.cycles)
          seen += 1
          #expect(frame.octets == [UInt8](repeating: mark, count: 100 + Int(mark)))
          #expect(frame.port == PortIndex(mark) && frame.vni?.rawValue == UInt32(mark) && frame.vtep == IPAddress(ipv4: UInt32(mark) + 1))
        }
      }
      #expect(seen > 0)
    }

    private final class Flag: Sendable {
      let value = Atomic(false)
    }

    @Test("a punt tap that is down, or gone")
    func puntTapDown() throws {
      try DataplaneFixture.run { plane in
        let test = plane.test
        let slowPath = try SlowPath(
          shared: test.shared, reader: UInt32(TestRuntime.workers + 1), pool: test.runtime.pool, punts: test.punts,
          injections: test.injections, mailbox: Mailbox(), wakeWorker: {})
        plane.set(.puntsControl, .vm1)
        let captures = Captures(shared: test.shared, threads: TestRuntime.workers + 2)
        let settings = CaptureSettings(filter: try PacketFilter("ether dst 01:80:c2:00:00:0e"), vni: Topology.vni, onlyDrops: true)
        let capture = try Capture(settings, port: .absent, captures)
        defer { capture.stop() }
        let frame = Frame.udp(from: DropCase.one, to: MACAddress(bits: 0x0180_c200_000e))
        plane.send(frame, from: .vm1)
        plane.expect()
        slowPath.takePunts()
        #expect(slowPath.counters.drop(port: Place.vm1.rawValue, .puntTapDown).pointee.value == 1)
        let kept = try #require(slowPath.counters.droppedFrames.frames(.puntTapDown).first)
        #expect(kept.octets == frame && kept.port == Place.vm1.rawValue && kept.vni == Topology.vni)
        let names = CaptureNames(ports: [Place.vm1.rawValue: "vm1"])
        let captured = capture.take(limit: 9, byteLimit: 9999, names: names)
        #expect(captured.map(\.octets) == [frame] && captured.map(\.reason) == [.puntTapDown] && captured.map(\.port) == ["vm1"])
      }
    }
  }
}
