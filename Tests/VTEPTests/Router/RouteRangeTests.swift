// Longest prefix match by ranges, against a plain search through all prefixes.

import Encap
import Testing

@testable import VTEP

@Suite("Route ranges")
struct RouteRangeTests {
  private static func random(_ generator: inout SeededRandom, isIPv6: Bool) -> IPAddress {
    // Few bits, so that prefixes lie within each other.
    func bits() -> UInt64 { [0, 1, 0xff, .random(in: 0...15, using: &generator)].randomElement(using: &generator)! }
    if isIPv6 { return IPAddress(high: 0xfd00_0000_0000_0000 | bits() << 32 | bits(), low: bits() << 56 | bits()) }
    return IPAddress(ipv4: UInt32(truncatingIfNeeded: bits() << 28 | bits() << 16 | bits() << 8 | bits()))
  }

  @Test("1,000 random tables with 100 look-ups each")
  func model() {
    var generator = SeededRandom(state: 17)
    for _ in 0..<1000 {
      var prefixes: [IPPrefix: RouteEntry] = [:]
      for number in 0..<Int.random(in: 0...40, using: &generator) {
        let isIPv6 = Bool.random(using: &generator)
        let length = Int.random(in: 0...(isIPv6 ? 128 : 32), using: &generator)
        guard let prefix = IPPrefix(address: Self.random(&generator, isIPv6: isIPv6), length: length) else { continue }
        prefixes[prefix] = RouteEntry(kind: .via, interface: UInt16(number % 5), nextHop: IPAddress(ipv4: UInt32(number % 3)))
      }
      let ranges = RouteRange.ranges(of: prefixes.map { ($0.key, $0.value) })
      #expect(zip(ranges, ranges.dropFirst()).allSatisfy { $0.start < $1.start && $0.route != $1.route })
      ranges.withUnsafeBufferPointer { buffer in
        withUnsafePointer(to: RouterEntry(firstRange: 0, rangeCount: UInt32(ranges.count))) { router in
          guard let start = buffer.baseAddress ?? UnsafePointer(bitPattern: 8) else { return }
          let empty = UnsafePointer<RouterInterface>(bitPattern: 8)!
          let none = UnsafePointer<RouterAddressEntry>(bitPattern: 8)!
          let tables = RouterTables(routers: router, interfaces: empty, addresses: none, ranges: start, requestMAC: .zero)
          let edges = prefixes.keys.map(\.address)
          for _ in 0..<100 {
            let address =
              Bool.random(using: &generator)
              ? edges.randomElement(using: &generator) ?? IPAddress(ipv4: 0) : Self.random(&generator, isIPv6: .random(using: &generator))
            let best = prefixes.filter { $0.key.contains(address) }.max { $0.key.length < $1.key.length }
            #expect(tables.route(0, to: address) == best?.value ?? RouteEntry(), "\(address) in \(prefixes)")
          }
        }
      }
    }
  }

  @Test("an IPv6 default route is none for IPv4, and a table may reach to the last address")
  func families() throws {
    let route = RouteEntry(kind: .via, interface: 1, nextHop: IPAddress("fd00::1")!)
    let ranges = RouteRange.ranges(of: [(IPPrefix("::/0")!, route)])
    func found(_ text: String) throws -> RouteEntry {
      let address = try #require(IPAddress(text))
      return ranges.last { $0.start <= address }?.route ?? RouteEntry()
    }
    #expect(try found("192.0.2.1") == RouteEntry())
    #expect(try found("::1") == route)
    #expect(try found("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") == route)
  }
}
