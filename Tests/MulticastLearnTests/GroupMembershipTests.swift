// Memberships as the kernel lists them, and as a switch with IGMP and MLD snooping sees them.

import Encap
import Glibc
import Testing

@testable import MulticastLearn

@Suite(.enabled(if: isRoot, needsRoot)) struct GroupMembershipTests {
  private let here: TestNamespace
  private let there: TestNamespace

  init() throws {
    here = try TestNamespace()
    there = try TestNamespace()
    try here.connect("u0", to: there, "p0")
    try here.address("10.0.0.1/24", "2001:db8::1/64", on: "u0")
  }

  private func address(_ text: String) -> IPAddress { IPAddress(text)! }
  private func vni(_ value: Int) -> VNI { VNI(value)! }

  /// Index of an interface of the calling thread's namespace.
  private func index(_ name: String) throws -> Int32 {
    let index = if_nametoindex(name)
    return try #require(index > 0 ? Int32(index) : nil)
  }

  /// Groups of an interface that some socket has joined, and the number of sockets' memberships in each.
  private func kernelGroups(_ namespace: TestNamespace, _ interface: String) throws -> [String: Int] {
    var groups: [String: Int] = [:]
    for line in try namespace.ip("maddr show dev \(interface)").split(separator: "\n") {
      let words = line.split(whereSeparator: \.isWhitespace)
      guard words.count > 1, words[0] == "inet" || words[0] == "inet6" else { continue }
      // "users 2" when there is more than one.
      let users = words.firstIndex(of: "users").flatMap { Int(words[$0 + 1]) } ?? 1
      groups[String(words[1])] = users
    }
    return groups
  }

  private func joined(_ text: String, _ interface: String = "u0") throws -> Bool {
    try kernelGroups(here, interface)[text] != nil
  }

  @Test(arguments: ["239.1.1.1", "ff05::100"])
  func groupIsJoinedForTheFirstVNIAndLeftWithTheLast(group: String) throws {
    try here.run {
      let u0 = try index("u0")
      let membership = GroupMembership()
      membership.setInterfaces([u0])
      #expect(membership.memberships == [])
      try membership.add(vni: vni(5001), group: address(group))
      #expect(try joined(group))
      try membership.add(vni: vni(5000), group: address(group))
      try membership.add(vni: vni(5000), group: address(group))
      #expect(try kernelGroups(here, "u0")[group] == 1)
      #expect(
        membership.memberships == [
          .init(
            group: address(group), vnis: [vni(5000), vni(5001)], interfaceIndex: u0, isJoined: true, error: nil)
        ])
      membership.remove(vni: vni(5000), group: address(group))
      #expect(try joined(group))
      membership.remove(vni: vni(4999), group: address(group))
      #expect(try joined(group), "that VNI does not use the group")
      membership.remove(vni: vni(5001), group: address(group))
      #expect(try !joined(group))
      #expect(membership.memberships == [])
    }
  }

  @Test func aHundredGroupsOfEachFamily() throws {
    try here.exec("sysctl -qw net.ipv4.igmp_max_memberships=20")
    try here.run {
      var membership: GroupMembership? = GroupMembership()
      membership?.setInterfaces([try index("u0")])
      for number in 0..<100 {
        try membership?.add(vni: vni(number), group: address("239.1.2.\(number)"))
        try membership?.add(vni: vni(number), group: address("ff05::2:\(String(number, radix: 16))"))
      }
      #expect(membership?.memberships.count == 200)
      #expect(membership?.memberships.allSatisfy { $0.isJoined } == true)
      let groups = try kernelGroups(here, "u0")
      for number in 0..<100 {
        #expect(groups["239.1.2.\(number)"] == 1)
        #expect(groups["ff05::2:\(String(number, radix: 16))"] == 1)
      }
      // 5 sockets for IPv4 at 20 each; IPv6 is limited by memory, not by number.
      #expect(membership?.sockets.count { $0.isIPv4 } == 5)
      let socketCount = membership?.sockets.count

      // A freed slot is reused.
      for number in 0..<20 {
        membership?.remove(vni: vni(number), group: address("239.1.2.\(number)"))
        try membership?.add(vni: vni(number), group: address("239.1.3.\(number)"))
        #expect(membership?.sockets.count == socketCount)
      }
      #expect(membership?.memberships.count == 200)

      // And a socket without memberships is closed.
      for number in 0..<100 { membership?.remove(vni: vni(number), group: address("ff05::2:\(String(number, radix: 16))")) }
      #expect(membership?.sockets.count == 5)

      membership = nil
      #expect(
        try eventually {
          try !kernelGroups(here, "u0").keys.contains { $0.hasPrefix("239.") || $0.hasPrefix("ff05::2:") }
        })
    }
  }

  @Test func severalInterfacesAndTheirChange() throws {
    try here.connect("u1", to: there, "p1")
    try here.run {
      let u0 = try index("u0")
      let u1 = try index("u1")
      let membership = GroupMembership()
      try membership.add(vni: vni(1), group: address("239.1.1.1"))
      try membership.add(vni: vni(2), group: address("ff05::100"))
      #expect(membership.memberships == [])
      membership.setInterfaces([u0, u1, u0])
      #expect(membership.memberships.map(\.interfaceIndex) == [u0, u1, u0, u1])
      for interface in ["u0", "u1"] {
        #expect(try joined("239.1.1.1", interface) && joined("ff05::100", interface))
      }
      membership.setInterfaces([u1])
      #expect(try !joined("239.1.1.1", "u0") && !joined("ff05::100", "u0"))
      #expect(try joined("239.1.1.1", "u1") && joined("ff05::100", "u1"))
      #expect(membership.memberships.map(\.interfaceIndex) == [u1, u1])
    }
  }

  @Test func recreatedInterfaceIsRejoined() throws {
    try here.run {
      let membership = GroupMembership()
      let old = try index("u0")
      membership.setInterfaces([old])
      try membership.add(vni: vni(1), group: address("239.1.1.1"))
      try membership.add(vni: vni(2), group: address("ff05::100"))
      try here.ip("link del u0")
      try here.connect("u0", to: there, "p0")
      #expect(try !joined("239.1.1.1"))
      membership.setInterfaces([try index("u0")])
      #expect(try joined("239.1.1.1") && joined("ff05::100"))
      #expect(membership.memberships.allSatisfy { $0.isJoined })

      // With the old index: removed from the list, then added again.
      let current = try index("u0")
      try here.ip("link del u0")
      try here.ip("link add u0 index \(current) type veth peer name p0 netns \(there.name)")
      membership.setInterfaces([])
      #expect(membership.memberships == [])
      membership.setInterfaces([current])
      #expect(try joined("239.1.1.1") && joined("ff05::100"))
    }
  }

  /// Nobody reports that the interface was away: the kernel's list is compared.
  @Test(arguments: ["moved", "made again", "small MTU"])
  func membershipsDroppedByTheKernelAreRejoined(how: String) throws {
    // Empty, so that the interface keeps its index there.
    let elsewhere = try TestNamespace()
    try here.run {
      let membership = GroupMembership()
      let u0 = try index("u0")
      membership.setInterfaces([u0])
      for number in 0..<30 { try membership.add(vni: vni(number), group: address("239.1.2.\(number)")) }
      for number in 0..<3 { try membership.add(vni: vni(number), group: address("ff05::10\(number)")) }
      #expect(membership.verify() == [])
      switch how {
      case "moved":
        try here.ip("link set u0 netns \(elsewhere.name)")
        try elsewhere.ip("link set u0 netns \(here.name)")
        try here.ip("link set u0 up")
      case "made again":
        try here.ip("link del u0")
        try here.ip("link add u0 index \(u0) type veth peer name p0 netns \(there.name)")
      default:
        // IPv6 leaves an interface whose MTU is below 1280. (IPv4 leaves one below 68, which a veth cannot have.)
        try here.ip("link set u0 mtu 1000")
        try here.ip("link set u0 mtu 1500")
      }
      #expect(try index("u0") == u0)
      let keepsIPv4 = how == "small MTU"
      #expect(try joined("239.1.2.0") == keepsIPv4)
      #expect(try !joined("ff05::100"))
      #expect(membership.verify().count == (keepsIPv4 ? 3 : 33))
      for number in 0..<30 { #expect(try kernelGroups(here, "u0")["239.1.2.\(number)"] == 1) }
      for number in 0..<3 { #expect(try joined("ff05::10\(number)")) }
      #expect(membership.memberships.allSatisfy { $0.isJoined })
      #expect(membership.verify() == [])

      // Gone for good: no longer joined, whatever the sockets report.
      try here.ip("link del u0")
      membership.verify()
      #expect(membership.memberships.allSatisfy { !$0.isJoined })
    }
  }

  @Test func interfaceMayBeDownOrWithoutAddress() throws {
    try here.ip("link add d0 type veth peer name d1")
    try here.run {
      let membership = GroupMembership()
      membership.setInterfaces([try index("d0")])
      try membership.add(vni: vni(1), group: address("239.1.1.1"))
      try membership.add(vni: vni(2), group: address("ff05::100"))
      try here.ip("link set d0 up")
      membership.retry()
      #expect(try joined("239.1.1.1", "d0") && joined("ff05::100", "d0"))
      try here.ip("link set d0 down")
      try here.ip("link set d0 up")
      #expect(try joined("239.1.1.1", "d0") && joined("ff05::100", "d0"), "the kernel keeps them")
    }
  }

  @Test(arguments: ["239.1.1.1", "ff05::100"])
  func failedJoinIsShownAndRetried(group: String) throws {
    try here.run {
      let membership = GroupMembership()
      membership.setInterfaces([4711])
      try membership.add(vni: vni(1), group: address(group))
      let error = FloodError.joinFailed(group: address(group), interfaceIndex: 4711, code: ENODEV)
      #expect(
        membership.memberships == [
          .init(group: address(group), vnis: [vni(1)], interfaceIndex: 4711, isJoined: false, error: error)
        ])
      #expect(membership.retry() == 1)
      try here.ip("link add late index 4711 type veth peer name late1")
      try here.ip("link set late up")
      #expect(membership.retry() == 0)
      #expect(membership.memberships.map(\.isJoined) == [true])
      #expect(try joined(group, "late"))

      membership.setInterfaces([4712])
      #expect(membership.retry() == 1)
      membership.remove(vni: vni(1), group: address(group))
      #expect(membership.retry() == 0)
    }
  }

  @Test func invalidGroupsAreRefused() throws {
    let membership = GroupMembership()
    #expect(throws: FloodError.groupNotMulticast(address("192.0.2.1"))) {
      try membership.add(vni: vni(1), group: address("192.0.2.1"))
    }
    #expect(membership.memberships == [])
  }

  /// A bridge between host ports q0, q1 with snooping and a querier; joins show in its multicast database.
  private func snoopingBridge() throws -> TestNamespace {
    let bridge = try TestNamespace()
    try bridge.ip("link add br0 type bridge mcast_snooping 1")
    try bridge.ip("addr add 10.0.0.254/24 dev br0")
    // The intervals must be set before the querier: at its start it floods everything for the configured response interval.
    try bridge.ip(
      "link set br0 type bridge mcast_igmp_version 3 mcast_query_interval 200 mcast_query_response_interval 100 "
        + "mcast_membership_interval 600 mcast_startup_query_interval 100 mcast_last_member_interval 20")
    try bridge.ip("link set br0 up")
    try bridge.ip("link set br0 type bridge mcast_querier 1")
    return bridge
  }

  @Test(arguments: ["239.1.1.1", "ff05::100"])
  func snoopingSwitchSeesTheJoinAndTheLeave(group: String) throws {
    let bridge = try snoopingBridge()
    try here.connect("s0", to: bridge, "q0")
    try here.address("10.0.0.2/24", "2001:db8:1::2/64", on: "s0")
    try bridge.ip("link set q0 master br0")
    func isInDatabase() throws -> Bool {
      try shell("bridge -n \(bridge.name) mdb show dev br0").split(separator: "\n").contains {
        $0.contains("port q0 grp \(group) ")
      }
    }
    try here.run {
      var membership: GroupMembership? = GroupMembership()
      membership?.setInterfaces([try index("s0")])
      try membership?.add(vni: vni(5001), group: address(group))
      try membership?.add(vni: vni(5002), group: address(group))
      #expect(try eventually { try isInDatabase() })
      membership?.remove(vni: vni(5001), group: address(group))
      membership?.remove(vni: vni(5002), group: address(group))
      #expect(try eventually { try !isInDatabase() })

      // The same if everything is closed at once.
      try membership?.add(vni: vni(5001), group: address(group))
      #expect(try eventually { try isInDatabase() })
      membership = nil
      #expect(try eventually { try !isInDatabase() })
    }
  }

  @Test func membershipSocketsReceiveNothing() throws {
    // Multicast to the group, sent from the other end, is counted by the kernel as "no port" and not queued.
    try there.ip("addr add 10.0.0.2/24 dev p0")
    try here.run {
      let membership = GroupMembership()
      membership.setInterfaces([try index("u0")])
      try membership.add(vni: vni(1), group: address("239.1.1.1"))
      try there.run {
        let fd = socket(AF_INET, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        defer { close(fd) }
        var request = ip_mreqn()
        request.imr_ifindex = Int32(if_nametoindex("p0"))
        let size = socklen_t(MemoryLayout<ip_mreqn>.size)
        try #require(setsockopt(fd, Int32(IPPROTO_IP), IP_MULTICAST_IF, &request, size) == 0)
        var target = sockaddr_in()
        target.sin_family = sa_family_t(AF_INET)
        target.sin_port = UInt16(4789).bigEndian
        withUnsafeMutableBytes(of: &target.sin_addr) { $0.copyBytes(from: [239, 1, 1, 1]) }
        for _ in 0..<10 {
          let count = withUnsafePointer(to: target) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { sendto(fd, [1], 1, 0, $0, 16) }
          }
          try #require(count == 1)
        }
      }
      func udpCounters() throws -> [String: Int] {
        let lines = try here.exec("cat /proc/net/snmp").split(separator: "\n").filter { $0.hasPrefix("Udp:") }
        let names = lines[0].split(separator: " ").dropFirst().map(String.init)
        let values = lines[1].split(separator: " ").dropFirst().map { Int($0) ?? 0 }
        return Dictionary(uniqueKeysWithValues: zip(names, values))
      }
      #expect(try eventually { try udpCounters()["IgnoredMulti"] == 10 })
      #expect(try udpCounters()["InDatagrams"] == 0)
    }
  }
}
