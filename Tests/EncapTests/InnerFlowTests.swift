// The flow hash: what identifies a flow, and how evenly flows spread over source ports.
import Encap
import Testing

@Suite struct InnerFlowTests {
  let buffer = GuardedBuffer()
  static let ethernet = bytes("020000000102 020000000101")
  static let oneTag: [UInt8] = [0x81, 0, 0, 100]
  static let twoTags: [UInt8] = [0x88, 0xa8, 0, 1, 0x81, 0, 0, 2]

  static func ipv4(
    proto: UInt8 = 17, source: UInt32 = 0x0a01_0001, destination: UInt32 = 0x0a01_0002, sourcePort: UInt16 = 1111,
    destinationPort: UInt16 = 2222, fragment: UInt16 = 0, tos: UInt8 = 0, ttl: UInt8 = 64, options: Int = 0,
    tags: [UInt8] = []
  ) -> [UInt8] {
    var packet = [UInt8](repeating: 0, count: 20 + options + 20)
    packet[0] = 0x45 + UInt8(options / 4)
    packet[1] = tos
    packet.setBig16(UInt16(packet.count), at: 2)
    packet.setBig16(fragment, at: 6)
    packet[8] = ttl
    packet[9] = proto
    packet.replaceSubrange(12..<20, with: IPAddress(ipv4: source).bytes + IPAddress(ipv4: destination).bytes)
    packet.setBig16(sourcePort, at: 20 + options)
    packet.setBig16(destinationPort, at: 22 + options)
    return ethernet + tags + [8, 0] + packet
  }

  static func ipv6(
    proto: UInt8 = 17, source: String = "fd00::1", destination: String = "fd00::2", sourcePort: UInt16 = 1111,
    destinationPort: UInt16 = 2222, extensions: [UInt8] = [], firstHeader: UInt8? = nil, trafficClass: UInt8 = 0,
    hopLimit: UInt8 = 64, tags: [UInt8] = []
  ) -> [UInt8] {
    var ports = [UInt8](repeating: 0, count: 20)
    ports.setBig16(sourcePort, at: 0)
    ports.setBig16(destinationPort, at: 2)
    let header: [UInt8] = [
      0x60 | trafficClass >> 4, trafficClass << 4, 0, 0, 0, UInt8(20 + extensions.count), firstHeader ?? proto,
      hopLimit,
    ]
    return ethernet + tags + [0x86, 0xdd] + header + ip(source).bytes + ip(destination).bytes + extensions + ports
  }

  private func hash(_ frame: [UInt8]) -> UInt32 { buffer.flow(frame).hash }

  @Test(arguments: [UInt8(6), 17, 132])
  func portsIdentifyAFlow(_ proto: UInt8) {
    let four = hash(InnerFlowTests.ipv4(proto: proto))
    #expect(hash(InnerFlowTests.ipv4(proto: proto, sourcePort: 1112)) != four)
    #expect(hash(InnerFlowTests.ipv4(proto: proto, destinationPort: 2223)) != four)
    let six = hash(InnerFlowTests.ipv6(proto: proto))
    #expect(hash(InnerFlowTests.ipv6(proto: proto, sourcePort: 1112)) != six)
    #expect(hash(InnerFlowTests.ipv6(proto: proto, destinationPort: 2223)) != six)
  }

  @Test(arguments: [UInt8(1), 2, 47, 50, 58, 112])
  func otherProtocolsHashByAddresses(_ proto: UInt8) {
    #expect(
      hash(InnerFlowTests.ipv4(proto: proto))
        == hash(InnerFlowTests.ipv4(proto: proto, sourcePort: 9, destinationPort: 9)))
    #expect(
      hash(InnerFlowTests.ipv6(proto: proto))
        == hash(InnerFlowTests.ipv6(proto: proto, sourcePort: 9, destinationPort: 9)))
  }

  @Test func addressesAndProtocolIdentifyAFlow() {
    let frames = [
      InnerFlowTests.ipv4(), InnerFlowTests.ipv4(proto: 6), InnerFlowTests.ipv4(proto: 132),
      InnerFlowTests.ipv4(proto: 1),
      InnerFlowTests.ipv4(source: 0x0a01_0003), InnerFlowTests.ipv4(destination: 0x0a01_0003),
      InnerFlowTests.ipv4(source: 0x0a01_0002, destination: 0x0a01_0001), InnerFlowTests.ipv6(),
      InnerFlowTests.ipv6(proto: 6), InnerFlowTests.ipv6(source: "fd00::3"),
      InnerFlowTests.ipv6(destination: "fd00::3"),
      InnerFlowTests.ipv6(source: "fd01::1"), InnerFlowTests.ipv6(destination: "fd01::2"),
      InnerFlowTests.ipv6(source: "fd00::2", destination: "fd00::1"),
    ]
    #expect(Set(frames.map(hash)).count == frames.count)
  }

  /// Other contents of a flow's packets do not change its path.
  @Test(arguments: [UInt8(6), 17, 132])
  func sameFlowSameHash(_ proto: UInt8) {
    let four = hash(InnerFlowTests.ipv4(proto: proto))
    for tags in [[], InnerFlowTests.oneTag, InnerFlowTests.twoTags] {
      #expect(hash(InnerFlowTests.ipv4(proto: proto, tags: tags)) == four)
      #expect(
        hash(InnerFlowTests.ipv4(proto: proto, fragment: 0x4000, tos: 0xb8, ttl: 3, options: 8, tags: tags)) == four)
      #expect(hash(InnerFlowTests.ipv4(proto: proto, tags: tags) + [1, 2, 3]) == four)
    }
    let six = hash(InnerFlowTests.ipv6(proto: proto))
    for tags in [[], InnerFlowTests.oneTag, InnerFlowTests.twoTags] {
      #expect(hash(InnerFlowTests.ipv6(proto: proto, trafficClass: 0xb8, hopLimit: 2, tags: tags)) == six)
      let options: [UInt8] = [proto, 0, 1, 4, 0, 0, 0, 0]
      #expect(hash(InnerFlowTests.ipv6(proto: proto, extensions: options, firstHeader: 0, tags: tags)) == six)
      #expect(hash(InnerFlowTests.ipv6(proto: proto, extensions: options, firstHeader: 43, tags: tags)) == six)
      #expect(
        hash(
          InnerFlowTests.ipv6(
            proto: proto, extensions: [60, 0, 1, 4, 0, 0, 0, 0] + options, firstHeader: 0, tags: tags)) == six)
    }
  }

  @Test(arguments: [UInt8(6), 17])
  func allFragmentsTakeOnePath(_ proto: UInt8) {
    let first = hash(InnerFlowTests.ipv4(proto: proto, fragment: 0x2000))
    #expect(hash(InnerFlowTests.ipv4(proto: proto, sourcePort: 7, destinationPort: 8, fragment: 0x20b9)) == first)
    #expect(hash(InnerFlowTests.ipv4(proto: proto, sourcePort: 9, destinationPort: 10, fragment: 0x0172)) == first)
    func fragment(_ field: UInt16, _ port: UInt16) -> UInt32 {
      let header: [UInt8] = [proto, 0, UInt8(field >> 8), UInt8(field & 0xff), 0, 0, 0, 1]
      return hash(InnerFlowTests.ipv6(proto: proto, sourcePort: port, extensions: header, firstHeader: 44))
    }
    #expect(fragment(1, 100) == fragment(1481, 200) && fragment(1, 100) == fragment(2960, 300))
    // A first fragment followed by options has the same key as the others.
    let options: [UInt8] = [60, 0, 0, 1, 0, 0, 0, 1, proto, 0, 1, 4, 0, 0, 0, 0]
    let later: [UInt8] = [60, 0, 5, 0xc8, 0, 0, 0, 1, 9, 9, 9, 9, 9, 9, 9, 9]
    #expect(
      hash(InnerFlowTests.ipv6(proto: proto, extensions: options, firstHeader: 44))
        == hash(InnerFlowTests.ipv6(proto: proto, extensions: later, firstHeader: 44)))
    // An atomic fragment (RFC 6946) is the whole packet.
    #expect(fragment(0, 1111) == hash(InnerFlowTests.ipv6(proto: proto)))
  }

  @Test func arpHashesByAddresses() {
    func arp(_ operation: UInt8, _ sender: String, _ target: String, _ hardware: UInt8 = 1) -> UInt32 {
      hash(
        [UInt8](repeating: 0xff, count: 6) + [2, 0, 0, 0, 1, hardware] + bytes("0806 0001 0800 0604 00") + [operation]
          + [2, 0, 0, 0, 1, hardware] + ip(sender).bytes + [0, 0, 0, 0, 0, hardware] + ip(target).bytes)
    }
    let request = arp(1, "10.0.0.1", "10.0.0.2")
    #expect(arp(2, "10.0.0.1", "10.0.0.2", 7) == request)
    #expect(arp(1, "10.0.0.1", "10.0.0.3") != request && arp(1, "10.0.0.3", "10.0.0.2") != request)
    #expect(arp(1, "10.0.0.2", "10.0.0.1") != request)
  }

  @Test func otherFramesHashByMACAndType() {
    let frame = InnerFlowTests.ethernet + bytes("88cc 0207 0400 0102")
    var frames = [frame]
    for position in [0, 5, 6, 11, 12, 13] {
      frames.append(frame)
      frames[frames.count - 1][position] ^= 1
    }
    #expect(Set(frames.map(hash)).count == frames.count)
    #expect(hash(frame + [1, 2, 3]) == hash(frame))
    let flow = buffer.flow(frame)
    #expect(flow.trafficClass == 0 && flow.hopLimit == 0)
  }

  @Test func inheritableFields() {
    for tags in [[], InnerFlowTests.oneTag, InnerFlowTests.twoTags] {
      for proto in [UInt8(1), 17] {
        let four = buffer.flow(InnerFlowTests.ipv4(proto: proto, tos: 0xb9, ttl: 17, tags: tags))
        #expect(four.trafficClass == 0xb9 && four.hopLimit == 17)
        let six = buffer.flow(InnerFlowTests.ipv6(proto: proto, trafficClass: 0xb9, hopLimit: 17, tags: tags))
        #expect(six.trafficClass == 0xb9 && six.hopLimit == 17)
      }
    }
  }

  @Test func malformedHeadersAreNotIP() {
    var wrongVersion = InnerFlowTests.ipv4(tos: 0xb9)
    wrongVersion[14] = 0x65
    var cutHeader = InnerFlowTests.ipv6(trafficClass: 0xb9)
    cutHeader = Array(cutHeader[..<53])
    let threeTags = InnerFlowTests.ipv4(tos: 0xb9, tags: InnerFlowTests.twoTags + InnerFlowTests.oneTag)
    for frame in [wrongVersion, cutHeader, threeTags] {
      let flow = buffer.flow(frame)
      #expect(flow.trafficClass == 0 && flow.hopLimit == 0)
    }
    var shortHeader = InnerFlowTests.ipv4()
    shortHeader[14] = 0x44
    #expect(hash(shortHeader) == hash(InnerFlowTests.ipv4(fragment: 0x2000)))
  }

  @Test func truncatedFramesAreNotReadBeyondTheEnd() {
    let options: [UInt8] = [60, 1, 1, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0]
    for frame in [
      InnerFlowTests.ipv4(tags: InnerFlowTests.twoTags), InnerFlowTests.ipv4(options: 40),
      InnerFlowTests.ipv4(proto: 6),
      InnerFlowTests.ipv6(), InnerFlowTests.ipv6(extensions: options, firstHeader: 0, tags: InnerFlowTests.oneTag),
      InnerFlowTests.ipv6(extensions: [17, 0, 0, 1, 0, 0, 0, 9], firstHeader: 44),
      [UInt8](repeating: 0xff, count: 12) + bytes("0806 0001 0800 0604 0001") + [UInt8](repeating: 3, count: 20),
    ] {
      for count in 14...frame.count { #expect(buffer.flow(Array(frame[..<count])).sourcePort >= 49152) }
    }
  }

  /// The short cuts for IPv4 give the hash of the general way, or none.
  @Test func shortCutsAgree() {
    var random = SeededGenerator(state: 11)
    for _ in 0..<5_000 {
      var frame = InnerFlowTests.ipv4(
        proto: [6, 6, 17, 17, 1, 132].randomElement(using: &random)!, source: .random(in: .min ... .max, using: &random),
        sourcePort: .random(in: .min ... .max, using: &random))
      switch Int.random(in: 0..<8, using: &random) {
      case 0: frame[15] = .random(in: 1...255, using: &random)
      case 1: frame[14] = 0x46
      // Reserved, DF, M, and bits of the offset.
      case 2: frame[20] = 1 << UInt8.random(in: 0..<8, using: &random)
      case 3: frame[21] = 1 << UInt8.random(in: 0..<8, using: &random)
      case 4: frame[12] = 0x86
      default: break
      }
      // A tag has no part in the hash, and takes no short cut.
      let general = hash(Array(frame[..<12]) + InnerFlowTests.oneTag + frame[12...])
      let bytes = UnsafeRawBufferPointer(buffer.load(frame)).bytes
      let isEveryday =
        frame[12] == 8 && frame[14] == 0x45 && frame[20] & 0x3f == 0 && frame[21] == 0 && (frame[23] == 6 || frame[23] == 17)
      #expect(InnerFlow.everydayIPv4Hash(bytes) == (isEveryday ? general : nil))
      #expect(InnerFlow.unmarkedIPv4Hash(bytes) == (isEveryday && frame[15] == 0 ? general : nil))
    }
  }

  /// 1,000 flows with small differences still spread: random choice of 1,000 in 16,384 gives about 970 different ports.
  @Test func smallDifferencesSpread() {
    let series: [(String, (Int) -> [UInt8])] = [
      ("source port", { InnerFlowTests.ipv4(sourcePort: UInt16(32_768 + $0)) }),
      ("even source port", { InnerFlowTests.ipv4(proto: 6, sourcePort: UInt16(2 * $0)) }),
      ("destination port", { InnerFlowTests.ipv4(destinationPort: UInt16($0)) }),
      ("both ports alike", { InnerFlowTests.ipv4(sourcePort: UInt16($0), destinationPort: UInt16($0)) }),
      ("source address", { InnerFlowTests.ipv4(source: 0x0a00_0000 + UInt32($0)) }),
      ("network", { InnerFlowTests.ipv4(source: UInt32($0) << 22 | 1) }),
      ("destination address", { InnerFlowTests.ipv4(destination: 0x0a00_0000 + UInt32($0)) }),
      (
        "both addresses alike",
        { InnerFlowTests.ipv4(source: 0x0a00_0000 + UInt32($0), destination: 0x0a00_0000 + UInt32($0)) }
      ),
      ("ICMP", { InnerFlowTests.ipv4(proto: 1, source: 0x0a00_0000 + UInt32($0)) }),
      ("IPv6 source port", { InnerFlowTests.ipv6(sourcePort: UInt16($0)) }),
      ("IPv6 destination port", { InnerFlowTests.ipv6(proto: 6, destinationPort: UInt16($0)) }),
      ("IPv6 source", { InnerFlowTests.ipv6(source: "fd00::\(String($0, radix: 16))") }),
      ("IPv6 source network", { InnerFlowTests.ipv6(source: "fd00:\(String($0, radix: 16))::1") }),
      ("IPv6 destination", { InnerFlowTests.ipv6(destination: "fd00::\(String($0, radix: 16)):2") }),
      (
        "IPv6 both",
        { InnerFlowTests.ipv6(source: "fd00::\(String($0, radix: 16))", destination: "fd00::\(String($0, radix: 16))") }
      ),
      ("MAC", { [UInt8($0 >> 8), UInt8($0 & 0xff), 3, 4, 5, 6, 2, 3, 4, 5, 6, 7, 0x88, 0xcc] }),
      (
        "ARP",
        {
          [UInt8](repeating: 0xff, count: 12)
            + bytes("0806 0001 0800 0604 0001 020000000001 0a000001 000000000000 0a00") + [
              UInt8($0 >> 8), UInt8($0 & 0xff),
            ]
        }
      ),
    ]
    for (name, frame) in series {
      let flows = (0..<1000).map { buffer.flow(frame($0)) }
      #expect(Set(flows.map(\.sourcePort)).count >= 900, "\(name)")
      #expect(Set(flows.map(\.flowLabel)).count >= 990, "\(name)")
      // Over next hops, by the low bits, and those of each next hop over the source ports again.
      for hops in [2, 3, 8] as [UInt32] {
        let shares = Dictionary(grouping: flows) { (($0.hash & 0xffff) * hops) >> 16 }
        #expect(shares.count == Int(hops))
        for share in shares.values {
          let mean = 1000 / Double(hops)
          #expect(abs(Double(share.count) - mean) < 5 * mean.squareRoot(), "\(name): \(share.count) of 1,000 flows over \(hops) next hops")
          #expect(Set(share.map { $0.sourcePort >> 11 }).count == 8, "\(name)")
        }
      }
    }
  }

  /// Each bit of addresses and ports flips each bit of the hash about half of the time.
  @Test func avalanche() {
    var generator = SeededGenerator(state: 77)
    var flips = [[Int]](repeating: [Int](repeating: 0, count: 32), count: 96)
    let rounds = 600
    for _ in 0..<rounds {
      var frame = InnerFlowTests.ipv4()
      frame.replaceSubrange(26..<38, with: generator.bytes(12))
      let before = hash(frame)
      for bit in 0..<96 {
        frame[26 + bit / 8] ^= 1 << (bit % 8)
        let difference = hash(frame) ^ before
        for position in 0..<32 where difference >> position & 1 == 1 { flips[bit][position] += 1 }
        frame[26 + bit / 8] ^= 1 << (bit % 8)
      }
    }
    // Half of 600, give or take eight standard deviations (12).
    for (bit, counts) in flips.enumerated() {
      for (position, count) in counts.enumerated() {
        #expect((200...400).contains(count), "input bit \(bit), hash bit \(position): \(count) of \(rounds)")
      }
    }
  }
}
