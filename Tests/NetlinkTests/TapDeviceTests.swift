// Tap descriptors, and what they reveal about an interface that has moved to another namespace.

import Encap
import Glibc
import Testing

@testable import Netlink

@Suite(.enabled(if: isRoot, needsRoot)) struct TapDeviceTests {
  /// Opens a queue of a tap interface in the thread's namespace, creating the interface if it does not exist.
  private func openTap(_ name: String, isMultiQueue: Bool = false) throws -> Int32 {
    let fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC)
    try #require(fd >= 0)
    // struct ifreq: the name in 16 bytes, then the flags IFF_TAP | IFF_NO_PI, and IFF_MULTI_QUEUE.
    var request = Array(name.utf8) + [UInt8](repeating: 0, count: 40 - name.utf8.count)
    request[16] = 0x02
    request[17] = isMultiQueue ? 0x11 : 0x10
    let setInterface: UInt = 0x4004_54ca
    try #require(request.withUnsafeMutableBytes { ioctl(fd, setInterface, $0.baseAddress!) } == 0)
    return fd
  }

  @Test func nameIsThatOfTheInterface() throws {
    let here = try TestNamespace()
    let name = "vt\(getpid())a"
    let (first, second) = try here.run { (try openTap(name, isMultiQueue: true), try openTap(name, isMultiQueue: true)) }
    let unattached = open("/dev/net/tun", O_RDWR | O_CLOEXEC)
    let null = open("/dev/null", O_RDWR | O_CLOEXEC)
    defer { for fd in [first, second, unattached, null] { close(fd) } }
    #expect(TapDevice.interfaceName(of: first) == name && TapDevice.interfaceName(of: second) == name)
    #expect(TapDevice.interfaceName(of: unattached) == nil)
    #expect(TapDevice.interfaceName(of: null) == nil)
    #expect(TapDevice.interfaceName(of: -1) == nil)
  }

  @Test func stateIsSeenAcrossNamespaces() throws {
    let here = try TestNamespace()
    let guest = try TestNamespace()
    let name = "vt\(getpid())b"
    let (fd, other) = try here.run { (try openTap(name), try openTap("\(name)x")) }
    defer { for fd in [fd, other] { close(fd) } }
    #expect(TapDevice.state(of: fd) == .down)
    try here.ip("link set \(name) up")
    #expect(TapDevice.states(of: [fd, other]) == [.up, .down])
    try here.ip("link set \(name) down")
    #expect(TapDevice.state(of: fd) == .down)

    try here.ip("link set \(name) netns \(guest.name)")
    #expect(TapDevice.state(of: fd) == .down)
    try guest.ip("link set \(name) up")
    #expect(TapDevice.state(of: fd) == .up)
    try guest.ip("link set \(name) name eth0")
    #expect(TapDevice.interfaceName(of: fd) == "eth0")

    try guest.ip("link del eth0")
    #expect(TapDevice.states(of: [other, fd]) == [.down, .gone])
    #expect(TapDevice.interfaceName(of: fd) == nil)
    #expect(TapDevice.states(of: []) == [])
  }

  // -- where it is ------------------------------------------------------------------------------------------------------

  private func link(_ place: TapPlace) -> Link? {
    switch place {
    case .here(let link), .away(_, let link): link
    case .hidden, .gone: nil
    }
  }

  @Test func placeIsFoundInAnyNamespace() throws {
    let here = try TestNamespace()
    let guest = try TestNamespace()
    let third = try TestNamespace()
    let name = "vt\(getpid())c"
    try here.run {
      let fd = try openTap(name)
      defer { close(fd) }
      let netlink = try NetlinkSocket()
      #expect(try netlink.place(ofTap: fd) == .here(try #require(try netlink.link(named: name))))

      try here.ip("link set \(name) netns \(guest.name)")
      try guest.ip("link set \(name) name eth0 mtu 1400 up")
      guard case .away(let id, let link) = try netlink.place(ofTap: fd) else {
        Issue.record("not seen in another namespace")
        return
      }
      #expect(link.name == "eth0" && link.mtu == 1400 && link.isUp && link.tun != nil)
      #expect(try netlink.link(named: "eth0", namespaceID: id)?.index == link.index)

      // The kernel gives this one no ID of itself.
      try guest.ip("link set eth0 netns \(third.name)")
      try third.ip("link set eth0 mtu 1300")
      guard case .away(let other, let moved) = try netlink.place(ofTap: fd) else {
        Issue.record("not seen in a third namespace")
        return
      }
      #expect(other != id && moved.mtu == 1300)

      // Nothing of ours keeps a namespace: the tap goes with it.
      try shell("ip netns del \(third.name)")
      #expect(try eventually { try netlink.place(ofTap: fd) == .gone })
      #expect(TapDevice.state(of: fd) == .gone)
    }
  }

  @Test func monitorHearsOfTapsInOtherNamespaces() throws {
    let here = try TestNamespace()
    let guest = try TestNamespace()
    let name = "vt\(getpid())d"
    try here.run {
      let monitor = try NetlinkMonitor()
      #expect(monitor.followsNamespaces)
      let fd = try openTap(name)
      defer { close(fd) }
      let netlink = try NetlinkSocket()
      try here.ip("link set \(name) netns \(guest.name)")
      guard case .away(let id, let link) = try netlink.place(ofTap: fd) else {
        Issue.record("not seen in another namespace")
        return
      }
      var changes: [NetlinkChange] = []
      func hears(_ condition: (NetlinkChange) -> Bool) throws -> Bool {
        try eventually(seconds: 10) {
          try monitor.read { changes.append($0) }
          return changes.contains(where: condition)
        }
      }
      try guest.ip("link set \(name) mtu 1333 up")
      #expect(
        try hears {
          if case .foreignTap(id, let changed) = $0 { changed.index == link.index && changed.mtu == 1333 && changed.isUp } else { false }
        })
      // Other interfaces and addresses there are none of ours.
      changes = []
      try guest.ip("link set lo mtu 60000")
      try guest.ip("addr add 192.0.2.1/24 dev \(name)")
      try guest.ip("route add 198.51.100.0/24 dev \(name)")
      try guest.ip("link del \(name)")
      #expect(try hears { $0 == .foreignTapRemoved(namespaceID: id, index: link.index) })
      #expect(
        changes.allSatisfy {
          switch $0 {
          case .foreignTap, .foreignTapRemoved: true
          default: false
          }
        }, "\(changes)")
    }
  }

  @Test func newTapIsSetUpInOneRequest() throws {
    let here = try TestNamespace()
    let name = "vt\(getpid())e"
    try here.run {
      let fd = try openTap(name)
      defer { close(fd) }
      let netlink = try NetlinkSocket()
      try netlink.setUpTap(named: name, mac: MACAddress(bits: 0x0200_0000_0077), mtu: 8950, segmentByteCount: 62_000)
      let link = try #require(try netlink.link(named: name))
      #expect(link.mtu == 8950 && link.mac == MACAddress(bits: 0x0200_0000_0077))
      #expect(try here.ip("-d link show \(name)").contains("gso_max_size 62000"))
      #expect(throws: NetlinkError.self) {
        try netlink.setUpTap(named: "\(name)x", mac: .zero, mtu: 1500, segmentByteCount: 62_000)
      }
    }
  }
}
