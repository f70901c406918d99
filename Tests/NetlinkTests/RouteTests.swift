// Route lookups against real tables: two routers, one of which may lose its carrier.

import Encap
import Testing

@testable import Netlink

/// A host with two uplinks, each to a router of its own: 10.0.0.2 on u0 and 10.1.0.2 on u1, and the same in IPv6.
final class TwoUplinks {
  let host: TestNamespace
  let router: TestNamespace

  init() throws {
    host = try TestNamespace()
    router = try TestNamespace()
    for uplink in 0...1 {
      try host.connect("u\(uplink)", to: router, "p\(uplink)")
      try host.address("10.\(uplink).0.1/24", "2001:db8:\(uplink)::1/64", on: "u\(uplink)")
      try router.address("10.\(uplink).0.2/24", "2001:db8:\(uplink)::2/64", on: "p\(uplink)")
    }
  }
}

@Suite(.enabled(if: isRoot, needsRoot)) struct RouteTests {
  private func address(_ text: String) -> IPAddress { IPAddress(text)! }

  /// Calls `body` in the host's namespace with the indexes of u0 and u1.
  private func inHost(
    _ lab: TwoUplinks, _ body: (NetlinkSocket, _ u0: Int32, _ u1: Int32) throws -> Void
  ) throws {
    try lab.host.run {
      let netlink = try NetlinkSocket()
      let u0 = try #require(try netlink.link(named: "u0")).index
      let u1 = try #require(try netlink.link(named: "u1")).index
      #expect(try eventually { try netlink.link(index: u0)?.isRunning == true })
      #expect(try eventually { try netlink.link(index: u1)?.isRunning == true })
      try body(netlink, u0, u1)
    }
  }

  @Test func onLinkDefaultAndLocal() throws {
    let lab = try TwoUplinks()
    try lab.host.ip("route add default via 10.0.0.2")
    try lab.host.ip("route add default via 2001:db8:1::2")
    try inHost(lab) { netlink, u0, u1 throws in
      let onLink = try netlink.route(to: address("10.1.0.77"), from: nil)
      #expect(onLink?.nextHops == [NextHop(gateway: nil, interfaceIndex: u1)])
      #expect(onLink?.preferredSource == address("10.1.0.1"))
      #expect(
        try netlink.route(to: address("2001:db8::77"), from: nil)?.nextHops == [
          NextHop(gateway: nil, interfaceIndex: u0)
        ])

      #expect(
        try netlink.route(to: address("192.0.2.1"), from: address("10.0.0.1"))
          == Route(type: .unicast, nextHops: [NextHop(gateway: address("10.0.0.2"), interfaceIndex: u0)]))
      #expect(
        try netlink.route(to: address("2001:db8:f::1"), from: address("2001:db8::1"))?.nextHops == [
          NextHop(gateway: address("2001:db8:1::2"), interfaceIndex: u1)
        ])
      #expect(try netlink.route(to: address("10.0.0.1"), from: nil)?.type == .local)
      #expect(try netlink.route(to: address("2001:db8::1"), from: nil)?.type == .local)
    }
  }

  @Test func routesThatLeadNowhere() throws {
    let lab = try TwoUplinks()
    for (number, type) in ["blackhole", "unreachable", "prohibit"].enumerated() {
      try lab.host.ip("route add \(type) 203.0.113.\(number)")
      try lab.host.ip("route add \(type) 2001:db8:dead::\(number)")
    }
    try inHost(lab) { netlink, _, _ throws in
      for source in [nil, address("10.0.0.1"), address("172.16.0.1")] {
        #expect(try netlink.route(to: address("203.0.113.0"), from: source) == Route(type: .blackhole))
        #expect(try netlink.route(to: address("203.0.113.1"), from: source) == Route(type: .unreachable))
        #expect(try netlink.route(to: address("203.0.113.2"), from: source) == Route(type: .prohibit))
        #expect(try netlink.route(to: address("198.51.100.1"), from: source) == nil)
      }
      for source in [nil, address("2001:db8::1"), address("2001:db8:99::1")] {
        #expect(try netlink.route(to: address("2001:db8:dead::"), from: source) == Route(type: .blackhole))
        #expect(try netlink.route(to: address("2001:db8:dead::1"), from: source) == Route(type: .unreachable))
        #expect(try netlink.route(to: address("2001:db8:dead::2"), from: source) == Route(type: .prohibit))
        #expect(try netlink.route(to: address("2001:db8:f::1"), from: source) == nil)
      }
    }
  }

  @Test(arguments: [false, true])
  func multipath4(ignoringLinkDown: Bool) throws {
    let lab = try TwoUplinks()
    try lab.host.ip(
      "route add 192.0.2.0/24 mtu 1400 src 10.0.0.1 nexthop via 10.0.0.2 weight 3 nexthop via 10.1.0.2")
    if ignoringLinkDown { try lab.host.exec("sysctl -qw net.ipv4.conf.all.ignore_routes_with_linkdown=1") }
    try inHost(lab) { netlink, u0, u1 throws in
      var expected = Route(
        type: .unicast,
        nextHops: [
          NextHop(gateway: address("10.0.0.2"), interfaceIndex: u0, weight: 3),
          NextHop(gateway: address("10.1.0.2"), interfaceIndex: u1),
        ], mtu: 1400, preferredSource: address("10.0.0.1"))
      for source in [nil, address("10.0.0.1"), address("172.16.0.1")] {
        #expect(try netlink.route(to: address("192.0.2.9"), from: source) == expected)
      }
      try lab.router.ip("link set p1 down")
      expected.nextHops[1].isUsable = false
      #expect(try eventually { try netlink.route(to: address("192.0.2.9"), from: nil) == expected })
      try lab.router.ip("link set p1 up")
      expected.nextHops[1].isUsable = true
      #expect(try eventually { try netlink.route(to: address("192.0.2.9"), from: nil) == expected })
    }
  }

  @Test func multipath6() throws {
    let lab = try TwoUplinks()
    try lab.host.ip("-6 route add 2001:db8:f::/64 nexthop via 2001:db8::2 nexthop via 2001:db8:1::2 weight 2")
    try inHost(lab) { netlink, u0, u1 throws in
      func hops() throws -> [NextHop]? {
        try netlink.route(to: address("2001:db8:f::1"), from: address("2001:db8::1"))?.nextHops
      }
      let first = NextHop(gateway: address("2001:db8::2"), interfaceIndex: u0)
      var second = NextHop(gateway: address("2001:db8:1::2"), interfaceIndex: u1, weight: 2)
      #expect(try hops() == [first, second])
      try lab.router.ip("link set p1 down")
      second.isUsable = false
      #expect(try eventually { try hops() == [first, second] })
      try lab.router.ip("link set p1 up")
      second.isUsable = true
      #expect(try eventually { try hops() == [first, second] })
      // Administratively down and up again: the kernel reverses its list, we do not.
      for up in [false, true] {
        try netlink.setLink(index: u0, up: up)
        let firstNow = NextHop(gateway: first.gateway, interfaceIndex: u0, isUsable: up)
        #expect(try eventually { try hops() == [firstNow, second] })
      }
    }
  }

  @Test func routesAppendedOneByOneInIPv6AreOneMultipathRoute() throws {
    let lab = try TwoUplinks()
    try lab.host.ip("-6 route add 2001:db8:f::/64 via 2001:db8::2 metric 10")
    try lab.host.ip("-6 route append 2001:db8:f::/64 via 2001:db8:1::2 metric 10")
    try inHost(lab) { netlink, _, _ throws in
      #expect(try netlink.route(to: address("2001:db8:f::1"), from: nil)?.nextHops.count == 2)
    }
  }

  @Test func nextHopObjectsArriveExpanded() throws {
    let lab = try TwoUplinks()
    try lab.host.ip("nexthop add id 1 via 10.0.0.2 dev u0")
    try lab.host.ip("nexthop add id 2 via 10.1.0.2 dev u1")
    try lab.host.ip("nexthop add id 10 group 1/2")
    try lab.host.ip("route add 192.0.2.0/24 nhid 10")
    try inHost(lab) { netlink, u0, u1 throws in
      #expect(
        try netlink.route(to: address("192.0.2.9"), from: nil)?.nextHops == [
          NextHop(gateway: address("10.0.0.2"), interfaceIndex: u0),
          NextHop(gateway: address("10.1.0.2"), interfaceIndex: u1),
        ])
    }
  }

  @Test(arguments: [0, 1])
  func nextHopObjectsAreFollowedToTheirMembers(compatible: Int) throws {
    let lab = try TwoUplinks()
    try lab.host.exec("sysctl -qw net.ipv4.nexthop_compat_mode=\(compatible)")
    for (family, gateways, prefix) in [
      ("-4", ["10.0.0.2", "10.1.0.2"], "192.0.2"), ("-6", ["2001:db8::2", "2001:db8:1::2"], "2001:db8:f:"),
    ] {
      let base = family == "-4" ? 0 : 100
      try lab.host.ip("\(family) nexthop add id \(base + 1) via \(gateways[0]) dev u0")
      try lab.host.ip("\(family) nexthop add id \(base + 2) via \(gateways[1]) dev u1")
      try lab.host.ip("\(family) nexthop add id \(base + 3) via \(gateways[0]) dev u0")
      try lab.host.ip("\(family) nexthop add id \(base + 4) blackhole")
      try lab.host.ip("nexthop add id \(base + 10) group \(base + 1),3/\(base + 2),5")
      try lab.host.ip("nexthop add id \(base + 11) group \(base + 1)/\(base + 2)/\(base + 3),2")
      func destination(_ number: Int) -> String { family == "-4" ? "\(prefix).\(number)" : "\(prefix):\(number)" }
      for (number, object) in [(1, 1), (4, 4), (10, 10), (11, 11)] {
        try lab.host.ip("\(family) route add \(destination(number)) nhid \(base + object)")
      }
      try inHost(lab) { netlink, u0, u1 throws in
        func hops(_ number: Int) throws -> [NextHop]? { try netlink.route(to: address(destination(number)), from: nil)?.nextHops }
        func hop(_ index: Int, _ weight: Int = 1) -> NextHop {
          NextHop(gateway: address(gateways[index]), interfaceIndex: index == 0 ? u0 : u1, weight: weight)
        }
        #expect(try hops(1) == [hop(0)])
        #expect(try hops(10) == [hop(0, 3), hop(1, 5)])
        #expect(try hops(11) == [hop(0, 3), hop(1, 1)], "the same next hop twice")
        #expect(try netlink.route(to: address(destination(4)), from: nil)?.type == .blackhole)
      }
    }
  }

  @Test func rulesAboutUDPAndItsPort() throws {
    let lab = try TwoUplinks()
    let families = [
      ("-4", "192.0.2.0/24", ["10.0.0.2", "10.1.0.2"]), ("-6", "2001:db8:f::/64", ["2001:db8::2", "2001:db8:1::2"]),
    ]
    for (family, prefix, gateways) in families {
      try lab.host.ip("\(family) route add \(prefix) via \(gateways[0])")
      try lab.host.ip("\(family) route add \(prefix) via \(gateways[1]) table 100")
      try lab.host.ip("\(family) rule add ipproto udp dport 4789 table 100")
    }
    try inHost(lab) { netlink, u0, u1 throws in
      for (destination, source) in [("192.0.2.1", "10.0.0.1"), ("2001:db8:f::1", "2001:db8::1")] {
        func interface(_ port: UInt16?) throws -> Int32? {
          try netlink.route(to: address(destination), from: address(source), udpPort: port)?.nextHops.first?.interfaceIndex
        }
        #expect(try interface(4789) == u1)
        #expect(try interface(4790) == u0)
        #expect(try interface(nil) == u0)
      }
    }
  }

  @Test func rulesAreHonoured() throws {
    let lab = try TwoUplinks()
    try lab.host.ip("route add 192.0.2.0/24 via 10.0.0.2")
    try lab.host.ip("route add 192.0.2.0/24 via 10.1.0.2 table 100")
    try lab.host.ip("rule add from 10.1.0.1 table 100")
    try lab.host.ip("rule add from 10.0.0.1 to 192.0.2.128/25 prohibit")
    try lab.host.ip("-6 route add 2001:db8:f::/64 via 2001:db8::2")
    try lab.host.ip("-6 route add 2001:db8:f::/64 via 2001:db8:1::2 table 100")
    try lab.host.ip("-6 rule add from 2001:db8:1::1 table 100")
    try inHost(lab) { netlink, u0, u1 throws in
      func interface(_ destination: String, _ source: String) throws -> Int32? {
        try netlink.route(to: address(destination), from: address(source))?.nextHops.first?.interfaceIndex
      }
      #expect(try interface("192.0.2.1", "10.0.0.1") == u0)
      #expect(try interface("192.0.2.1", "10.1.0.1") == u1)
      #expect(try interface("2001:db8:f::1", "2001:db8::1") == u0)
      #expect(try interface("2001:db8:f::1", "2001:db8:1::1") == u1)
      #expect(try netlink.route(to: address("192.0.2.200"), from: address("10.0.0.1")) == Route(type: .prohibit))
    }
  }

  @Test func ruleThatHidesARouteIsNotOverridden() throws {
    // The source is configured, so "no route" is the answer, although there is a route without the source.
    let lab = try TwoUplinks()
    try lab.host.ip("route add 192.0.2.0/24 via 10.0.0.2")
    try lab.host.ip("rule add from 10.1.0.1 unreachable")
    try inHost(lab) { netlink, u0, _ throws in
      #expect(try netlink.route(to: address("192.0.2.1"), from: address("10.1.0.1")) == nil)
      #expect(try netlink.route(to: address("192.0.2.1"), from: nil)?.nextHops.first?.interfaceIndex == u0)
    }
  }
}
