// Properties over random input: encapsulated frames come out unchanged, and nothing hostile traps or reads beyond its end.
import Encap
import Testing

@Suite struct RandomPacketTests {
  let buffer = GuardedBuffer()
  let policies = [DecapPolicy(), DecapPolicy(udpPort: 4789, acceptsZeroUDP6Checksum: true)]

  private func randomHeader(_ generator: inout SeededGenerator) -> OuterHeader {
    let isIPv6 = Bool.random(using: &generator)
    func address() -> IPAddress {
      isIPv6
        ? IPAddress(high: 0x2001_0db8_0000_0000 | generator.next() >> 32, low: generator.next())
        : IPAddress(ipv4: 0x0a00_0000 | UInt32(truncatingIfNeeded: generator.next() & 0xff_ffff))
    }
    return OuterHeader(
      source: address(), destination: address(), sourceMAC: MACAddress(bits: generator.next()),
      destinationMAC: MACAddress(bits: generator.next()), udpPort: 4789,
      ttl: UInt8.random(in: 0...255, using: &generator),
      dscp: Bool.random(using: &generator) ? OuterHeader.inheritedDSCP : UInt8.random(in: 0...63, using: &generator),
      computesUDPChecksum: Bool.random(using: &generator))
  }

  /// A frame of any kind, often enough one that parses as IP.
  private func randomFrame(_ generator: inout SeededGenerator) -> [UInt8] {
    var frame = generator.bytes(Int.random(in: 14...1600, using: &generator))
    let heads = ["", "0800 45", "86dd 60", "8100 0001 0800 45", "88a8 0001 8100 0002 86dd 60", "0806 0001 0800 0604"]
    let head = bytes(heads[Int.random(in: 0..<heads.count, using: &generator)])
    for (index, byte) in head.enumerated() where 12 + index < frame.count { frame[12 + index] = byte }
    return frame
  }

  @Test func decapsulationIsTheInverseOfEncapsulation() {
    var generator = SeededGenerator(state: 7348)
    for _ in 0..<4_000 {
      let header = randomHeader(&generator)
      let frame = randomFrame(&generator)
      let vni = UInt32.random(in: 0...0xff_ffff, using: &generator)
      let packet = encapsulate(frame, with: header, vni: vni)
      let padding = generator.bytes(Int.random(in: 0...8, using: &generator))
      let result = buffer.parse(packet + padding, policy: policies[1])
      #expect(result.outcome == .accepted, "\(result)")
      #expect(result.vni.rawValue == vni && result.innerOffset == header.byteCount)
      #expect(result.innerByteCount == frame.count)
      #expect(Array(packet[result.innerOffset...]) == frame)
    }
  }

  /// The short and the general path agree on every packet: removing an outer tag restores the original.
  @Test func aTagInTheFrameChangesNoFlow() {
    var generator = SeededGenerator(state: 12)
    for _ in 0..<4_000 {
      let frame = randomFrame(&generator)
      if frame[12] == 0x81 || frame[12] == 0x88 { continue }
      let tagged = Array(frame[..<12]) + [0x81, 0, 0, 7] + Array(frame[12...])
      let plain = buffer.flow(frame)
      let behind = buffer.flow(tagged)
      #expect(
        plain.hash == behind.hash && plain.trafficClass == behind.trafficClass && plain.hopLimit == behind.hopLimit)
    }
  }

  @Test func truncationAtEveryLength() {
    var packets = [Fault.Base.ipv4, .ipv4Checksum, .ipv6, .ipv6Checksum].map(OuterPacketTests.sound)
    packets += capturedPackets.map(\.packet).filter { $0.count < 200 }
    for packet in packets {
      for count in 0..<packet.count {
        for policy in policies {
          let result = buffer.parse(Array(packet[..<count]), policy: policy)
          #expect(result.outcome != .accepted, "\(count) of \(packet.count) octets: \(result)")
        }
      }
    }
  }

  /// Mutations of valid packets. Whatever is accepted must lie inside the packet; the guard page checks the rest.
  @Test func mutatedPackets() {
    var generator = SeededGenerator(state: 0xf022)
    let seeds =
      [Fault.Base.ipv4, .ipv4Checksum, .ipv6, .ipv6Checksum].map(OuterPacketTests.sound) + capturedPackets.map(\.packet)
    let telling: [UInt8] = [0, 1, 4, 6, 8, 15, 16, 17, 43, 44, 45, 60, 0x45, 0x4f, 0x60, 0x7f, 0x80, 0xff]
    var outcomes: [OuterPacket.Outcome: Int] = [:]
    for _ in 0..<25_000 {
      var packet = seeds[Int.random(in: 0..<seeds.count, using: &generator)]
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        // Mostly in the headers, where decisions are made.
        let end = Bool.random(using: &generator) ? min(packet.count, 80) : packet.count
        guard end > 0 else { break }
        let position = Int.random(in: 0..<end, using: &generator)
        switch Int.random(in: 0..<6, using: &generator) {
        case 0: packet[position] = UInt8.random(in: 0...255, using: &generator)
        case 1: packet[position] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        case 2: packet[position] = telling[Int.random(in: 0..<telling.count, using: &generator)]
        case 3: packet.removeLast(Int.random(in: 0..<packet.count, using: &generator) / 4)
        case 4: packet.insert(contentsOf: generator.bytes(8), at: position)
        default: packet.removeSubrange(position..<min(position + 4, packet.count))
        }
      }
      // Half of them get past the header checksum.
      if Bool.random(using: &generator), packet.count >= 34, packet.count >= 14 + Int(packet[14] & 0xf) * 4,
        packet[14] & 0xf >= 5
      {
        packet.repairIPv4Checksum()
      }
      let result = buffer.parse(packet, policy: policies[1])
      outcomes[result.outcome, default: 0] += 1
      if result.outcome == .accepted {
        #expect(result.innerByteCount >= 14 && result.innerOffset + result.innerByteCount <= packet.count)
        #expect(!result.source.isMulticast && !result.source.isUnspecified && !result.source.isLoopback)
        // The contents then pass through the rest of the module.
        var inner = Array(packet[result.innerOffset..<result.innerOffset + result.innerByteCount])
        _ = buffer.flow(inner)
        _ = buffer.decapsulateECN(UInt8.random(in: 0...255, using: &generator), &inner)
        #expect(inner.count == result.innerByteCount)
      }
    }
    // The mutations must reach all verdicts, or the test would prove nothing.
    #expect(outcomes.values.allSatisfy { $0 > 500 } && outcomes.count == 3, "\(outcomes)")
  }

  @Test func randomFramesThroughEveryReader() {
    var generator = SeededGenerator(state: 99)
    for _ in 0..<15_000 {
      var frame = Array(randomFrame(&generator).prefix(Int.random(in: 0...120, using: &generator)))
      let count = frame.count
      if count >= 14 { _ = buffer.flow(frame) }
      _ = buffer.finishChecksum(&frame)
      _ = buffer.decapsulateECN(3, &frame)
      _ = buffer.parse(frame)
      #expect(frame.count == count)
    }
  }
}
