import Testing

// Decapsulation: what is accepted, what is not for us, and the drop reason of each fault.
@testable import Encap

@Suite struct OuterPacketTests {
  static let inner = bytes("020000000102 020000000101 0800") + [UInt8](0..<46)
  let buffer = GuardedBuffer()
  let zeroAllowed = DecapPolicy(udpPort: 4789, acceptsZeroUDP6Checksum: true)

  static func sound(_ base: Fault.Base) -> [UInt8] {
    let isIPv6 = base == .ipv6 || base == .ipv6Checksum
    let header = OuterHeader(
      source: ip(isIPv6 ? "2001:db8::1" : "192.0.2.1"), destination: ip(isIPv6 ? "2001:db8::2" : "192.0.2.2"),
      sourceMAC: mac("02:00:00:00:00:0a"), destinationMAC: mac("02:00:00:00:00:0b"), udpPort: 4789, ttl: 64, dscp: 5,
      computesUDPChecksum: base == .ipv4Checksum || base == .ipv6Checksum)
    return encapsulate(
      inner, with: header, vni: 5001, flow: InnerFlow(hash: 0x1234_5678, trafficClass: 2, hopLimit: 0))
  }

  private func expectAccepted(_ packet: [UInt8], _ base: Fault.Base, _ comment: Comment? = nil) {
    let result = buffer.parse(packet, policy: zeroAllowed)
    let isIPv6 = base == .ipv6 || base == .ipv6Checksum
    #expect(result.outcome == .accepted, comment)
    #expect(result.vni.rawValue == 5001 && result.trafficClass == 0x16, comment)
    #expect(result.source == ip(isIPv6 ? "2001:db8::1" : "192.0.2.1"), comment)
    #expect(result.destination == ip(isIPv6 ? "2001:db8::2" : "192.0.2.2"), comment)
    guard result.innerOffset + result.innerByteCount <= packet.count else {
      Issue.record("inner frame beyond the packet")
      return
    }
    #expect(Array(packet[result.innerOffset...].prefix(result.innerByteCount)) == OuterPacketTests.inner, comment)
  }

  @Test(arguments: [Fault.Base.ipv4, .ipv4Checksum, .ipv6, .ipv6Checksum])
  func validPacketsAreAccepted(_ base: Fault.Base) {
    expectAccepted(OuterPacketTests.sound(base), base)
  }

  @Test func commonPacketsTakeTheShortPath() {
    for base in [Fault.Base.ipv4, .ipv4Checksum] {
      let bytes = UnsafeRawBufferPointer(buffer.load(OuterPacketTests.sound(base))).bytes
      #expect(PlainOuterIPv4(bytes, udpPort: 4789) != nil)
      #expect(PlainOuterIPv4(bytes, udpPort: 4790) == nil)
    }
    for (base, isCommon) in [(Fault.Base.ipv6Checksum, true), (.ipv6, false), (.ipv4Checksum, false)] {
      let bytes = UnsafeRawBufferPointer(buffer.load(OuterPacketTests.sound(base))).bytes
      #expect((PlainOuterIPv6(bytes, udpPort: 4789, isTrusted: false) != nil) == isCommon)
      #expect(PlainOuterIPv6(bytes, udpPort: 4790, isTrusted: false) == nil)
    }
  }

  /// The short path takes packets to one IP address alone, and of a NIC of ours to one MAC address.
  @Test func shortPathAsksForBothDestinations() {
    for base in [Fault.Base.ipv4, .ipv6Checksum] {
      let bytes = UnsafeRawBufferPointer(buffer.load(OuterPacketTests.sound(base))).bytes
      let isIPv4 = base == .ipv4
      let mac = MACAddress(bits: bytes.big64(0) &>> 16)
      func takes(_ mac: MACAddress?, flipping bit: UInt64) -> Bool {
        if isIPv4 {
          let pattern = PlainOuterIPv4.Pattern(mac: mac, wireDestination: UInt64(bytes.raw32(30)) ^ bit, udpPort: 4789)
          return PlainOuterIPv4(bytes, pattern, isTrusted: false) != nil
        }
        let address = IPAddress(high: bytes.big64(38) ^ bit, low: bytes.big64(46) ^ bit)
        let pattern = PlainOuterIPv6.Pattern(mac: mac, destination: address, udpPort: 4789)
        return PlainOuterIPv6(bytes, pattern, isTrusted: false) != nil
      }
      #expect(takes(nil, flipping: 0) && takes(mac, flipping: 0))
      for bit in 0..<48 as Range<UInt64> { #expect(!takes(MACAddress(bits: mac.bits ^ 1 << bit), flipping: 0)) }
      // Beyond 32 bits: what there is instead of an address if IPv4 is not in use.
      for bit in 0..<(isIPv4 ? 33 : 64) as Range<UInt64> { #expect(!takes(mac, flipping: 1 << bit), "\(base) \(bit)") }
    }
  }

  @Test(arguments: [Fault.Base.ipv4Checksum, .ipv6Checksum])
  func trustedChecksumIsNotVerified(_ base: Fault.Base) {
    var packet = OuterPacketTests.sound(base)
    let checksum = packet.count - OuterPacketTests.inner.count - 10
    packet[checksum] ^= 1
    #expect(buffer.parse(packet).reason == .udpChecksum)
    let bytes = UnsafeRawBufferPointer(buffer.load(packet)).bytes
    let trusted = OuterPacket(trusting: bytes, byteCount: packet.count, policy: DecapPolicy())
    #expect(trusted.outcome == .accepted && trusted.vni.rawValue == 5001)
    if base == .ipv6Checksum {
      #expect(PlainOuterIPv6(bytes, udpPort: 4789, isTrusted: true) != nil && PlainOuterIPv6(bytes, udpPort: 4789, isTrusted: false) == nil)
    } else {
      #expect(PlainOuterIPv4(bytes, udpPort: 4789, isTrusted: true) != nil)
    }
    // Zero is none, which is a matter of policy.
    (packet[checksum], packet[checksum + 1]) = (0, 0)
    let none = OuterPacket(
      trusting: UnsafeRawBufferPointer(buffer.load(packet)).bytes, byteCount: packet.count, policy: DecapPolicy())
    #expect(none.outcome == (base == .ipv6Checksum ? .dropped : .accepted))
  }

  /// A large packet of which only the beginning lies in the first buffer.
  @Test(arguments: [Fault.Base.ipv4, .ipv6Checksum])
  func beginningOfAPacket(_ base: Fault.Base) {
    let packet = OuterPacketTests.sound(base)
    let innerOffset = packet.count - OuterPacketTests.inner.count
    for count in 0...packet.count {
      let beginning = UnsafeRawBufferPointer(buffer.load(Array(packet[..<count]))).bytes
      let result = OuterPacket(trusting: beginning, byteCount: packet.count, policy: DecapPolicy())
      #expect((result.outcome == .accepted) == (count >= innerOffset), "\(count) octets")
      if count >= innerOffset {
        #expect(result.innerOffset == innerOffset && result.innerByteCount == OuterPacketTests.inner.count)
      }
    }
  }

  @Test func datagramsOfATrain() {
    let sound = bytes("08000000 001389 00") + OuterPacketTests.inner
    #expect(OuterPacket.vxlanFault(sound.span.bytes) == nil)
    #expect(OuterPacket.vni(sound.span.bytes).rawValue == 5001)
    for (count, reason) in [(0, DropReason.vxlanTruncated), (7, .vxlanTruncated), (8, .innerRunt), (21, .innerRunt)] {
      #expect(OuterPacket.vxlanFault(Array(sound[..<count]).span.bytes) == reason)
    }
    var flagless = sound
    flagless[0] = 0
    #expect(OuterPacket.vxlanFault(flagless.span.bytes) == .vxlanFlags)
  }

  /// Exactly one value in 65,535 makes a header checksum correct, two where it may be all zeros or all ones.
  @Test func headerChecksumOfTheShortPath() {
    var packet = OuterPacketTests.sound(.ipv4)
    let right = packet.big16(24)
    for value in UInt16.min ... .max {
      packet.setBig16(value, at: 24)
      #expect(PlainOuterIPv4.isSoundHeader(packet.span.bytes) == (value == right), "\(value)")
    }
  }

  @Test(arguments: faults)
  func faultHasItsReason(_ fault: Fault) {
    var packet = OuterPacketTests.sound(fault.base)
    fault.change(&packet)
    let result = buffer.parse(packet, policy: zeroAllowed)
    if let reason = fault.reason {
      #expect(result.outcome == .dropped && result.reason == reason, "\(result)")
    } else {
      #expect(result.outcome == .notVXLAN, "\(result)")
    }
  }

  /// Every reason that parsing can give is in the table above.
  @Test func reasonsAreCovered() {
    let covered = Set(faults.compactMap(\.reason))
    let own: [DropReason] = [
      .outerIPv4Header, .outerIPv4Checksum, .outerIPv6Header, .outerLength, .outerFragment, .outerExtensionHeader,
      .outerSourceInvalid, .udpLength, .udpChecksum, .vxlanTruncated, .vxlanFlags, .innerRunt,
    ]
    #expect(covered == Set(own))
  }

  @Test func zeroChecksumOverIPv6DependsOnThePolicy() {
    let result = buffer.parse(OuterPacketTests.sound(.ipv6), policy: DecapPolicy())
    #expect(result.outcome == .dropped && result.reason == .udp6ZeroChecksum)
    #expect(buffer.parse(OuterPacketTests.sound(.ipv6Checksum), policy: DecapPolicy()).outcome == .accepted)
    #expect(buffer.parse(OuterPacketTests.sound(.ipv4), policy: DecapPolicy()).outcome == .accepted)
  }

  @Test(arguments: [Fault.Base.ipv4, .ipv4Checksum, .ipv6, .ipv6Checksum])
  func paddingIsCutOff(_ base: Fault.Base) {
    for count in [1, 6, 46] {
      expectAccepted(OuterPacketTests.sound(base) + [UInt8](repeating: 0xee, count: count), base)
    }
  }

  @Test func bytesAfterUDPAreCutOff() {
    var packet = OuterPacketTests.sound(.ipv4) + [0xee, 0xee, 0xee]
    packet.setBig16(packet.big16(16) + 3, at: 16)
    packet.repairIPv4Checksum()
    expectAccepted(packet, .ipv4)
  }

  @Test func reservedBitsAreIgnored() {
    for base in [Fault.Base.ipv4, .ipv6] {
      var packet = OuterPacketTests.sound(base)
      let vxlan = base == .ipv4 ? 42 : 62
      packet[vxlan] = 0xff
      for position in [1, 2, 3, 7] { packet[vxlan + position] = 0xff }
      expectAccepted(packet, base)
    }
  }

  @Test(arguments: [4, 8, 40])
  func ipv4OptionsAreSkipped(_ count: Int) {
    for base in [Fault.Base.ipv4, .ipv4Checksum] {
      var packet = OuterPacketTests.sound(base)
      packet.insert(contentsOf: [UInt8](repeating: 1, count: count), at: 34)
      packet[14] = 0x45 + UInt8(count / 4)
      packet.setBig16(packet.big16(16) + UInt16(count), at: 16)
      packet.repairIPv4Checksum()
      expectAccepted(packet, base)
      packet[34] ^= 0x40
      #expect(buffer.parse(packet).reason == .outerIPv4Checksum)
    }
  }

  @Test func flagsAndTTLDoNotMatter() {
    for (offset, value) in [(20, UInt8(0)), (20, 0x80), (20, 0xc0), (22, 1), (22, 255), (22, 0), (19, 77)] {
      var packet = OuterPacketTests.sound(.ipv4)
      packet[offset] = value
      packet.repairIPv4Checksum()
      expectAccepted(packet, .ipv4)
    }
  }

  @Test(arguments: [
    "1.0.0.1", "126.255.255.255", "128.0.0.1", "223.255.255.255", "240.0.0.1", "0.0.0.1", "255.255.255.254",
  ])
  func otherSourcesPass(_ text: String) {
    var packet = OuterPacketTests.sound(.ipv4)
    setSource(text)(&packet)
    let result = buffer.parse(packet)
    #expect(result.outcome == .accepted && result.source == ip(text))
  }

  @Test(arguments: ["::2", "fe80::1", "fe00::1", "feff:ffff:ffff:ffff::1", "64:ff9b::1", "0:0:0:1::"])
  func otherIPv6SourcesPass(_ text: String) {
    var packet = OuterPacketTests.sound(.ipv6)
    setSource(text)(&packet)
    let result = buffer.parse(packet, policy: zeroAllowed)
    #expect(result.outcome == .accepted && result.source == ip(text))
  }

  @Test(arguments: [
    ([UInt8(0)], [eightOctetExtension]), ([60], [sixteenOctetExtension]),
    ([43], [[2, 0, 0, 0, 0, 0, 0] + [UInt8](repeating: 0, count: 16)]),
    ([0, 43, 60, 60], [eightOctetExtension, eightOctetExtension, sixteenOctetExtension, eightOctetExtension]),
    ([44], [[0, 0, 0, 0, 0, 0, 9]]),
  ])
  func ipv6ExtensionHeadersAreSkipped(_ types: [UInt8], _ headers: [[UInt8]]) {
    for base in [Fault.Base.ipv6, .ipv6Checksum] {
      var packet = OuterPacketTests.sound(base)
      insertExtensions(types, headers)(&packet)
      expectAccepted(packet, base)
    }
  }

  @Test func anotherPortCanBeConfigured() {
    var packet = OuterPacketTests.sound(.ipv4)
    packet.setBig16(8472, at: 36)
    #expect(buffer.parse(packet).outcome == .notVXLAN)
    #expect(buffer.parse(packet, policy: DecapPolicy(udpPort: 8472)).outcome == .accepted)
  }

  @Test(arguments: capturedPackets)
  func packetsOfOtherImplementations(_ captured: CapturedPacket) {
    let result = buffer.parse(captured.packet, policy: DecapPolicy(udpPort: captured.udpPort))
    #expect(result.outcome == captured.outcome, "\(result)")
    // The dropped ones were captured on a sending veth, where the kernel has not computed the checksum.
    if captured.outcome == .dropped { #expect(result.reason == .udpChecksum) }
    guard captured.outcome == .accepted else { return }
    #expect(result.vni.rawValue == captured.vni)
    #expect(result.source == ip(captured.source) && result.destination == ip(captured.destination))
    #expect(result.innerByteCount == captured.innerByteCount)
    #expect(result.innerOffset + result.innerByteCount == captured.packet.count)
  }
}
