// Answers to packets that are too big, against those of an independent packet library; and the packets that get none.
import Encap
import Testing

@Suite struct PacketTooBigTests {
  private let question = GuardedBuffer()
  private let reply = GuardedBuffer()

  /// The answer to a frame, exactly as long as it must be; nil: none.
  private func answer(_ frame: [UInt8], largestFrame: Int) -> [UInt8]? {
    let frame = UnsafeRawBufferPointer(question.load(frame))
    guard let answer = PacketTooBig(answering: frame.bytes, largestFrameByteCount: largestFrame) else { return nil }
    let room = reply.load([UInt8](repeating: 0xee, count: answer.frameByteCount))
    var span = room.mutableBytes
    answer.write(into: &span, quoting: frame.bytes)
    return Array(room)
  }

  private static let udp = bytes(
    """
    020000000021020000000001080045000065000740001111113fac100001ac1000210fa0138800514acc000102030405060708090a0b0c0d0e0f
    101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f404142434445464748
    """)
  /// With options, and a tag that stays in the frame.
  private static let taggedTCP = bytes(
    """
    0200000000210200000000018100a0640800460000680007400011060e46ac100001ac100021010101000fa01388000000010000000250022000
    aab10000000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435
    363738393a3b
    """)
  /// 1500 octets from the IPv6 header on, with a tag.
  private static let udp6 =
    bytes(
      """
      0200000000210200000000018100000786dd6080000005b4111120010db800010000000000000000000120010db80001000000000000000000210f
      a0138805b429a0
      """) + (0..<1452).map { UInt8(truncatingIfNeeded: $0 * 7 + 3) }

  @Test func ipv4() {
    let header = bytes("020000000001020000000021080045c00081000040004001e179ac100021ac1000010304553d00000064")
    #expect(answer(Self.udp, largestFrame: 114) == header + Self.udp[14...])
    #expect(answer(Self.udp, largestFrame: 115) == nil)
  }

  @Test func ipv4WithTagAndOptions() {
    let header = bytes("0200000000010200000000218100a064080045c00084000040004001e176ac100021ac1000010304553500000060")
    #expect(answer(Self.taggedTCP, largestFrame: 114) == header + Self.taggedTCP[18...])
  }

  @Test func ipv6() {
    let header = bytes(
      """
      0200000000010200000000218100000786dd6000000004d83a4020010db800010000000000000000002120010db80001000000000000000000010200
      8d42000005a6
      """)
    #expect(answer(Self.udp6, largestFrame: 1464) == header + Self.udp6[18..<18 + 1232])
    #expect(answer(Self.udp6, largestFrame: 1518) == nil)
    // The minimum MTU of IPv6 is the least that hosts accept.
    #expect(answer(Self.udp6, largestFrame: 18 + 1280) != nil)
    #expect(answer(Self.udp6, largestFrame: 18 + 1279) == nil)
  }

  /// The whole answer has at most 576 octets; a frame of which only the beginning is at hand is quoted as far.
  @Test func quotes() throws {
    var long = Self.udp + [UInt8](repeating: 9, count: 1400)
    long.setBig16(UInt16(long.count - 14), at: 16)
    long.repairIPv4Checksum()
    let all = try #require(answer(long, largestFrame: 1464))
    #expect(all.count == 14 + 576 && Array(all[42...]) == Array(long[14..<14 + 548]))
    let start = try #require(answer(Array(long[..<100]), largestFrame: 1464))
    #expect(Array(start[42...]) == Array(long[14..<100]) && start.big16(16) == 28 + 86)
    // What is behind the packet is not of it.
    #expect(answer(Self.udp + [1, 2, 3, 4], largestFrame: 114)?.count == 42 + 101)
    // Less than the eight octets behind the header that identify the sender's socket.
    #expect(answer(Array(long[..<42]), largestFrame: 1464) != nil && answer(Array(long[..<41]), largestFrame: 1464) == nil)
    #expect(answer(Array(Self.udp6[..<66]), largestFrame: 1464) != nil && answer(Array(Self.udp6[..<65]), largestFrame: 1464) == nil)
  }

  private static let changes: [(name: String, isIPv6: Bool, offset: Int, octets: [UInt8])] = [
    ("to a group MAC address", false, 0, [1]), ("to broadcast", false, 0, [255, 255, 255, 255, 255, 255]), ("ARP", false, 12, [8, 6]),
    ("no IPv4", false, 14, [0x65]), ("header too short", false, 14, [0x44]), ("without DF", false, 20, [0, 0]),
    ("a later fragment", false, 20, [0x40, 1]), ("source 0", false, 26, [0]), ("loopback source", false, 26, [127]),
    ("multicast source", false, 26, [224]), ("broadcast destination", false, 30, [255, 255, 255, 255]),
    ("multicast destination", false, 30, [239]), ("unreachable", false, 23, [1] + Array(udp[24..<34]) + [3]),
    ("source quench", false, 23, [1] + Array(udp[24..<34]) + [4]), ("redirect", false, 23, [1] + Array(udp[24..<34]) + [5]),
    ("time exceeded", false, 23, [1] + Array(udp[24..<34]) + [11]), ("parameter problem", false, 23, [1] + Array(udp[24..<34]) + [12]),
    ("no IPv6", true, 18, [0x45]), ("multicast source", true, 26, [0xff]), ("multicast destination", true, 42, [0xff]),
    ("unspecified source", true, 26, [UInt8](repeating: 0, count: 16)),
    ("IPv4-mapped source", true, 26, [UInt8](repeating: 0, count: 10) + [255, 255]),
    ("loopback destination", true, 42, [UInt8](repeating: 0, count: 15) + [1]),
    ("ICMPv6 error", true, 24, [58] + Array(udp6[25..<58]) + [1]),
    ("ICMPv6 packet too big", true, 24, [58] + Array(udp6[25..<58]) + [2]),
    ("ICMPv6 redirect", true, 24, [58] + Array(udp6[25..<58]) + [137]),
    ("a later fragment", true, 24, [44] + Array(udp6[25..<58]) + [17, 0, 0, 8, 0, 0, 0, 1]),
    ("an ICMPv6 error in a first fragment", true, 24, [44] + Array(udp6[25..<58]) + [58, 0, 0, 1, 0, 0, 0, 1, 3]),
    ("a chain past its end", true, 24, [0] + Array(udp6[25..<58]) + [17, 255]),
  ]

  @Test func unanswered() {
    for change in Self.changes {
      var frame = change.isIPv6 ? Self.udp6 : Self.udp
      frame.replaceSubrange(change.offset..<change.offset + change.octets.count, with: change.octets)
      if !change.isIPv6 { frame.repairIPv4Checksum() }
      #expect(answer(frame, largestFrame: change.isIPv6 ? 1464 : 114) == nil, "\(change.name)")
    }
    var wrong = Self.udp
    wrong[24] ^= 1
    #expect(answer(wrong, largestFrame: 114) == nil)
    #expect(answer(Self.udp, largestFrame: 14 + 67) == nil)
  }

  @Test func answeredICMP() {
    for type: UInt8 in [0, 8, 13] {
      var frame = Self.udp
      frame[23] = 1
      frame[34] = type
      frame.repairIPv4Checksum()
      #expect(answer(frame, largestFrame: 114) != nil, "ICMP type \(type)")
    }
    for type: UInt8 in [128, 129, 135] {
      var frame = Self.udp6
      (frame[24], frame[58]) = (58, type)
      #expect(answer(frame, largestFrame: 1464) != nil, "ICMPv6 type \(type)")
    }
    // A first fragment.
    var first = Self.udp
    first[20] = 0x60
    first.repairIPv4Checksum()
    #expect(answer(first, largestFrame: 114) != nil)
  }

  /// Nothing is read beyond the end, wherever a frame is cut and whatever it says.
  @Test func cutAndRandom() {
    // Answers must be used: Swift 6.3.1 writes a copy that nobody uses into memory that it has just freed.
    var answered = 0
    for frame in [Self.udp, Self.taggedTCP, Self.udp6] {
      for count in 0..<min(frame.count, 120) { answered += answer(Array(frame[..<count]), largestFrame: 1400)?.count ?? 0 }
    }
    var generator = SeededGenerator(state: 1191)
    for _ in 0..<20_000 {
      var frame = Bool.random(using: &generator) ? Self.udp : Array(Self.udp6[..<130])
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        frame[Int.random(in: 12..<80, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
      }
      if frame[12] == 8, frame[14] == 0x45 { frame.repairIPv4Checksum() }
      answered += answer(frame, largestFrame: 1400)?.count ?? 0
    }
    #expect(answered > 0)
  }
}
