// Neighbour resolution by the kernel, with ARP and Neighbor Discovery.

import Encap
import Glibc
import Testing

@testable import Netlink

@Suite(.enabled(if: isRoot, needsRoot)) struct NeighborTests {
  private let here: TestNamespace
  private let there: TestNamespace

  init() throws {
    here = try TestNamespace()
    there = try TestNamespace()
    try here.connect("u0", to: there, "p0")
    try here.address("10.0.0.1/24", "2001:db8::1/64", on: "u0")
    try there.address("10.0.0.2/24", "2001:db8::2/64", on: "p0")
    try there.ip("link set p0 address 02:00:00:00:00:02")
    // How often the kernel refreshes managed entries; 5 s by default.
    for family in ["ipv4", "ipv6"] {
      try here.exec("sysctl -qw net.\(family).neigh.u0.interval_probe_time_ms=200")
      try here.exec("sysctl -qw net.\(family).neigh.u0.retrans_time_ms=100")
    }
  }

  private func address(_ text: String) -> IPAddress { IPAddress(text)! }

  private func inHere(_ body: (NetlinkSocket, _ u0: Int32) throws -> Void) throws {
    try here.run {
      let netlink = try NetlinkSocket()
      let u0 = try #require(try netlink.link(named: "u0")).index
      #expect(try eventually { try netlink.link(index: u0)?.isRunning == true })
      try body(netlink, u0)
    }
  }

  @Test(arguments: ["10.0.0.2", "2001:db8::2"], [true, false])
  func neighborIsResolved(text: String, managed: Bool) throws {
    let target = address(text)
    try inHere { netlink, u0 in
      #expect(try netlink.neighbor(target, interfaceIndex: u0) == nil)
      #expect(
        try eventually {
          // Without management the kernel tries once, and the other end may not be ready yet.
          if try netlink.neighbor(target, interfaceIndex: u0)?.state != .incomplete {
            try netlink.requestNeighbor(target, interfaceIndex: u0, managed: managed)
          }
          return try netlink.neighbor(target, interfaceIndex: u0)?.isResolved == true
        })
      let found = try #require(try netlink.neighbor(target, interfaceIndex: u0))
      #expect(found.mac == MACAddress(bits: 0x02_00_00_00_00_02))
      #expect(found.isManaged == managed)
      #expect(try netlink.neighbors().contains { $0.address == target && $0.interfaceIndex == u0 })
    }
  }

  @Test(arguments: ["10.0.0.2", "2001:db8::2"])
  func managedNeighborIsReleased(text: String) throws {
    let target = address(text)
    try inHere { netlink, u0 in
      try netlink.requestNeighbor(target, interfaceIndex: u0, managed: true)
      #expect(try eventually { try netlink.neighbor(target, interfaceIndex: u0)?.isResolved == true })
      try netlink.releaseNeighbor(target, interfaceIndex: u0)
      let found = try #require(try netlink.neighbor(target, interfaceIndex: u0))
      #expect(!found.isManaged)
      #expect(found.isResolved, "it stays known")
      // Unmanaged entries, missing entries and unknown interfaces are not errors.
      try netlink.releaseNeighbor(target, interfaceIndex: u0)
      try netlink.releaseNeighbor(address("10.0.0.77"), interfaceIndex: u0)
    }
  }

  @Test(arguments: ["10.0.0.2", "2001:db8::2"])
  func entriesOfOthersAreUnchanged(text: String) throws {
    let target = address(text)
    try here.ip("neigh add \(text) lladdr 02:00:00:00:00:99 dev u0 nud permanent")
    try inHere { netlink, u0 in
      let before = try #require(try netlink.neighbor(target, interfaceIndex: u0))
      #expect(before.state == .permanent)
      try netlink.requestNeighbor(target, interfaceIndex: u0, managed: true)
      #expect(try netlink.neighbor(target, interfaceIndex: u0) == before)
      try netlink.releaseNeighbor(target, interfaceIndex: u0)
      #expect(try netlink.neighbor(target, interfaceIndex: u0) == before)
    }
    try here.ip("neigh replace \(text) lladdr 02:00:00:00:00:98 dev u0 nud reachable extern_learn")
    try inHere { netlink, u0 in
      let before = try #require(try netlink.neighbor(target, interfaceIndex: u0))
      #expect(before.isExternallyLearned)
      try netlink.requestNeighbor(target, interfaceIndex: u0, managed: true)
      let after = try #require(try netlink.neighbor(target, interfaceIndex: u0))
      #expect(after.isExternallyLearned && !after.isManaged && after.mac == before.mac)
    }
  }

  @Test(arguments: ["10.0.0.77", "2001:db8::77"])
  func deadNeighborFailsAndComesBack(text: String) throws {
    let target = address(text)
    try inHere { netlink, u0 in
      let monitor = try NetlinkMonitor()
      try netlink.requestNeighbor(target, interfaceIndex: u0, managed: true)
      var failures = 0
      // The kernel keeps trying, and reports each failure.
      #expect(
        try eventually {
          try monitor.read {
            if case .neighbor(let neighbor) = $0, neighbor.address == target, neighbor.isFailed { failures += 1 }
          }
          return failures >= 2
        })
      try there.address(target.isIPv4 ? "\(text)/24" : "\(text)/64", on: "p0")
      var isResolved = false
      #expect(
        try eventually {
          try monitor.read {
            if case .neighbor(let neighbor) = $0, neighbor.address == target { isResolved = neighbor.isResolved }
          }
          return isResolved
        })
    }
  }

  @Test(arguments: ["10.0.0.2", "2001:db8::2"])
  func removalIsNotifiedAndEndsTheManagement(text: String) throws {
    let target = address(text)
    try inHere { netlink, u0 in
      for command in ["neigh flush dev u0", "neigh del \(text) dev u0"] {
        try netlink.requestNeighbor(target, interfaceIndex: u0, managed: true)
        #expect(try eventually { try netlink.neighbor(target, interfaceIndex: u0)?.isResolved == true })
        let monitor = try NetlinkMonitor()
        try here.ip((target.isIPv4 ? "-4 " : "-6 ") + command)
        var isNotified = false
        #expect(
          try eventually {
            try monitor.read {
              switch $0 {
              case .neighborRemoved(let index, target) where index == u0: isNotified = true
              case .neighbor(let neighbor) where neighbor.address == target && !neighbor.isResolved: isNotified = true
              default: break
              }
            }
            return isNotified
          }, "\(command)")
        // Requesting it again is enough.
        try netlink.requestNeighbor(target, interfaceIndex: u0, managed: true)
        #expect(
          try eventually {
            let found = try netlink.neighbor(target, interfaceIndex: u0)
            return found?.isResolved == true && found?.isManaged == true
          }, "\(command)")
      }
    }
  }

  @Test(arguments: ["10.0.0.2", "2001:db8::2"])
  func newAddressOfANeighborIsNotified(text: String) throws {
    let target = address(text)
    // It announces the new address, like a router that takes over.
    try there.exec("sysctl -qw net.ipv4.conf.p0.arp_notify=1 net.ipv6.conf.p0.ndisc_notify=1")
    try inHere { netlink, u0 in
      let monitor = try NetlinkMonitor()
      try netlink.requestNeighbor(target, interfaceIndex: u0, managed: true)
      var mac: MACAddress?
      func sees(_ expected: UInt64) throws -> Bool {
        try eventually {
          try monitor.read {
            if case .neighbor(let neighbor) = $0, neighbor.address == target { mac = neighbor.mac }
          }
          return mac == MACAddress(bits: expected)
        }
      }
      #expect(try sees(0x02_00_00_00_00_02))
      try there.ip("link set p0 address 02:00:00:00:00:03")
      #expect(try sees(0x02_00_00_00_00_03))
    }
  }

  @Test func missingInterfaceIsAnError() throws {
    try inHere { netlink, _ in
      let error = #expect(throws: NetlinkError.self) {
        try netlink.requestNeighbor(address("10.0.0.2"), interfaceIndex: 4711, managed: true)
      }
      #expect(error?.code == ENODEV)
      #expect(error?.subject == "10.0.0.2 on interface 4711")
      #expect(netlink.supportsManagedNeighbors)
    }
  }
}
