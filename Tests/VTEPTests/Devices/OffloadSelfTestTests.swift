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
      saysNothing, knowsNoTunnel, isDeaf
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
    let request = mbuf.request
    // One that finds the headers by itself takes what is inside VXLAN for payload.
    if fault == .knowsNoTunnel && (request.isTunnelled || request.linkByteCount > 18) {
      let octets = MemoryPort.bytes(of: mbuf.raw)
      mbuf.free()
      return receive(octets)
    }
    let link = request.linkByteCount + (request.isTunnelled ? Int(cdpdk_mbuf_outer_l2(mbuf.raw) + cdpdk_mbuf_outer_l3(mbuf.raw)) : 0)
    let isCut = mbuf.wantsSegments
    let packets = mbuf.carriedOut(pool: pool)
    for (index, packet) in packets.enumerated() {
      var octets = packet
      if isCut && index == packets.count - 1 && fault == .losesLastSegment { break }
      if isCut && fault == .repeatsSequenceNumber { octets[link + request.networkByteCount + 7] = 0 }
      if isCut && fault == .constantIdentification && !request.isIPv6 {
        let old = UInt16(octets[link + 4]) << 8 | UInt16(octets[link + 5])
        let checksum = UInt16(octets[link + 10]) << 8 | UInt16(octets[link + 11])
        let new = old &- UInt16(index)
        octets.replaceSubrange(link + 4..<link + 6, with: [UInt8].big16(new))
        octets.replaceSubrange(link + 10..<link + 12, with: [UInt8].big16(InternetChecksum.updated(checksum, replacing: old, with: new)))
      }
      receive(octets)
    }
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

    private func failures(_ fault: LoopedNIC.Fault, _ offloads: Set<NICOffload>, namesTunnels: Bool = false) throws -> [NICOffload: String]?
    {
      let pool = try TestRuntime.shared().runtime.pool
      let port = try Self.port.get()
      var device = port.device
      device.namesTunnels = namesTunnels
      return try LoopedNIC(port, fault, pool: pool).run {
        var test = OffloadSelfTest(from: device, to: device, pool: pool, udpPort: 4789)
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

    @Test("a NIC that does what it claims passes", arguments: [LoopedNIC.Fault.none, .constantIdentification], [false, true])
    fileprivate func good(_ fault: LoopedNIC.Fault, _ namesTunnels: Bool) throws {
      #expect(try failures(fault, Set(NICOffload.allCases), namesTunnels: namesTunnels) == [:])
    }

    @Test(
      "what does not work is found, and nothing else",
      arguments: [
        (
          LoopedNIC.Fault.leavesChecksums,
          [
            NICOffload.tcpChecksum: "octet 50 of a packet is wrong", .udpChecksum: "octet 40 of a packet is wrong",
            .segmentation: "1 of 8 packets come back", .innerChecksum: "of TCP over IPv4 inside, octet 100 of a packet is wrong",
            .innerSegmentation: "of IPv4 inside, 1 of 7 packets come back",
          ]
        ),
        (.losesLastSegment, [.segmentation: "7 of 8 packets come back", .innerSegmentation: "of IPv4 inside, 6 of 7 packets come back"]),
        (
          .repeatsSequenceNumber,
          [.segmentation: "octet 41 of a packet is wrong", .innerSegmentation: "of IPv4 inside, octet 91 of a packet is wrong"]
        ),
        (
          .knowsNoTunnel,
          [
            .innerChecksum: "of TCP over IPv4 inside, octet 100 of a packet is wrong",
            .innerSegmentation: "of IPv4 inside, 1 of 7 packets come back",
          ]
        ),
        (.saysRightAlways, [.receivedChecksum: "a wrong checksum passes for right"]),
        (.saysNothing, [.receivedChecksum: "nothing is said about a right checksum"]),
      ] as [(LoopedNIC.Fault, [NICOffload: String])], [false, true])
    fileprivate func faults(_ fault: (LoopedNIC.Fault, [NICOffload: String]), _ namesTunnels: Bool) throws {
      let expected = fault.1.mapValues { "over IPv4, \($0)" }
      #expect(try failures(fault.0, Set(NICOffload.allCases), namesTunnels: namesTunnels) == expected)
    }

    @Test("a NIC that sends one buffer only")
    func oneBuffer() throws {
      #expect(try failures(.sendsFirstBufferOnly, [.multiSegment]) == [.multiSegment: "over IPv4, a packet has 61 octets instead of 942"])
    }

    @Test("without a way back nothing is tested")
    func deaf() throws {
      #expect(try failures(.isDeaf, Set(NICOffload.allCases)) == nil)
    }

    // -- the decision -------------------------------------------------------------------------------------------------------

    private func decide(
      _ offered: Set<NICOffload>, _ mode: UnderlaySettings.OffloadMode = .auto, _ finding: NICOffloads.Finding, namesTunnels: Bool = true
    ) -> [String: String] {
      let offloads = NICOffloads(offered: offered, namesTunnels: namesTunnels, driver: "net_x", mode: mode, finding: finding)
      #expect(offloads.features.contains(.cutsTCP) == offloads.uses(.segmentation))
      #expect(offloads.features.contains(.cutsInner) == offloads.uses(.innerSegmentation))
      #expect(offloads.features.contains(.completesInner) == offloads.uses(.innerChecksum))
      #expect(offloads.features.contains(.namesTunnels) == namesTunnels)
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
      #expect(states["vxlan-tso"] == states["tso"])
      #expect((states["vxlan-checksum"] == "used") == (offload == .multiSegment))
      #expect(states["tx-udp-checksum"] == "used")
    }

    @Test("what cannot be tested is not used, unless the operator trusts the driver")
    func untestable() {
      let finding = NICOffloads.Finding.untestable("no link")
      let doubt = "software: net_x does not offer it"
      var states = decide(all, .auto, finding)
      #expect(states.removeValue(forKey: "multi-segment") == "used, untested")
      #expect(Set(states.values) == ["software: not tested: no link"])
      #expect(Set(decide(all, .trust, finding).values) == ["used, untested"])
      #expect(Set(decide([.tcpChecksum], .trust, finding).values) == ["used, untested", "software: net_x does not offer it"])
      // What no driver offers is not trusted, either.
      let trusted = decide(all, .trust, finding, namesTunnels: false)
      #expect(trusted.filter { $0.value != "used, untested" } == ["vxlan-checksum": doubt, "vxlan-tso": doubt])
      #expect(decide(all, .auto, .tested(failures: [:]), namesTunnels: false)["vxlan-tso"] == "used")
      #expect(Set(decide(all, .off, .tested(failures: [:])).values) == ["software: underlay.offloads is off"])
    }
  }
}
