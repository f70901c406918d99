// The addresses that stations announce in ARP (RFC 826) and ND (RFC 4861), octet by octet.

import Testing

@testable import Encap

@Suite("Station addresses")
struct StationAddressTests {
  private let source: [UInt8] = [2, 0, 0, 0, 0, 1]

  private func claimed(_ frame: [UInt8]) -> String? {
    StationAddress.claimed(by: frame.span.bytes).map(\.description)
  }

  private func arp(sender: [UInt8]? = nil, address: [UInt8] = [10, 0, 0, 7], kind: [UInt8] = [0, 1, 8, 0, 6, 4, 0, 1]) -> [UInt8] {
    [255, 255, 255, 255, 255, 255] + source + [8, 6] + kind + (sender ?? source) + address + [0, 0, 0, 0, 0, 0, 10, 0, 0, 1]
  }

  private func nd(type: UInt8, from ip: [UInt8], target: [UInt8], hopLimit: UInt8 = 255, code: UInt8 = 0) -> [UInt8] {
    let ethernet = [0x33, 0x33, 0xff, 0, 0, 1] + source + [0x86, 0xdd]
    let header: [UInt8] = [0x60, 0, 0, 0, 0, 24, 58, hopLimit] + ip + [0xff, 2] + [UInt8](repeating: 0, count: 13) + [1]
    return ethernet + header + [type, code, 0, 0, 0, 0, 0, 0] + target
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

  @Test("truncated anywhere")
  func truncated() {
    for frame in [arp(), nd(type: 136, from: address(7), target: address(9))] {
      for count in 0..<frame.count { #expect(claimed(Array(frame.prefix(count))) == nil) }
    }
  }
}
