// Links and addresses of real namespaces.

import Encap
import Glibc
import Testing

@testable import Netlink

@Suite(.enabled(if: isRoot, needsRoot)) struct LinkTests {
  @Test func linksAreListedAndFound() throws {
    let here = try TestNamespace()
    let there = try TestNamespace()
    try here.ip("link add u0 address 02:00:00:00:01:01 type veth peer name p0 netns \(there.name)")
    try here.ip("link add br0 type bridge")
    try here.ip("link set u0 master br0")
    try here.run {
      let netlink = try NetlinkSocket()
      #expect(try netlink.links().map(\.name).sorted() == ["br0", "lo", "u0"])

      let u0 = try #require(try netlink.link(named: "u0"))
      let br0 = try #require(try netlink.link(named: "br0"))
      #expect(u0.mac == MACAddress(bits: 0x02_00_00_00_01_01))
      #expect(u0.mtu == 1500)
      #expect(u0.kind == "veth")
      #expect(u0.masterIndex == br0.index)
      #expect(u0.linkNetnsID != nil)
      #expect(!u0.isUp && !u0.isRunning)
      #expect(br0.kind == "bridge")
      #expect(try netlink.link(index: u0.index) == u0)

      let lo = try #require(try netlink.link(named: "lo"))
      #expect(lo.isRunning && lo.kind == nil && lo.mac.isZero)

      #expect(try netlink.link(named: "nope") == nil)
      #expect(try netlink.link(named: "") == nil)
      #expect(try netlink.link(named: "a-name-longer-than-the-kernel-allows") == nil)
      #expect(try netlink.link(index: 4711) == nil)
      #expect(try netlink.link(index: 0) == nil)
    }
    withExtendedLifetime(there) {}
  }

  @Test func linkIsSetUpAndDown() throws {
    let here = try TestNamespace()
    let there = try TestNamespace()
    try here.ip("link add u0 type veth peer name p0 netns \(there.name)")
    try here.run {
      let netlink = try NetlinkSocket()
      let index = try #require(try netlink.link(named: "u0")).index
      try netlink.setLink(index: index, up: true)
      #expect(try netlink.link(index: index)?.isUp == true)
      #expect(try netlink.link(index: index)?.isRunning == false, "the other end is down")
      try there.ip("link set p0 up")
      #expect(try eventually { try netlink.link(index: index)?.isRunning == true })
      try there.ip("link set p0 down")
      #expect(try eventually { try netlink.link(index: index)?.isRunning == false })
      try netlink.setLink(index: index, up: false)
      #expect(try netlink.link(index: index)?.isUp == false)
    }
    withExtendedLifetime(there) {}
  }

  @Test func mtuIsSet() throws {
    let here = try TestNamespace()
    try here.ip("link add u0 type veth peer name p0")
    try here.run {
      let netlink = try NetlinkSocket()
      let index = try #require(try netlink.link(named: "u0")).index
      try netlink.setMTU(index: index, mtu: 1400)
      #expect(try netlink.link(index: index)?.mtu == 1400)
      // The message is the kernel's.
      let error = #expect(throws: NetlinkError.self) { try netlink.setMTU(index: index, mtu: 10) }
      #expect(error?.code == EINVAL)
      #expect(error?.description == "interface \(index): set MTU 10: Invalid argument (mtu less than device minimum)")
      #expect(throws: NetlinkError.self) { try netlink.setMTU(index: index, mtu: -1) }
      let missing = #expect(throws: NetlinkError.self) { try netlink.setLink(index: 4711, up: true) }
      #expect(missing?.code == ENODEV)
    }
  }

  @Test func addressesAreListed() throws {
    let here = try TestNamespace()
    let there = try TestNamespace()
    try here.connect("u0", to: there, "p0")
    try here.address("192.0.2.1/24", "2001:db8::1/64", on: "u0")
    try here.run {
      let netlink = try NetlinkSocket()
      let index = try #require(try netlink.link(named: "u0")).index
      let found = try netlink.addresses().filter { $0.interfaceIndex == index && !$0.address.isLinkLocal }
      #expect(
        found == [
          InterfaceAddress(interfaceIndex: index, address: IPAddress("192.0.2.1")!, prefixLength: 24),
          InterfaceAddress(interfaceIndex: index, address: IPAddress("2001:db8::1")!, prefixLength: 64),
        ])
    }
    withExtendedLifetime(there) {}
  }

  @Test func longListsArriveWhole() throws {
    let here = try TestNamespace()
    for chunk in 0..<4 {
      let commands = (0..<250).map { "addr add 10.9.\(chunk).\($0)/32 dev lo" }.joined(separator: "\n")
      try withTemporaryFile(commands) { try here.ip("-batch \($0)") }
    }
    try here.run {
      let found = try NetlinkSocket().addresses()
      #expect(found.count { $0.prefixLength == 32 && $0.address.isIPv4 } == 1000)
    }
  }

  @Test func listsStayWholeWhileTheyChange() throws {
    let here = try TestNamespace()
    let leaving = (0..<3000).map { "10.7.\($0 / 250).\($0 % 250)" }
    let staying = (0..<2000).map { "10.8.\($0 / 250).\($0 % 250)" }
    let additions = (leaving + staying).map { "addr add \($0)/32 dev lo" }
    try withTemporaryFile(additions.joined(separator: "\n")) { try here.ip("-batch \($0)") }
    // Each address that is removed moves the following ones forward, past the point where a dump continues.
    let removals = leaving.map { "addr del \($0)/32 dev lo" } + ["link set lo mtu 60000"]
    try withTemporaryFile(removals.joined(separator: "\n")) { batch in
      try withTemporaryFile("ip -n \(here.name) -batch \(batch) >/dev/null 2>&1 &") { script in
        try here.run {
          let netlink = try NetlinkSocket()
          try shell("sh \(script)")
          let isFinished = try eventually {
            let found = Set(try netlink.addresses().map { "\($0.address)" })
            #expect(found.isSuperset(of: staying))
            return try netlink.link(named: "lo")?.mtu == 60000
          }
          #expect(isFinished)
        }
      }
    }
  }
}
