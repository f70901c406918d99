// The stream of changes, and what happens when it overflows.

import Encap
import Glibc
import Testing

@testable import Netlink

@Suite(.enabled(if: isRoot, needsRoot)) struct MonitorTests {
  private let here: TestNamespace
  private let there: TestNamespace

  init() throws {
    here = try TestNamespace()
    there = try TestNamespace()
    // No link-local addresses: duplicate address detection would report changes of its own a second later.
    for namespace in [here, there] { try namespace.exec("sysctl -qw net.ipv6.conf.default.addr_gen_mode=1") }
    try here.connect("u0", to: there, "p0")
    try here.run {
      let netlink = try NetlinkSocket()
      let isRunning = try eventually { try netlink.link(named: "u0")?.isRunning == true }
      #expect(isRunning)
    }
  }

  /// Reads until `condition` holds for the changes seen so far.
  private func collect(
    _ monitor: NetlinkMonitor, until condition: ([NetlinkChange]) -> Bool
  ) throws -> [NetlinkChange] {
    var changes: [NetlinkChange] = []
    let isMet = try eventually {
      try monitor.read { changes.append($0) }
      return condition(changes)
    }
    #expect(isMet, "\(changes)")
    return changes
  }

  @Test func linkChangesAreReported() throws {
    try here.run {
      let monitor = try NetlinkMonitor()
      try there.ip("link set p0 down")
      _ = try collect(monitor) {
        $0.contains { if case .link(let link) = $0 { link.name == "u0" && link.isUp && !link.isRunning } else { false } }
      }
      try there.ip("link set p0 up")
      _ = try collect(monitor) {
        $0.contains { if case .link(let link) = $0 { link.name == "u0" && link.isRunning } else { false } }
      }
      try here.ip("link set u0 mtu 1400")
      _ = try collect(monitor) {
        $0.contains { if case .link(let link) = $0 { link.name == "u0" && link.mtu == 1400 } else { false } }
      }
      let index = try #require(try NetlinkSocket().link(named: "u0")).index
      try here.ip("link del u0")
      _ = try collect(monitor) { $0.contains(.linkRemoved(index: index, name: "u0")) }
    }
  }

  @Test func linkThatMovesAwayIsRemoved() throws {
    try here.run {
      let index = try #require(try NetlinkSocket().link(named: "u0")).index
      let monitor = try NetlinkMonitor()
      try here.ip("link set u0 netns \(there.name)")
      _ = try collect(monitor) { $0.contains(.linkRemoved(index: index, name: "u0")) }
    }
  }

  @Test func portThatLeavesItsBridgeIsNotRemoved() throws {
    try here.ip("link add br0 type bridge")
    try here.ip("link set u0 master br0")
    try here.run {
      let monitor = try NetlinkMonitor()
      try here.ip("link set u0 nomaster")
      try here.ip("link del br0")
      let changes = try collect(monitor) {
        $0.contains { if case .linkRemoved(_, let name) = $0 { name == "br0" } else { false } }
      }
      #expect(!changes.contains { if case .linkRemoved(_, let name) = $0 { name == "u0" } else { false } })
    }
  }

  @Test(arguments: [
    "addr add 192.0.2.1/24 dev u0", "addr add 2001:db8::1/64 dev u0",
  ])
  func addressChangesAreReported(command: String) throws {
    try here.run {
      let monitor = try NetlinkMonitor()
      try here.ip(command)
      _ = try collect(monitor) { $0.contains(.addressesChanged) }
      try here.ip(command.replacing("add ", with: "del "))
      _ = try collect(monitor) { $0.contains(.addressesChanged) }
    }
  }

  @Test(arguments: [
    "route add 192.0.2.0/24 dev u0", "-6 route add 2001:db8:f::/64 dev u0", "rule add from 10.9.9.9 table 100",
    "-6 rule add from 2001:db8::9 table 100", "nexthop add id 1 dev u0",
  ])
  func routeChangesAreReported(command: String) throws {
    try here.run {
      let monitor = try NetlinkMonitor()
      try here.ip(command)
      _ = try collect(monitor) { $0.contains(.routesChanged) }
    }
  }

  @Test func manyRouteChangesAreReportedOnce() throws {
    try here.run {
      let monitor = try NetlinkMonitor()
      let commands = (0..<200).map { "route add 198.51.100.\($0)/32 dev u0" }.joined(separator: "\n")
      try withTemporaryFile(commands) { try here.ip("-batch \($0)") }
      var changes: [NetlinkChange] = []
      try monitor.read { changes.append($0) }
      #expect(changes.count { $0 == .routesChanged } == 1)
      try monitor.read { #expect($0 != .routesChanged, "none is left") }
    }
  }

  @Test func quietMonitorDoesNotBlock() throws {
    try here.run {
      let monitor = try NetlinkMonitor()
      var request = pollfd(fd: monitor.fileDescriptor, events: Int16(POLLIN), revents: 0)
      try here.ip("link set lo mtu 60000")
      #expect(poll(&request, 1, 30_000) == 1)
      _ = try collect(monitor) { !$0.isEmpty }
      // Drained: neither readable, nor would a read wait.
      #expect(
        try eventually {
          try monitor.read { _ in }
          return poll(&request, 1, 0) == 0
        })
    }
  }

  @Test func overflowMeansResync() throws {
    try here.run {
      let monitor = try NetlinkMonitor(receiveBufferByteCount: 2048)
      for octet in 0..<8 {
        let commands = (1...250).map { "addr add 10.9.\(octet).\($0)/32 dev lo" }.joined(separator: "\n")
        try withTemporaryFile(commands) { try here.ip("-batch \($0)") }
      }
      _ = try collect(monitor) { $0.contains(.resync) }
      // And it continues.
      try here.ip("link set u0 mtu 1400")
      _ = try collect(monitor) {
        $0.contains { if case .link(let link) = $0 { link.name == "u0" && link.mtu == 1400 } else { false } }
      }
    }
  }

  @Test func bigBufferTakesThousandsOfChanges() throws {
    try here.run {
      let monitor = try NetlinkMonitor()
      let commands = (0..<4000).map { "route add 10.\($0 >> 8).\($0 & 255).7/32 dev u0" }.joined(separator: "\n")
      try withTemporaryFile(commands) { try here.ip("-batch \($0)") }
      var changes: [NetlinkChange] = []
      try monitor.read { changes.append($0) }
      #expect(changes.contains(.routesChanged) && !changes.contains(.resync))
    }
  }
}
