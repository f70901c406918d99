// What ARP (RFC 826) and ND (RFC 4861) say, octet by octet: the addresses that stations claim, and what they are.

import Testing

@testable import Encap

@Suite("ARP and ND messages")
struct NeighborMessageTests {
  private let source: [UInt8] = [2, 0, 0, 0, 0, 1]

  private func claimed(_ frame: [UInt8]) -> String? {
    NeighborMessage(frame.span.bytes)?.stationAddress.map(\.description)
  }

  private func asker(_ frame: [UInt8]) -> MACAddress? { NeighborMessage(frame.span.bytes)?.asker }

  private func arp(sender: [UInt8]? = nil, address: [UInt8] = [10, 0, 0, 7], kind: [UInt8] = [0, 1, 8, 0, 6, 4, 0, 1]) -> [UInt8] {
    [255, 255, 255, 255, 255, 255] + source + [8, 6] + kind + (sender ?? source) + address + [0, 0, 0, 0, 0, 0, 10, 0, 0, 1]
  }

  /// - Parameter target: behind the first eight octets of the message; with options.
  private func nd(
    type: UInt8, from ip: [UInt8], target: [UInt8], hopLimit: UInt8 = 255, code: UInt8 = 0, flags: UInt8 = 0
  ) -> [UInt8] {
    let ethernet = [0x33, 0x33, 0xff, 0, 0, 1] + source + [0x86, 0xdd]
    let group: [UInt8] = [0xff, 2] + [UInt8](repeating: 0, count: 13) + [1]
    let message: [UInt8] = [type, code, 0, 0, flags, 0, 0, 0] + target
    let length = [0, UInt8(message.count)]
    let pseudo = ip + group + [0, 0] + length + [0, 0, 0, 58]
    let checksum = InternetChecksum.complement(InternetChecksum.partialSum((pseudo + message).span.bytes))
    return ethernet + [0x60, 0, 0, 0] + length + [58, hopLimit] + ip + group + message[..<2]
      + [UInt8(checksum >> 8), UInt8(checksum & 0xff)] + message[4...]
  }

  private func address(_ last: UInt8, prefix: [UInt8] = [0x20, 0x01, 0x0d, 0xb8]) -> [UInt8] {
    prefix + [UInt8](repeating: 0, count: 15 - prefix.count) + [last]
  }

  @Test("ARP: requests and answers")
  func requests() {
    #expect(claimed(arp()) == "10.0.0.7")
    #expect(claimed(arp(kind: [0, 1, 8, 0, 6, 4, 0, 2])) == "10.0.0.7")
  }

  @Test("ARP: probes, other stations' addresses, other protocols")
  func noClaim() {
    #expect(claimed(arp(address: [0, 0, 0, 0])) == nil)
    #expect(claimed(arp(address: [224, 0, 0, 1])) == nil)
    #expect(claimed(arp(sender: [2, 0, 0, 0, 0, 2])) == nil)
    #expect(claimed(arp(kind: [0, 6, 8, 0, 6, 4, 0, 1])) == nil)
    #expect(claimed(arp(kind: [0, 1, 8, 0, 8, 4, 0, 1])) == nil)
    #expect(claimed(Array(arp().prefix(12)) + [8, 0] + Array(arp().dropFirst(14))) == nil)
  }

  @Test("ND: a solicitation's source, an advertisement's target")
  func neighborDiscovery() {
    #expect(claimed(nd(type: 135, from: address(7), target: address(9))) == "2001:db8::7")
    #expect(claimed(nd(type: 136, from: address(1, prefix: [0xfe, 0x80]), target: address(9))) == "2001:db8::9")
  }

  @Test("ND: duplicate address detection, link-local addresses, other messages, from beyond a router")
  func noNeighbor() {
    #expect(claimed(nd(type: 135, from: [UInt8](repeating: 0, count: 16), target: address(9))) == nil)
    #expect(claimed(nd(type: 135, from: address(1, prefix: [0xfe, 0x80]), target: address(9))) == nil)
    #expect(claimed(nd(type: 128, from: address(7), target: address(9))) == nil)
    #expect(claimed(nd(type: 135, from: address(7), target: address(9), hopLimit: 64)) == nil)
    #expect(claimed(nd(type: 135, from: address(7), target: address(9), code: 1)) == nil)
  }

  @Test("ND: an advertisement, and what routers and hosts say to each other, tell what their senders are")
  func roles() {
    let linkLocal = address(7, prefix: [0xfe, 0x80])
    func claim(_ frame: [UInt8]) -> NeighborClaim? { NeighborMessage(frame.span.bytes)?.claim }
    let mac = MACAddress("02:00:00:00:00:01")!
    func expected(_ role: NeighborRole) -> NeighborClaim { NeighborClaim(address: IPAddress("fe80::7")!, mac: mac, role: role) }
    #expect(claim(nd(type: 136, from: linkLocal, target: linkLocal, flags: 0x80)) == expected(.router))
    #expect(claim(nd(type: 136, from: linkLocal, target: linkLocal, flags: 0x60)) == expected(.host))
    #expect(claim(nd(type: 135, from: linkLocal, target: address(9))) == expected(.unknown))
    // A router's advertisement has eight octets more, and options; a solicitation none of them.
    #expect(claim(nd(type: 134, from: linkLocal, target: [0, 0, 0, 0, 0, 0, 0, 0, 1, 1] + source)) == expected(.router))
    #expect(claim(nd(type: 133, from: linkLocal, target: [1, 1] + source)) == expected(.host))
    #expect(claim(nd(type: 133, from: linkLocal, target: [])) == expected(.host))
    // Another's link-layer address; options that make no sense; duplicate address detection.
    #expect(claim(nd(type: 136, from: linkLocal, target: linkLocal + [2, 1, 2, 0, 0, 0, 0, 9])) == nil)
    #expect(claim(nd(type: 136, from: linkLocal, target: linkLocal + [2, 0, 2, 0, 0, 0, 0, 9])) == nil)
    #expect(claim(nd(type: 133, from: [UInt8](repeating: 0, count: 16), target: [])) == nil)
    var damaged = nd(type: 136, from: linkLocal, target: linkLocal)
    damaged[60] ^= 1
    #expect(claim(damaged) == nil)
  }

  @Test("who is answered: nobody whose address is a group's")
  func askers() {
    let mac = MACAddress("02:00:00:00:00:01")
    #expect(asker(arp()) == mac && asker(arp(address: [0, 0, 0, 0])) == mac)
    #expect(asker(nd(type: 135, from: address(7), target: address(9))) == mac)
    #expect(asker(arp(address: [224, 0, 0, 1])) == nil)
    #expect(asker(nd(type: 135, from: address(1, prefix: [0xff, 0x02]), target: address(9))) == nil)
  }

  @Test("a proxy's advertisement tells of another, and claims nothing for itself")
  func proxy() {
    let frame = nd(type: 136, from: address(9), target: address(9) + [2, 1, 2, 0, 0, 0, 0, 9])
    let message = NeighborMessage(frame.span.bytes)
    #expect(message?.told == NeighborClaim(address: IPAddress("2001:db8::9")!, mac: MACAddress("02:00:00:00:00:09")!, role: .host))
    #expect(message?.claim == nil && message?.asker == nil && message?.isForAnybody == false)
  }

  @Test("truncated anywhere")
  func truncated() {
    for frame in [arp(), nd(type: 136, from: address(7), target: address(9))] {
      for count in 0..<frame.count { #expect(claimed(Array(frame.prefix(count))) == nil) }
    }
  }
}
