// The outer header: every field against an independently built packet, and the rules behind the fields.
import Encap
import Testing

@Suite struct OuterHeaderTests {
  private func header(
    from source: String = "192.0.2.1", to destination: String = "192.0.2.2", ttl: UInt8 = 64, dscp: UInt8 = 0,
    checksum: Bool = false
  ) -> OuterHeader {
    OuterHeader(
      source: ip(source), destination: ip(destination), sourceMAC: mac("02:00:00:00:00:0a"),
      destinationMAC: mac("02:00:00:00:00:0b"), udpPort: 4789, ttl: ttl, dscp: dscp, computesUDPChecksum: checksum)
  }

  @Test(arguments: goldenHeaders)
  func everyFieldMatchesAnIndependentLibrary(_ golden: GoldenHeader) {
    let header = OuterHeader(
      source: ip(golden.source), destination: ip(golden.destination), sourceMAC: mac("02:00:00:00:00:0a"),
      destinationMAC: mac(golden.destinationMAC), udpPort: golden.udpPort, ttl: golden.ttl, dscp: golden.dscp,
      computesUDPChecksum: golden.hasChecksum)
    #expect(header.byteCount == golden.headerByteCount && header.computesUDPChecksum == golden.hasChecksum)
    let inner = Array(golden.packet[golden.headerByteCount...])
    let parsed = InnerFlow(frame: inner.span.bytes)
    #expect(parsed.trafficClass == golden.innerTrafficClass && parsed.hopLimit == golden.innerHopLimit)
    let flow = InnerFlow(hash: golden.hash, trafficClass: parsed.trafficClass, hopLimit: parsed.hopLimit)
    let written = encapsulate(inner, with: header, vni: golden.vni, flow: flow)
    #expect(written[..<header.byteCount] == golden.packet[..<header.byteCount])
  }

  /// Setting a DSCP afterwards gives the same header as setting it from the start; ECN and checksums are correct.
  @Test func priorityReplacesTheDSCP() {
    let inner = [UInt8](repeating: 0x5a, count: 64)
    for (from, to) in [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")] {
      for dscp in 0..<UInt8(64) {
        // CE in the inner packet; the previous DSCP, inherited or fixed, does not matter.
        let flow = InnerFlow(hash: 0x1234_5678, trafficClass: 0x03, hopLimit: 9)
        let wanted = encapsulate(inner, with: header(from: from, to: to, dscp: dscp), vni: 5001, flow: flow)
        let old = header(from: from, to: to, dscp: dscp ^ 0x2a)
        var bytes = encapsulate(inner, with: old, vni: 5001, flow: flow)
        bytes.withUnsafeMutableBytes {
          var span = MutableRawSpan(_unsafeStart: $0.baseAddress!, byteCount: old.byteCount)
          old.setDSCP(dscp, in: &span)
        }
        #expect(bytes == wanted)
      }
    }
  }

  /// The writer of everyday headers against one octet by octet, and it writes nothing else.
  @Test func plainHeaders() {
    var generator = SeededGenerator(state: 5)
    for round in 0..<2000 {
      let addresses = (0..<2).map { _ in UInt32.random(in: 0x0100_0000...0xdfff_ffff, using: &generator) }
      let macs = (0..<2).map { _ in MACAddress(bits: generator.next()) }
      let dscp = round % 3 == 0 ? OuterHeader.inheritedDSCP : UInt8.random(in: 0...63, using: &generator)
      let (port, ttl) = (UInt16.random(in: 1...65_535, using: &generator), UInt8.random(in: 1...255, using: &generator))
      let header = OuterHeader(
        source: IPAddress(ipv4: addresses[0]), destination: IPAddress(ipv4: addresses[1]), sourceMAC: macs[0], destinationMAC: macs[1],
        udpPort: port, ttl: ttl, dscp: dscp, computesUDPChecksum: false)
      let flow = InnerFlow(
        hash: UInt32(truncatingIfNeeded: generator.next()), trafficClass: .random(in: 0...255, using: &generator), hopLimit: 9)
      let count = Int.random(in: 14...OuterHeader.largestPlainPacket - 36, using: &generator)
      let vni = UInt32.random(in: 0...0xff_ffff, using: &generator)

      func big(_ value: UInt64, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * (count - 1 - $0))) }
      }
      let tos = dscp == OuterHeader.inheritedDSCP ? flow.trafficClass : dscp << 2 | flow.trafficClass & 3
      var ip = [0x45, tos] + big(UInt64(count + 36), 2) + [0, 0, 0x40, 0, ttl, 17, 0, 0]
      ip += big(UInt64(addresses[0]), 4) + big(UInt64(addresses[1]), 4)
      var sum = stride(from: 0, to: 20, by: 2).reduce(0) { $0 + Int(ip[$1]) << 8 + Int(ip[$1 + 1]) }
      while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
      ip.replaceSubrange(10..<12, with: big(UInt64(0xffff - sum), 2))
      let sourcePort = 0xc000 | (flow.hash >> 16 & 0xff) << 8 | flow.hash >> 24
      let udp = big(UInt64(sourcePort), 2) + big(UInt64(port), 2) + big(UInt64(count + 16), 2) + [0, 0]
      let expected =
        big(macs[1].bits, 6) + big(macs[0].bits, 6) + [8, 0] + ip + udp + [8, 0, 0, 0] + big(UInt64(vni) << 8, 4)

      var written = [UInt8](repeating: 0xa5, count: 52)
      written.withUnsafeMutableBytes {
        header.writePlain(
          at: $0.baseAddress! + 1, ipByteCount: UInt16(count + 36), trafficClass: flow.trafficClass, hash: flow.hash,
          vxlan: OuterHeader.vxlanHeader(VNI(truncating: vni)))
      }
      #expect(header.isPlain && written == [0xa5] + expected + [0xa5])
      if round % 50 == 0 {
        let inner = [UInt8](repeating: 0x5a, count: count)
        #expect(Array(encapsulate(inner, with: header, vni: vni, flow: flow)[..<50]) == expected)
      }
    }
  }

  @Test func plainDataAndSmall() {
    #expect(_isPOD(OuterHeader.self) && MemoryLayout<OuterHeader>.stride <= 96)
    #expect(OuterHeader.ipv4ByteCount == 50 && OuterHeader.ipv6ByteCount == 70)
  }

  @Test func sourcePortsStayInTheDynamicRange() {
    #expect(InnerFlow(hash: 0, trafficClass: 0, hopLimit: 0).sourcePort == 49152)
    #expect(InnerFlow(hash: .max, trafficClass: 0, hopLimit: 0).sourcePort == 65535)
  }

  @Test func flowLabelIsNeverZero() {
    #expect(InnerFlow(hash: 0xfff0_0000, trafficClass: 0, hopLimit: 0).flowLabel == 1)
    #expect(InnerFlow(hash: 0xffff_ffff, trafficClass: 0, hopLimit: 0).flowLabel == 0xf_ffff)
  }

  /// Outer ECN is the inner one, DSCP fixed or inherited (RFC 6040 section 4.1).
  @Test(arguments: [UInt8(0), 46, 63, OuterHeader.inheritedDSCP], ["192.0.2", "2001:db8:"])
  func trafficClass(_ dscp: UInt8, _ network: String) {
    let separator = network.contains(":") ? ":" : "."
    let header = header(from: network + separator + "1", to: network + separator + "2", dscp: dscp)
    for inner in UInt8.min...UInt8.max {
      let flow = InnerFlow(hash: 0x9999_9999, trafficClass: inner, hopLimit: 9)
      let packet = encapsulate([UInt8](repeating: 0, count: 14), with: header, vni: 1, flow: flow)
      let expected = dscp == OuterHeader.inheritedDSCP ? inner : dscp << 2 | inner & 3
      let parsed = OuterPacket(
        parsing: packet.span.bytes, policy: DecapPolicy(udpPort: 4789, acceptsZeroUDP6Checksum: true))
      #expect(parsed.outcome == .accepted && parsed.trafficClass == expected)
    }
  }

  @Test(arguments: ["192.0.2.1", "2001:db8::1"])
  func ttl(_ source: String) {
    let destination = source.contains(":") ? "2001:db8::2" : "192.0.2.2"
    let position = source.contains(":") ? 21 : 22
    for (fixed, inner, expected) in [(64, 1, 64), (1, 255, 1), (0, 17, 17), (0, 255, 255), (0, 0, 64), (255, 0, 255)] {
      let flow = InnerFlow(hash: 1, trafficClass: 0, hopLimit: UInt8(inner))
      let packet = encapsulate(
        [UInt8](repeating: 0, count: 14), with: header(from: source, to: destination, ttl: UInt8(fixed)), vni: 1,
        flow: flow)
      #expect(packet[position] == UInt8(expected))
    }
  }

  @Test func headerChecksumIsRightForEveryLength() {
    let header = header(to: "255.255.255.254", ttl: 0, dscp: OuterHeader.inheritedDSCP)
    for count in stride(from: 14, to: 9_100, by: 13) {
      let flow = InnerFlow(
        hash: UInt32(count) &* 0x9e37_79b9, trafficClass: UInt8(count & 0xff), hopLimit: UInt8(count >> 5 & 0xff))
      let packet = encapsulate([UInt8](repeating: 1, count: count), with: header, vni: 1, flow: flow)
      #expect(referenceSum(Array(packet[14..<34])) == 0xffff)
      #expect(packet.big16(16) == UInt16(count + 36) && packet.big16(38) == UInt16(count + 16))
    }
  }

  @Test(arguments: ["192.0.2.1", "2001:db8::1"])
  func computedChecksumIsRightAndNeverZero(_ source: String) {
    let isIPv6 = source.contains(":")
    let header = header(from: source, to: isIPv6 ? "2001:db8::2" : "192.0.2.2", checksum: true)
    let field = isIPv6 ? 60 : 40
    var allOnes = 0
    // Over all values of one payload word, the sum passes through the value whose complement is zero.
    for word in UInt16.min...UInt16.max {
      let inner = [UInt8](repeating: 0, count: 14) + [UInt8(word >> 8), UInt8(word & 0xff), 7]
      let packet = encapsulate(
        inner, with: header, vni: 0x12_3456, flow: InnerFlow(hash: 0x7777_7777, trafficClass: 0, hopLimit: 0))
      if packet.big16(field) == 0xffff { allOnes += 1 }
      if packet.big16(field) == 0 || OuterPacket(parsing: packet.span.bytes, policy: DecapPolicy()).outcome != .accepted {
        Issue.record("payload word \(word): checksum field \(packet.big16(field))")
        break
      }
    }
    #expect(allOnes >= 1)
  }
}
