// ICMP errors of routers about VXLAN packets, as raw sockets deliver them; made by an independent packet library.
import Encap
import Testing

@Suite struct PathMTUReportTests {
  private let buffer = GuardedBuffer()

  /// From 198.51.100.1 about 1,500 octets from 192.0.2.1:50000 to 192.0.2.2:4789: 1400.
  private static let ipv4 = bytes(
    """
    450000380001000040018e8ec6336401c000020103041bb600000578450005dc000040003f11b20dc0000201c0000202c35012b505c80000
    """)
  /// From ICMPv6 header on; the same about 2001:db8::1 and ::2.
  private static let ipv6 = bytes(
    """
    0200dc44000005786000000005b4114020010db800000000000000000000000120010db8000000000000000000000002c35012b505b41234
    """)
  private static let router6 = IPAddress(high: 0x2001_0db8_0005_0000, low: 1)

  private func read(ipv4 packet: [UInt8], repaired: Bool = true) -> PathMTUReport? {
    var packet = packet
    if repaired, packet.count >= 28 {
      packet.setBig16(0, at: 22)
      packet.setBig16(~referenceSum(Array(packet[20...])), at: 22)
    }
    return PathMTUReport(ipv4: UnsafeRawBufferPointer(buffer.load(packet)).bytes)
  }

  private func read(icmpv6 message: [UInt8]) -> PathMTUReport? {
    PathMTUReport(icmpv6: UnsafeRawBufferPointer(buffer.load(message)).bytes, from: Self.router6)
  }

  @Test func sound() throws {
    let report = try #require(read(ipv4: Self.ipv4, repaired: false))
    #expect(report.reporter == IPAddress(ipv4: 0xc633_6401) && report.mtu == 1400 && report.packetByteCount == 1500)
    #expect(report.source == IPAddress(ipv4: 0xc000_0201) && report.destination == IPAddress(ipv4: 0xc000_0202))
    #expect(report.sourcePort == 50_000 && report.destinationPort == 4789)
    let report6 = try #require(read(icmpv6: Self.ipv6))
    #expect(report6.reporter == Self.router6 && report6.mtu == 1400 && report6.packetByteCount == 1500)
    #expect(report6.source == IPAddress(high: 0x2001_0db8_0000_0000, low: 1))
    #expect(report6.destination == IPAddress(high: 0x2001_0db8_0000_0000, low: 2))
    #expect(report6.sourcePort == 50_000 && report6.destinationPort == 4789)
  }

  @Test func ours() throws {
    let report = try #require(read(ipv4: Self.ipv4))
    #expect(report.quotesVXLAN(from: [Self.router6, IPAddress(ipv4: 0xc000_0201)], udpPort: 4789))
    #expect(!report.quotesVXLAN(from: [IPAddress(ipv4: 0xc000_0202)], udpPort: 4789))
    #expect(!report.quotesVXLAN(from: [IPAddress(ipv4: 0xc000_0201)], udpPort: 4790))
    var changed = report
    changed.sourcePort = 49_151
    #expect(!changed.quotesVXLAN(from: [IPAddress(ipv4: 0xc000_0201)], udpPort: 4789))
    changed.sourcePort = InnerFlow(hash: 0, trafficClass: 0, hopLimit: 0).sourcePort
    #expect(changed.quotesVXLAN(from: [IPAddress(ipv4: 0xc000_0201)], udpPort: 4789))
  }

  @Test func bounds() {
    func reported(_ mtu: UInt16) -> Int? {
      var packet = Self.ipv4
      packet.setBig16(mtu, at: 26)
      return read(ipv4: packet)?.mtu
    }
    #expect([1499, 553, 552, 551, 68, 1].map(reported) == [1499, 553, 552, 552, 552, 552])
    // No smaller than the packet: it was not too big.
    #expect([1500, 1501, 65_535].map(reported) == [nil, nil, nil])
    // Routers that do not know RFC 1191.
    #expect(reported(0) == 1492)
    var jumbo = Self.ipv4
    jumbo.setBig16(0, at: 26)
    for (size, mtu) in [(9000, 8166), (65_535, 32_000), (1492, 1006), (1006, 552), (600, 552)] {
      jumbo.setBig16(UInt16(size), at: 30)
      #expect(read(ipv4: jumbo)?.mtu == mtu)
    }
    jumbo.setBig16(552, at: 30)
    #expect(read(ipv4: jumbo) == nil)

    func reported6(_ mtu: UInt16) -> Int? {
      var message = Self.ipv6
      message.setBig16(mtu, at: 6)
      return read(icmpv6: message)?.mtu
    }
    #expect([1499, 1280, 1279, 0, 1500].map(reported6) == [1499, 1280, nil, nil, nil])
  }

  @Test func otherMessages() {
    // Version, ICMP type, code, quoted version, protocol, fragment offset.
    for (offset, octet) in [(0, 0x65), (0, 0x44), (9, 17), (20, 11), (21, 1), (28, 0x65), (28, 0x44), (37, 6), (35, 1)] {
      var packet = Self.ipv4
      packet[offset] = UInt8(octet)
      #expect(read(ipv4: packet) == nil, "\(octet) at \(offset)")
    }
    for (offset, octet) in [(0, 1), (1, 1), (8, 0x45), (14, 6)] {
      var message = Self.ipv6
      message[offset] = UInt8(octet)
      #expect(read(icmpv6: message) == nil, "\(octet) at \(offset)")
    }
    var wrong = Self.ipv4
    wrong[40] ^= 1
    #expect(read(ipv4: wrong, repaired: false) == nil)
    for count in 0..<Self.ipv4.count { #expect(read(ipv4: Array(Self.ipv4[..<count])) == nil) }
    for count in 0..<Self.ipv6.count { #expect(read(icmpv6: Array(Self.ipv6[..<count])) == nil) }
    #expect(read(ipv4: Self.ipv4 + [1, 2, 3])?.mtu == 1400)
  }
}
