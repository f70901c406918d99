// What the self-test says of NICs that do what they claim, and of others; and what becomes of it.

import CDPDK
import Encap
import Synchronization
import Testing

@testable import VTEP

/// A NIC whose wire leads back to it, and which carries out requests, but for a fault.
private final class LoopedNIC: @unchecked Sendable {
  enum Fault: String, CaseIterable, Sendable {
    case none, constantIdentification, leavesChecksums, losesLastSegment, repeatsSequenceNumber, sendsFirstBufferOnly, saysRightAlways,
      saysNothing, isDeaf
  }

  let port: MemoryPort
  private let pool: OpaquePointer
  private let fault: Fault
  private let ends = Atomic<Bool>(false)

  init(_ port: MemoryPort, _ fault: Fault, pool: OpaquePointer) {
    (self.port, self.fault, self.pool) = (port, fault, pool)
  }

  func run<Result>(_ body: () -> Result) throws -> Result {
    port.drain()
    let thread = try BackgroundThread(name: "nic") { [self] in
      while !ends.load(ordering: .relaxed) { work() }
    }
    defer {
      ends.store(true, ordering: .relaxed)
      thread.join()
      port.drain()
    }
    return body()
  }

  private func work() {
    for raw in port.takeBuffers() {
      let mbuf = Mbuf(raw)
      if fault == .isDeaf {
        mbuf.free()
      } else if mbuf.hasRequest && fault != .leavesChecksums {
        carryOut(mbuf)
      } else {
        let octets = MemoryPort.bytes(of: raw)
        mbuf.free()
        receive(fault == .sendsFirstBufferOnly && octets.count > 500 ? Array(octets.prefix(61)) : octets)
      }
    }
  }

  private func carryOut(_ mbuf: Mbuf) {
    guard mbuf.wantsSegments else {
      guard let finished = mbuf.finishingChecksum(pool: pool) else { return }
      receive(MemoryPort.bytes(of: finished.raw))
      finished.free()
      return
    }
    let request = mbuf.request
    var segmenter = Segmenter(mbuf, pool: pool)
    var index = 0
    while !segmenter.isAtEnd, let segment = segmenter.next() {
      var octets = MemoryPort.bytes(of: segment.raw)
      segment.free()
      if segmenter.isAtEnd && fault == .losesLastSegment { break }
      if fault == .repeatsSequenceNumber { octets[request.transportOffset + 7] = 0 }
      if fault == .constantIdentification && !request.isIPv6 {
        let old = UInt16(octets[18]) << 8 | UInt16(octets[19])
        let checksum = UInt16(octets[24]) << 8 | UInt16(octets[25])
        octets.replaceSubrange(18..<20, with: [UInt8].big16(old &- UInt16(index)))
        octets.replaceSubrange(24..<26, with: [UInt8].big16(InternetChecksum.updated(checksum, replacing: old, with: old &- UInt16(index))))
      }
      index += 1
      receive(octets)
    }
    mbuf.free()
  }

  private func receive(_ octets: [UInt8]) {
    let raw = MemoryPort.buffer(of: octets, segments: octets.count > 2000 ? [1500] : [], pool: pool)
    let isRight = OuterPacket(parsing: Mbuf(raw).bytes, policy: DecapPolicy(udpPort: 4789)).outcome == .accepted
    if fault != .saysNothing && (isRight || fault == .saysRightAlways) { cdpdk_mbuf_set_checksum_right(raw) }
    port.put(raw)
  }
}

extension DataplaneTests {
  @Suite("Offloads of NICs")
  struct OffloadSelfTestTests {
    nonisolated(unsafe) private static let port = Result {
      try MemoryPort(name: "self-test", capacity: 1023, runtime: TestRuntime.shared().runtime)
    }

    private func failures(_ fault: LoopedNIC.Fault, _ offloads: Set<NICOffload>) throws -> [NICOffload: String]? {
      let pool = try TestRuntime.shared().runtime.pool
      let port = try Self.port.get()
      return try LoopedNIC(port, fault, pool: pool).run {
        var test = OffloadSelfTest(from: port.device, to: port.device, pool: pool, udpPort: 4789)
        return test.reaches() ? test.failures(of: offloads) : nil
      }
    }

    @Test("the frames are what their requests say", arguments: [(false, 0), (false, 400), (true, 0)])
    func frames(_ isUDP: Bool, _ segmentByteCount: Int) {
      for isIPv6 in [false, true] {
        let frame = SelfTestFrame(
          from: Topology.uplinkMAC, to: Topology.guest(1), isUDP: isUDP, isIPv6: isIPv6, ports: (50_000, 9),
          payload: [UInt8](repeating: 1, count: 900), segmentByteCount: segmentByteCount)
        let finding = frame.octets.withUnsafeBytes {
          OffloadRequest.check(
            frame: RawSpan(_unsafeBytes: $0), byteCount: $0.count, segmentByteCount: segmentByteCount == 0 ? nil : segmentByteCount)
        }
        #expect(finding == .sound(frame.request, byteCount: frame.request.headerByteCount + 900))
        #expect(frame.octets.count == frame.request.headerByteCount + 900)
      }
    }

    @Test("a NIC that does what it claims passes", arguments: [LoopedNIC.Fault.none, .constantIdentification])
    fileprivate func good(_ fault: LoopedNIC.Fault) throws {
      #expect(try failures(fault, Set(NICOffload.allCases)) == [:])
    }

    @Test(
      "what does not work is found, and nothing else",
      arguments: [
        (LoopedNIC.Fault.leavesChecksums, NICOffload.tcpChecksum, "octet 50 of a packet is wrong"),
        (.leavesChecksums, .udpChecksum, "octet 40 of a packet is wrong"),
        (.leavesChecksums, .segmentation, "1 of 8 packets come back"),
        (.losesLastSegment, .segmentation, "7 of 8 packets come back"),
        (.repeatsSequenceNumber, .segmentation, "octet 41 of a packet is wrong"),
        (.sendsFirstBufferOnly, .multiSegment, "a packet has 61 octets instead of 942"),
        (.saysRightAlways, .receivedChecksum, "a wrong checksum passes for right"),
        (.saysNothing, .receivedChecksum, "nothing is said about a right checksum"),
      ])
    fileprivate func faults(_ fault: LoopedNIC.Fault, _ offload: NICOffload, _ text: String) throws {
      #expect(try failures(fault, [offload]) == [offload: "over IPv4, \(text)"])
      let others = Set(NICOffload.allCases).subtracting([offload])
      if fault != .leavesChecksums { #expect(try failures(fault, others) == [:]) }
    }

    @Test("without a way back nothing is tested")
    func deaf() throws {
      #expect(try failures(.isDeaf, Set(NICOffload.allCases)) == nil)
    }

    // -- the decision -------------------------------------------------------------------------------------------------------

    private func decide(
      _ offered: Set<NICOffload>, _ mode: UnderlaySettings.OffloadMode = .auto, _ finding: NICOffloads.Finding
    ) -> [String: String] {
      let offloads = NICOffloads(offered: offered, driver: "net_x", mode: mode, finding: finding)
      #expect(offloads.features.contains(.cutsTCP) == offloads.uses(.segmentation))
      return Dictionary(uniqueKeysWithValues: offloads.states.map { ($0.key.rawValue, "\($0.value)") })
    }

    private let all = Set(NICOffload.allCases)

    @Test("what has passed is used, what has failed or is not offered is left to the workers")
    func decision() {
      let allUsed = Dictionary(uniqueKeysWithValues: NICOffload.allCases.map { ($0.rawValue, "used") })
      #expect(decide(all, .auto, .tested(failures: [:])) == allUsed)
      var some = allUsed
      some["rx-udp-checksum"] = "software: the self-test has failed: over IPv6, x"
      #expect(decide(all, .auto, .tested(failures: [.receivedChecksum: "over IPv6, x"])) == some)
      some["rx-udp-checksum"] = "software: net_x does not offer it"
      #expect(decide(all.subtracting([.receivedChecksum]), .auto, .tested(failures: [:])) == some)
    }

    @Test("large segments need checksums and several buffers", arguments: [NICOffload.tcpChecksum, .multiSegment])
    func dependency(_ offload: NICOffload) {
      let states = decide(all, .auto, .tested(failures: [offload: "x"]))
      #expect(states["tso"] == "software: it needs \(offload.rawValue)")
      #expect(states["tx-udp-checksum"] == "used")
    }

    @Test("what cannot be tested is not used, unless the operator trusts the driver")
    func untestable() {
      let finding = NICOffloads.Finding.untestable("no link")
      var states = decide(all, .auto, finding)
      #expect(states.removeValue(forKey: "multi-segment") == "used, untested")
      #expect(Set(states.values) == ["software: not tested: no link"])
      #expect(Set(decide(all, .trust, finding).values) == ["used, untested"])
      #expect(Set(decide([.tcpChecksum], .trust, finding).values) == ["used, untested", "software: net_x does not offer it"])
      #expect(Set(decide(all, .off, .tested(failures: [:])).values) == ["software: underlay.offloads is off"])
    }
  }
}
