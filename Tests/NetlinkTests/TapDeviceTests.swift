// Tap descriptors, and what they reveal about an interface that has moved to another namespace.

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

  @Test func descriptorsAreFoundByName() throws {
    let here = try TestNamespace()
    let name = "vt\(getpid())a"
    let (first, second, other) = try here.run {
      (
        try openTap(name, isMultiQueue: true), try openTap(name, isMultiQueue: true), try openTap("\(name)x")
      )
    }
    let unattached = open("/dev/net/tun", O_RDWR | O_CLOEXEC)
    let null = open("/dev/null", O_RDWR | O_CLOEXEC)
    defer { for fd in [first, second, other, unattached, null] { close(fd) } }
    #expect(TapDevice.descriptors(named: name) == [first, second].sorted())
    #expect(TapDevice.descriptors(named: "\(name)x") == [other])
    #expect(TapDevice.descriptors(named: "\(name)y") == [])
    #expect(TapDevice.interfaceName(of: unattached) == nil)
    #expect(TapDevice.interfaceName(of: null) == nil)
    #expect(TapDevice.interfaceName(of: -1) == nil)

    // TUNSETQUEUE with IFF_DETACH_QUEUE: what DPDK does with the descriptor that keeps the interface alive.
    var request = [UInt8](repeating: 0, count: 40)
    request[17] = 0x04
    let setQueue: UInt = 0x4004_54d9
    let code = request.withUnsafeMutableBytes { ioctl(first, setQueue, $0.baseAddress!) }
    #expect(code == 0)
    #expect(TapDevice.descriptors(named: name) == [second])
  }

  @Test func stateIsSeenAcrossNamespaces() throws {
    let here = try TestNamespace()
    let guest = try TestNamespace()
    let name = "vt\(getpid())b"
    let fd = try here.run { try openTap(name) }
    defer { close(fd) }
    #expect(!TapDevice.isUp(fd))
    try here.ip("link set \(name) up")
    #expect(TapDevice.isUp(fd))
    try here.ip("link set \(name) down")
    #expect(!TapDevice.isUp(fd))

    try here.ip("link set \(name) netns \(guest.name)")
    #expect(!TapDevice.isUp(fd))
    try guest.ip("link set \(name) up")
    #expect(TapDevice.isUp(fd))
    #expect(TapDevice.descriptors(named: name) == [fd])
    try guest.ip("link set \(name) down")
    #expect(!TapDevice.isUp(fd))
    try guest.ip("link set \(name) name eth0")
    #expect(TapDevice.interfaceName(of: fd) == "eth0")

    try guest.ip("link del eth0")
    #expect(!TapDevice.isUp(fd))
    #expect(TapDevice.interfaceName(of: fd) == nil)
    #expect(!TapDevice.isUp(-1))
  }
}
