// Golden bytes: messages from a Linux 6.18 kernel, parsed without a kernel. Integers are in host byte order (little endian),
// addresses in network byte order.

import Encap
import Glibc
import Testing

@testable import Netlink

/// Converts hexadecimal text to a received datagram and calls `body` with it.
private func withDatagram<Value>(_ hex: String, _ body: (UnsafeRawBufferPointer) -> Value) -> Value {
  let bytes = hex.split(whereSeparator: \.isWhitespace).map { UInt8($0, radix: 16)! }
  let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 16)
  defer { memory.deallocate() }
  memory.copyBytes(from: bytes)
  return body(UnsafeRawBufferPointer(memory))
}

private func parse<Value>(_ hex: String, _ read: (NetlinkMessage) -> Value?) -> [Value] {
  withDatagram(hex) { datagram in
    var values: [Value] = []
    NetlinkMessage.forEach(in: datagram) { message in
      if let value = read(message) { values.append(value) }
      return true
    }
    return values
  }
}

private func address(_ text: String) -> IPAddress { IPAddress(text)! }

@Suite struct MessageTests {
  // nlmsghdr: length 100, RTM_NEWLINK; ifinfomsg: AF_UNSPEC, type 1, index 2, flags 0x11043 (UP, RUNNING, LOWER_UP);
  // IFNAME "u0"; OPERSTATE 6; MTU 1500; CARRIER 1; ADDRESS; LINKINFO { KIND "veth" }; LINK_NETNSID 0.
  // Statistics and the like are omitted, and the length is adapted.
  static let link = """
    64 00 00 00 10 00 00 00 01 00 00 00 ef 4e 00 00
    00 00 01 00 02 00 00 00 43 10 01 00 00 00 00 00
    07 00 03 00 75 30 00 00 05 00 10 00 06 00 00 00
    08 00 04 00 dc 05 00 00 05 00 21 00 01 00 00 00
    0a 00 01 00 02 00 00 00 01 01 00 00 10 00 12 00
    09 00 01 00 76 65 74 68 00 00 00 00 08 00 25 00
    00 00 00 00
    """

  @Test func linkIsRead() {
    let expected = Link(
      index: 2, name: "u0", mac: MACAddress(bits: 0x02_00_00_00_01_01), mtu: 1500, isUp: true, isRunning: true,
      kind: "veth", linkNetnsID: 0)
    #expect(parse(Self.link) { Link($0) } == [expected])
  }

  @Test(arguments: [
    ("03 10 01 00", true, false), // UP, LOWER_UP, not RUNNING
    ("43 10 00 00", true, false), // UP, RUNNING, no carrier
    ("42 10 01 00", false, false), // not UP
    ("43 10 01 00", true, true),
  ])
  func linkRunsOnlyWithAllThreeFlags(flags: String, isUp: Bool, isRunning: Bool) {
    let link = parse(Self.link.replacing("43 10 01 00", with: flags)) { Link($0) }
    #expect(link.map(\.isUp) == [isUp])
    #expect(link.map(\.isRunning) == [isRunning])
  }

  @Test func bridgePortMessageIsNotALink() {
    // ifi_family AF_BRIDGE (7).
    #expect(parse(Self.link.replacing("00 00 01 00 02", with: "07 00 01 00 02")) { Link($0) } == [])
  }

  // Three of a dump: RTM_NEWADDR (20), NLM_F_MULTI; ifaddrmsg: family, prefix length, flags, scope, index; then
  // ADDRESS and LOCAL (IPv4) or ADDRESS alone (IPv6), LABEL, FLAGS, CACHEINFO.
  @Test func addressesAreRead() {
    let found = parse(
      """
      4c 00 00 00 14 00 02 00 02 00 00 00 85 4e 00 00
      02 18 80 00 02 00 00 00 08 00 01 00 0a 00 00 01
      08 00 02 00 0a 00 00 01 07 00 03 00 75 30 00 00
      08 00 08 00 80 00 00 00 14 00 06 00 ff ff ff ff
      ff ff ff ff f6 66 04 00 f6 66 04 00
      48 00 00 00 14 00 02 00 02 00 00 00 85 4e 00 00
      0a 40 82 00 02 00 00 00 14 00 01 00 20 01 0d b8
      00 00 00 00 00 00 00 00 00 00 00 01 14 00 06 00
      ff ff ff ff ff ff ff ff f7 66 04 00 f7 66 04 00
      08 00 08 00 82 00 00 00
      4c 00 00 00 14 00 02 00 02 00 00 00 85 4e 00 00
      02 18 80 00 03 00 00 00 08 00 01 00 0a 01 00 09
      08 00 02 00 0a 01 00 01 07 00 03 00 75 31 00 00
      08 00 08 00 80 00 00 00 14 00 06 00 ff ff ff ff
      ff ff ff ff f8 66 04 00 f8 66 04 00
      """
    ) { InterfaceAddress($0) }
    #expect(
      found == [
        InterfaceAddress(interfaceIndex: 2, address: address("10.0.0.1"), prefixLength: 24),
        InterfaceAddress(interfaceIndex: 2, address: address("2001:db8::1"), prefixLength: 64),
        // Point to point: ADDRESS is the peer, 10.1.0.9.
        InterfaceAddress(interfaceIndex: 3, address: address("10.1.0.1"), prefixLength: 24),
      ])
  }

  // RTM_NEWNEIGH (28); ndmsg: AF_INET, index 2, NUD_REACHABLE; DST 10.0.0.2; LLADDR; PROBES; CACHEINFO.
  @Test func resolvedNeighborIsRead() {
    let found = parse(
      """
      4c 00 00 00 1c 00 00 00 11 00 00 00 ef 4e 00 00
      02 00 00 00 02 00 00 00 02 00 00 01 08 00 01 00
      0a 00 00 02 0a 00 02 00 02 00 00 00 01 02 00 00
      08 00 04 00 04 00 00 00 14 00 03 00 00 00 00 00
      00 00 00 00 00 00 00 00 02 00 00 00
      """
    ) { Neighbor($0) }
    let expected = Neighbor(
      interfaceIndex: 2, address: address("10.0.0.2"), mac: MACAddress(bits: 0x02_00_00_00_01_02), state: .reachable)
    #expect(found == [expected])
    #expect(found.map(\.isResolved) == [true])
  }

  // AF_INET6, NUD_INCOMPLETE; DST 2001:db8::2; no LLADDR; FLAGS_EXT 1 (managed).
  @Test func managedIncompleteNeighborIsRead() {
    let found = parse(
      """
      54 00 00 00 1c 00 00 00 12 00 00 00 ef 4e 00 00
      0a 00 00 00 02 00 00 00 01 00 00 01 14 00 01 00
      20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 02
      08 00 04 00 04 00 00 00 14 00 03 00 8e 17 00 00
      1e 00 00 00 1e 00 00 00 02 00 00 00 08 00 0f 00
      01 00 00 00
      """
    ) { Neighbor($0) }
    let expected = Neighbor(
      interfaceIndex: 2, address: address("2001:db8::2"), mac: nil, state: .incomplete, isManaged: true)
    #expect(found == [expected])
    #expect(found.map(\.isResolved) == [false])
  }

  @Test func neighborStatesAreDistinguished() {
    let states: [(UInt16, Neighbor.State, resolved: Bool)] = [
      (0x01, .incomplete, false), (0x02, .reachable, true), (0x04, .stale, true), (0x08, .delay, true),
      (0x10, .probe, true), (0x20, .failed, false), (0x40, .noarp, true), (0x80, .permanent, true), (0x00, .none, false),
    ]
    for (bits, state, resolved) in states {
      #expect(Neighbor.State(kernelState: bits) == state)
      let neighbor = Neighbor(interfaceIndex: 1, address: address("10.0.0.1"), mac: MACAddress(bits: 2), state: state)
      #expect(neighbor.isResolved == resolved)
      #expect(neighbor.isFailed == (state == .failed))
    }
  }

  @Test func truncatedMessagesAreRejected() {
    let bytes = Self.link.split(whereSeparator: \.isWhitespace)
    for length in 0..<bytes.count {
      #expect(parse(bytes[..<length].joined(separator: " ")) { Link($0) } == [], "\(length) bytes")
    }
    // nlmsg_len is less than the family header needs; then with attributes, truncated at every length.
    for length in 16..<bytes.count {
      var short = bytes[..<length].map { String($0) }
      short[0] = String(length, radix: 16)
      _ = parse(short.joined(separator: " ")) { Link($0) }
    }
  }

  // NLMSG_ERROR (2), flags ACK_TLVS (0x200): -EINVAL; the request in full (44 bytes); MSG "Invalid NTF_* flag ...".
  @Test func acknowledgementCarriesTheKernelsText() {
    let found = parse(
      """
      6c 00 00 00 02 00 00 02 13 00 00 00 ef 4e 00 00
      ea ff ff ff 2c 00 00 00 1c 00 05 04 13 00 00 00
      00 00 00 00 02 00 00 00 02 00 00 00 80 00 00 00
      08 00 01 00 0a 00 00 63 08 00 0f 00 01 00 00 00
      2b 00 01 00 49 6e 76 61 6c 69 64 20 4e 54 46 5f
      2a 20 66 6c 61 67 20 66 6f 72 20 70 65 72 6d 61
      6e 65 6e 74 20 65 6e 74 72 79 00 00
      """
    ) { $0.acknowledgement }
    #expect(found.map(\.code) == [EINVAL])
    #expect(found.map(\.detail) == ["Invalid NTF_* flag for permanent entry"])
  }

  // -ENODEV, the request echoed, no text; and success, capped (flags 0x100).
  @Test func acknowledgementWithoutText() {
    let found = parse(
      """
      40 00 00 00 02 00 00 00 14 00 00 00 ef 4e 00 00
      ed ff ff ff 2c 00 00 00 12 00 05 00 14 00 00 00
      00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
      00 00 00 00 09 00 03 00 6e 6f 70 65 00 00 00 00
      24 00 00 00 02 00 00 01 03 00 00 00 85 4e 00 00
      00 00 00 00 24 00 00 00 1a 00 05 00 03 00 00 00
      00 00 00 00
      """
    ) { $0.acknowledgement }
    #expect(found.map(\.code) == [ENODEV, 0])
    #expect(found.map(\.detail) == [nil, nil])
  }
}

@Suite struct RouteMessageTests {
  private func address(_ text: String) -> IPAddress { IPAddress(text)! }

  // RTM_NEWROUTE (24); rtmsg: AF_INET, /24, table main, protocol boot, universe, unicast; TABLE; DST 192.0.2.0;
  // METRICS { MTU 1400 }; PREFSRC 10.0.0.1; MULTIPATH: { flags 0, hops 2, index 2, GATEWAY 10.0.0.2 },
  // { flags 0x10 (LINKDOWN), hops 0, index 3, GATEWAY 10.1.0.2 }.
  static let multipath4 = """
    64 00 00 00 18 00 00 00 07 00 00 00 ef 4e 00 00
    02 18 00 00 fe 03 00 01 00 00 00 00 08 00 0f 00
    fe 00 00 00 08 00 01 00 c0 00 02 00 0c 00 08 00
    08 00 02 00 78 05 00 00 08 00 07 00 0a 00 00 01
    24 00 09 00 10 00 00 02 02 00 00 00 08 00 05 00
    0a 00 00 02 10 00 10 00 03 00 00 00 08 00 05 00
    0a 01 00 02
    """

  @Test func multipath4IsRead() {
    let expected = Route(
      type: .unicast,
      nextHops: [
        NextHop(gateway: address("10.0.0.2"), interfaceIndex: 2, weight: 3),
        NextHop(gateway: address("10.1.0.2"), interfaceIndex: 3, weight: 1, isUsable: false),
      ], mtu: 1400, preferredSource: address("10.0.0.1"))
    #expect(parse(Self.multipath4) { Route($0) } == [expected])
  }

  // As above with AF_INET6, /64: 2001:db8:f::; PRIORITY; MULTIPATH; CACHEINFO; PREF.
  @Test func multipath6IsRead() {
    let found = parse(
      """
      a8 00 00 00 18 00 00 00 08 00 00 00 ef 4e 00 00
      0a 40 00 00 fe 03 00 01 00 00 00 00 08 00 0f 00
      fe 00 00 00 14 00 01 00 20 01 0d b8 00 0f 00 00
      00 00 00 00 00 00 00 00 08 00 06 00 00 04 00 00
      3c 00 09 00 1c 00 10 01 03 00 00 00 14 00 05 00
      20 01 0d b8 00 01 00 00 00 00 00 00 00 00 00 02
      1c 00 00 00 02 00 00 00 14 00 05 00 20 01 0d b8
      00 00 00 00 00 00 00 00 00 00 00 02 24 00 0c 00
      00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
      00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
      05 00 14 00 00 00 00 00
      """
    ) { Route($0) }
    let expected = Route(
      type: .unicast,
      nextHops: [
        NextHop(gateway: address("2001:db8:1::2"), interfaceIndex: 3, weight: 2, isUsable: false),
        NextHop(gateway: address("2001:db8::2"), interfaceIndex: 2, weight: 1),
      ])
    #expect(found == [expected])
  }

  // One next hop in the route itself: 198.51.100.0/24; VIA { AF_INET6, fe80::1 }; OIF 2.
  @Test func gatewayOfTheOtherFamilyIsRead() {
    let found = parse(
      """
      4c 00 00 00 18 00 00 00 04 00 00 00 ef 4e 00 00
      02 18 00 00 fe 03 00 01 00 00 00 00 08 00 0f 00
      fe 00 00 00 08 00 01 00 c6 33 64 00 16 00 12 00
      0a 00 fe 80 00 00 00 00 00 00 00 00 00 00 00 00
      00 01 00 00 08 00 04 00 02 00 00 00
      """
    ) { Route($0) }
    #expect(found == [Route(type: .unicast, nextHops: [NextHop(gateway: address("fe80::1"), interfaceIndex: 2)])])
  }

  // On the link: 10.1.0.0/24, PREFSRC, OIF 3, no GATEWAY; rtm_flags 0x10: LINKDOWN.
  @Test func onLinkRouteWithoutCarrierIsRead() {
    let found = parse(
      """
      3c 00 00 00 18 00 00 00 09 00 00 00 ef 4e 00 00
      02 18 00 00 fe 02 fd 01 10 00 00 00 08 00 0f 00
      fe 00 00 00 08 00 01 00 0a 01 00 00 08 00 07 00
      0a 01 00 01 08 00 04 00 03 00 00 00
      """
    ) { Route($0) }
    let hop = NextHop(gateway: nil, interfaceIndex: 3, isUsable: false)
    #expect(found == [Route(type: .unicast, nextHops: [hop], preferredSource: address("10.1.0.1"))])
  }

  @Test func severalMessagesMakeOneRoute() {
    // The older form of IPv6 multipath: one message per next hop, distinguished only by GATEWAY and OIF.
    let template = """
      48 00 00 00 18 00 02 00 0a 00 00 00 ef 4e 00 00
      0a 40 00 00 fe 03 00 01 00 00 00 00 08 00 0f 00
      fe 00 00 00 14 00 05 00 20 01 0d b8 00 0X 00 00
      00 00 00 00 00 00 00 02 08 00 04 00 0X 00 00 00
      08 00 06 00 00 04 00 00
      """
    var route: Route?
    for part in parse(template.replacing("X", with: "2") + " " + template.replacing("X", with: "3"), { Route($0) }) {
      if route?.merge(part) == nil { route = part }
    }
    #expect(
      route?.nextHops == [
        NextHop(gateway: address("2001:db8:2::2"), interfaceIndex: 2),
        NextHop(gateway: address("2001:db8:3::2"), interfaceIndex: 3),
      ])
  }

  @Test func nextHopListEndsAtABadLength() {
    // The second rtnh_len is longer than the attribute, then shorter than its own header.
    for length in ["ff 00", "04 00"] {
      let hex = Self.multipath4.replacing("10 00 10 00 03", with: "\(length) 10 00 03")
      #expect(parse(hex) { Route($0) }.map(\.nextHops.count) == [1])
    }
  }
}
