// Frames in words: what is in them, cut off anywhere, and nonsense.

import Testing

@testable import VTEPControl

@Suite struct FrameLayerTests {
  private func octets(_ text: String) -> [UInt8] { [UInt8](hexDigits: text.filter { !$0.isWhitespace }) ?? [] }

  private var arp: [UInt8] {
    octets("ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 0a090001 000000000000 0a090002")
  }
  private var inner: [UInt8] {
    octets(
      "020000000056 020000000055 8100 6007 86dd 6a012345 0008 2c 40 fd000000000000000000000000000001 fd000000000000000000000000000002"
        + "11 00 0000 00000007 0005 0006 0008 abcd")
  }
  private var tunnelled: [UInt8] {
    octets(
      "0200000000bb 0200000000aa 0800 4503 0080 0000 4000 40 11 0000 c0000202 c0000201 c350 12b5 006c 0000 08000000 00138900") + inner
  }

  private func text(_ octets: [UInt8], vxlanPort: UInt16 = 4789) -> [String] {
    FrameLayer.dissect(octets, vxlanPort: vxlanPort).map { "\($0.name): \($0.text)" }
  }

  @Test func headersAreTold() {
    #expect(
      text(arp) == [
        "Ethernet: 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff, ARP", "ARP: who has 10.9.0.2? tell 10.9.0.1 (02:00:00:00:00:01)",
      ])
    let inside = [
      "VLAN: 7, priority 3, TPID 0x8100, IPv6",
      "IPv6: fd00::1 > fd00::2, fragment header, hop limit 64, length 8, traffic class 0xa0, flow label 0x12345",
      "fragment header: at 0", "UDP: 5 > 6, length 8, checksum 0xabcd",
    ]
    #expect(text(inner) == ["Ethernet: 02:00:00:00:00:55 > 02:00:00:00:00:56, VLAN tag"] + inside)
    #expect(
      text(tunnelled) == [
        "Ethernet: 02:00:00:00:00:aa > 02:00:00:00:00:bb, IPv4", "IPv4: 192.0.2.2 > 192.0.2.1, UDP, TTL 64, length 128, TOS 0x03, DF",
        "UDP: 50000 > 4789, length 108, checksum 0x0000", "VXLAN: VNI 5001, flags 0x08",
        "Ethernet, inner: 02:00:00:00:00:55 > 02:00:00:00:00:56, VLAN tag",
      ] + inside)
    #expect(text(tunnelled, vxlanPort: 8472).last == "UDP: 50000 > 4789, length 108, checksum 0x0000")
  }

  @Test func framesEndAnywhere() {
    for frame in [arp, inner, tunnelled] {
      for count in 0..<frame.count {
        let layers = FrameLayer.dissect(Array(frame[..<count]), vxlanPort: 4789)
        #expect(layers.last.map { $0.text.hasPrefix("cut short") || !$0.text.isEmpty } == true)
      }
    }
    #expect(text([]) == ["Ethernet: cut short: 0 of 14 octets"])
  }

  @Test func nonsenseIsNoTrouble() {
    var random = SystemRandomNumberGenerator()
    for _ in 0..<20_000 {
      var frame = [arp, inner, tunnelled].randomElement() ?? []
      for _ in 0..<Int.random(in: 1...8, using: &random) { frame[Int.random(in: 0..<frame.count)] = .random(in: 0...255) }
      _ = FrameLayer.dissect(Array(frame.prefix(.random(in: 0...frame.count))), vxlanPort: 4789)
    }
  }
}
