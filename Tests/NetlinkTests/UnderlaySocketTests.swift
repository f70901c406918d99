// Packet sockets and the reserved UDP port between two namespaces.

import Encap
import Glibc
import Testing

@testable import Netlink

@Suite(.enabled(if: isRoot, needsRoot)) struct UnderlaySocketTests {
  private let here: TestNamespace
  private let there: TestNamespace

  init() throws {
    here = try TestNamespace()
    there = try TestNamespace()
    try here.connect("u0", to: there, "p0")
    try here.address("10.0.0.1/24", "2001:db8::1/64", on: "u0")
    try there.address("10.0.0.2/24", "2001:db8::2/64", on: "p0")
  }

  /// Sends datagrams from `there` until one is answered with an ICMP port unreachable.
  /// - Returns: whether one came, within `attempts` × 50 ms.
  private func isRefused(_ destination: String, port: UInt16, attempts: Int) throws -> Bool {
    try there.run {
      let target = IPAddress(destination)!
      let fd = socket(target.isIPv4 ? AF_INET : AF_INET6, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
      defer { close(fd) }
      try #require(connectSocket(fd, target, port) == 0)
      for _ in 0..<attempts {
        // A connected socket reports the ICMP error on its next call.
        if send(fd, [8, 0, 0, 0, 0, 0, 1, 0], 8, 0) < 0 && errno == ECONNREFUSED { return true }
        usleep(50_000)
      }
      return false
    }
  }

  private func connectSocket(_ fd: Int32, _ target: IPAddress, _ port: UInt16) -> Int32 {
    func connected<Address>(_ address: Address) -> Int32 {
      withUnsafePointer(to: address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          connect(fd, $0, socklen_t(MemoryLayout<Address>.size))
        }
      }
    }
    if target.isIPv4 {
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = port.bigEndian
      withUnsafeMutableBytes(of: &address.sin_addr) { $0.copyBytes(from: target.bytes) }
      return connected(address)
    }
    var address = sockaddr_in6()
    address.sin6_family = sa_family_t(AF_INET6)
    address.sin6_port = port.bigEndian
    withUnsafeMutableBytes(of: &address.sin6_addr) { $0.copyBytes(from: target.bytes) }
    return connected(address)
  }

  @Test(arguments: ["10.0.0.1", "2001:db8::1"])
  func reservedPortIsSilent(destination: String) throws {
    #expect(try isRefused(destination, port: 4789, attempts: 600), "the test sees ICMP")
    let reservation = try here.run { try UDPPortReservation(port: 4789) }
    #expect(reservation.port == 4789)
    #expect(try !isRefused(destination, port: 4789, attempts: 20))
    #expect(try isRefused(destination, port: 4790, attempts: 600), "other ports answer as before")
    // The datagrams were dropped, not queued: receive queues in /proc/net/udp are empty.
    let queues = try here.exec("ss -lunH sport = :4789").split(separator: "\n").map {
      $0.split(separator: " ", omittingEmptySubsequences: true)[1]
    }
    #expect(queues == ["0", "0"])
    withExtendedLifetime(reservation) {}
  }

  @Test func portIsFreeAgainAfterwards() throws {
    try here.run {
      var reservation: UDPPortReservation? = try UDPPortReservation(port: 4789)
      let error = #expect(throws: NetlinkError.self) { try UDPPortReservation(port: 4789) }
      #expect(error?.code == EADDRINUSE)
      #expect(error?.description.contains("UDP port 4789 is in use by a kernel VXLAN device or another vtepd") == true)
      #expect(reservation?.port == 4789)
      reservation = nil
      #expect(canReserve(4789))
    }
  }

  /// A child process that another test is starting may hold a copy of a closed socket until it runs its program.
  private func canReserve(_ port: UInt16) -> Bool {
    eventually { (try? UDPPortReservation(port: port)) != nil }
  }

  @Test(arguments: ["10.0.0.1", "2001:db8::1"])
  func kernelVXLANDeviceBlocksThePort(local: String) throws {
    try here.ip("link add vx0 type vxlan id 1 local \(local) dev u0 dstport 4789")
    try here.ip("link set vx0 up")
    try here.run {
      let error = #expect(throws: NetlinkError.self) { try UDPPortReservation(port: 4789) }
      #expect(error?.code == EADDRINUSE)
      // Another port is not affected, and neither is this one once the device is gone.
      #expect(canReserve(8472))
      try here.ip("link del vx0")
      #expect(canReserve(4789))
    }
  }

  /// A packet socket on an interface, opened like DPDK's.
  private func packetSocket(_ interfaceIndex: Int32) throws -> Int32 {
    let everything = UInt16(0x0003).bigEndian
    let fd = socket(AF_PACKET, Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue), Int32(everything))
    try #require(fd >= 0)
    // struct sockaddr_ll: family, protocol, interface index, then unused here.
    var address = [UInt8](repeating: 0, count: 20)
    address.withUnsafeMutableBytes {
      $0.storeBytes(of: UInt16(AF_PACKET), toByteOffset: 0, as: UInt16.self)
      $0.storeBytes(of: everything, toByteOffset: 2, as: UInt16.self)
      $0.storeBytes(of: interfaceIndex, toByteOffset: 4, as: Int32.self)
    }
    let code = address.withUnsafeBytes { bytes in
      bytes.withMemoryRebound(to: sockaddr.self) { bind(fd, $0.baseAddress!, 20) }
    }
    try #require(code == 0)
    return fd
  }

  /// UDP destination ports of the frames waiting on a packet socket, each with whether this host sent it.
  private func receivedPorts(_ fd: Int32) -> [(port: Int, isOutgoing: Bool)] {
    var frame = [UInt8](repeating: 0, count: 2048)
    var ports: [(Int, Bool)] = []
    var address = [UInt8](repeating: 0, count: 20)
    while true {
      var size = socklen_t(20)
      let count = address.withUnsafeMutableBytes { bytes in
        bytes.withMemoryRebound(to: sockaddr.self) {
          recvfrom(fd, &frame, frame.count, Int32(MSG_DONTWAIT), $0.baseAddress, &size)
        }
      }
      if count < 0 { return ports }
      let isIPv4UDP = count >= 42 && frame[12] == 8 && frame[13] == 0 && frame[23] == 17
      // Byte 10 is the packet type; 4 is PACKET_OUTGOING.
      ports.append((isIPv4UDP ? Int(frame[36]) << 8 | Int(frame[37]) : 0, address[10] == 4))
    }
  }

  @Test func filterLeavesOnlyVXLANFromOutside() throws {
    let (plain, tuned) = try here.run {
      let u0 = try #require(try NetlinkSocket().link(named: "u0")).index
      return (try packetSocket(u0), try packetSocket(u0))
    }
    defer {
      close(plain)
      close(tuned)
    }
    try UnderlayFilter(udpPort: 4789).attach(toSocket: tuned)
    _ = receivedPorts(tuned) // what arrived before
    let reservation = try here.run { try UDPPortReservation(port: 4789) }

    // From there to port 4789 and to 4790; the answer to the latter leaves here.
    _ = try isRefused("10.0.0.1", port: 4789, attempts: 3)
    #expect(try isRefused("10.0.0.1", port: 4790, attempts: 600))
    // From here to port 4789.
    try here.run {
      let fd = socket(AF_INET, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
      defer { close(fd) }
      try #require(connectSocket(fd, IPAddress("10.0.0.2")!, 4789) == 0)
      _ = send(fd, [1], 1, 0)
    }
    var all: [(port: Int, isOutgoing: Bool)] = []
    #expect(
      eventually {
        all += receivedPorts(plain)
        return all.contains { $0.port == 4789 && $0.isOutgoing } && all.contains { $0.port == 4790 && !$0.isOutgoing }
          && all.contains { $0.port == 4789 && !$0.isOutgoing }
      })
    let wanted = receivedPorts(tuned)
    #expect(!wanted.isEmpty)
    #expect(wanted.allSatisfy { $0.port == 4789 && !$0.isOutgoing })
    withExtendedLifetime(reservation) {}
  }

  @Test func framesOfAnotherVLANDoNotPass() throws {
    let receiver = try here.run { try packetSocket(try #require(try NetlinkSocket().link(named: "u0")).index) }
    let sender = try there.run { try packetSocket(try #require(try NetlinkSocket().link(named: "p0")).index) }
    defer {
      close(receiver)
      close(sender)
    }
    try UnderlayFilter(udpPort: 4789).attach(toSocket: receiver)
    _ = receivedPorts(receiver) // what arrived before the filter
    // VXLAN to 10.0.0.1; the UDP source port identifies the frame. The kernel removes a tag from the frame.
    let mac = try here.run { try #require(try NetlinkSocket().link(named: "u0")).mac }
    let ours = (0..<6).map { UInt8(truncatingIfNeeded: mac.bits >> UInt64(40 - 8 * $0)) }
    func frame(_ sourcePort: UInt8, tag: [UInt8], to destination: [UInt8]? = nil) -> [UInt8] {
      let ethernet: [UInt8] = (destination ?? ours) + [2, 0, 0, 0, 0, 2] + tag + [8, 0]
      let ip: [UInt8] = [0x45, 0, 0, 36, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1]
      return ethernet + ip + [0xc0, sourcePort, 0x12, 0xb5, 0, 16, 0, 0, 8, 0, 0, 0, 0, 0, 1, 0]
    }
    let frames = [
      frame(1, tag: [0x81, 0, 0, 100]), frame(2, tag: [0x81, 0, 0xe0, 0]), frame(3, tag: [0x88, 0xa8, 0, 100]),
      frame(4, tag: []),
    ]
    for frame in frames { #expect(send(sender, frame, frame.count, 0) == frame.count) }
    var seen: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 2048)
    #expect(
      eventually {
        while recv(receiver, &buffer, buffer.count, Int32(MSG_DONTWAIT)) > 0 { seen.append(buffer[35]) }
        return seen.last == 4
      })
    #expect(seen == [2, 4], "a priority tag (VLAN 0) and none")

    // Frames for other hosts are truncated to a marker length. A multicast IP address in a frame to us is fine.
    try here.ip("link set u0 promisc on")
    var toGroup = frame(8, tag: [], to: [1, 0, 0x5e, 1, 1, 1])
    toGroup.replaceSubrange(30..<34, with: [239, 1, 1, 1])
    let others = [
      frame(5, tag: [], to: [2, 0, 0, 0, 0, 9]), frame(6, tag: [], to: [0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
      frame(7, tag: [], to: [1, 0, 0x5e, 1, 1, 1]), toGroup, frame(9, tag: []),
    ]
    for frame in others { #expect(send(sender, frame, frame.count, 0) == frame.count) }
    var lengths: [Int] = []
    #expect(
      eventually {
        while case let count = recv(receiver, &buffer, buffer.count, Int32(MSG_DONTWAIT)), count > 0 { lengths.append(count) }
        return lengths.count == 5
      })
    let whole = toGroup.count
    #expect(lengths == [CutFrame.otherHostByteCount, CutFrame.groupByteCount, CutFrame.groupByteCount, whole, whole])
  }
}
