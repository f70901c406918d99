// BFD frames against octets that scapy 2.5 has written (scapy.contrib.bfd), and what is refused.

import Encap
import Testing

@Suite("BFD frames")
struct BFDFrameTests {
  private func octets(_ hex: String) -> [UInt8] {
    let digits = Array(hex.filter(\.isHexDigit))
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(String(digits[$0...($0 + 1)]), radix: 16) ?? 0 }
  }

  private var packet: BFDPacket {
    var packet = BFDPacket()
    packet.diagnostic = .neighborSignaledDown
    packet.state = .up
    packet.polls = true
    packet.multiplier = 5
    packet.ownDiscriminator = 0x1122_3344
    packet.yourDiscriminator = 0x5566_7788
    packet.desiredMinTx = 300_000
    packet.requiredMinRx = 1_000_000
    packet.requiredMinEchoRx = 0
    return packet
  }

  private func written(_ frame: BFDFrame) -> [UInt8] {
    var octets = [UInt8](repeating: 0xff, count: frame.byteCount)
    octets.withUnsafeMutableBytes { buffer in
      var span = buffer.mutableBytes
      frame.write(into: &span)
    }
    return octets
  }

  @Test("as scapy writes them: Open vSwitch's form, and RFC 8971's over IPv6")
  func golden() throws {
    let ovs = BFDFrame(
      destinationMAC: .bfdOfOpenVSwitch, source: IPAddress(ipv4: 0xa9fe_0100), destination: IPAddress(ipv4: 0xa9fe_0101),
      sourcePort: 49_152, packet: packet)
    #expect(written(ovs) == octets(Self.scapyIPv4))
    #expect(try BFDFrame(parsing: octets(Self.scapyIPv4).span.bytes) == ovs)
    let rfc = BFDFrame(
      destinationMAC: .bfdOfRFC8971, source: IPAddress(high: 0x2001_0db8_0000_0000, low: 1),
      destination: IPAddress(high: 0, low: 0xffff_7f00_0001), sourcePort: 65_535, packet: packet)
    #expect(written(rfc) == octets(Self.scapyIPv6))
    #expect(try BFDFrame(parsing: octets(Self.scapyIPv6).span.bytes) == rfc)
  }

  @Test("nothing is read beyond the end, wherever a frame is cut")
  func truncated() {
    for whole in [octets(Self.scapyIPv4), octets(Self.scapyIPv6)] {
      for count in 0..<whole.count {
        #expect(throws: BFDFrame.Fault.self) { try BFDFrame(parsing: Array(whole[..<count]).span.bytes) }
      }
    }
  }

  @Test("the checks of RFC 5880 section 6.8.6 that need no session")
  func refused() {
    let cases: [(BFDPacket.Fault, (inout [UInt8]) -> Void)] = [
      (.version, { $0[0] = 0x40 }), (.length, { $0[3] = 23 }), (.length, { $0[3] = 25 }), (.multiplierZero, { $0[2] = 0 }),
      (.multipoint, { $0[1] |= 1 }), (.discriminatorZero, { $0.replaceSubrange(4..<8, with: [0, 0, 0, 0]) }),
      (.yourDiscriminatorZero, { $0.replaceSubrange(8..<12, with: [0, 0, 0, 0]) }),
      (
        .authenticated,
        {
          $0[1] |= 4; $0[3] = 26; $0 += [1, 2]
        }
      ),
    ]
    let good = Array(octets(Self.scapyIPv4).suffix(24))
    for (fault, edit) in cases {
      var octets = good
      edit(&octets)
      #expect(throws: fault) { try BFDPacket(parsing: octets.span.bytes, at: 0, byteCount: octets.count) }
    }
  }

  private static let scapyIPv4 = """
    002320000001000000000000080045c0003400000000ff1164fba9fe0100a9fe0101c0000ec80020ca6623e005181122
    334455667788000493e0000f424000000000
    """
  private static let scapyIPv6 = """
    00005e00520200000000000086dd6c000000002011ff20010db800000000000000000000000100000000000000000000
    ffff7f000001ffff0ec8002033aa23e005181122334455667788000493e0000f424000000000
    """
}
