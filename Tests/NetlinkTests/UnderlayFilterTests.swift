// The socket filter, run by the kernel: a Unix datagram socket applies a filter just like a packet socket, so every frame below is
// sent through one.

import Encap
import Glibc
import Testing

@testable import Netlink

@Suite struct UnderlayFilterTests {
  private static let port: UInt16 = 4789

  /// Whether the kernel lets `frame` through the filter.
  private func passes(_ frame: [UInt8], _ program: BPFProgram = UnderlayFilter(udpPort: port).program) throws -> Bool {
    var ends: [Int32] = [0, 0]
    try #require(socketpair(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0)
    defer { for end in ends { close(end) } }
    try program.attach(toSocket: ends[1])
    try #require(send(ends[0], frame, frame.count, 0) == frame.count)
    var received = [UInt8](repeating: 0xa5, count: 2048)
    let count = recv(ends[1], &received, received.count, Int32(MSG_DONTWAIT))
    if count >= 0 { #expect(Array(received[..<count]) == frame, "nothing is cut off") }
    return count >= 0
  }

  private func ethernet(_ type: UInt16, _ payload: [UInt8]) -> [UInt8] {
    [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, UInt8(type >> 8), UInt8(type & 0xff)] + payload
  }

  private func udp(_ port: UInt16) -> [UInt8] {
    // Source port 4789 as well, so that comparing the wrong port is detected.
    [0x12, 0xb5, UInt8(port >> 8), UInt8(port & 0xff), 0, 16, 0, 0] + [8, 0, 0, 0, 0, 0, 100, 0]
  }

  private func ipv4(
    _ payload: [UInt8], proto: UInt8 = 17, options: Int = 0, fragment: UInt16 = 0
  ) -> [UInt8] {
    let length = 20 + options + payload.count
    var header: [UInt8] = [
      UInt8(0x45 + options / 4), 0, UInt8(length >> 8), UInt8(length & 0xff), 0, 0, UInt8(fragment >> 8),
      UInt8(fragment & 0xff), 64, proto, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1,
    ]
    header += [UInt8](repeating: 1, count: options)
    return ethernet(0x0800, header + payload)
  }

  private func ipv6(_ payload: [UInt8], next: UInt8 = 17) -> [UInt8] {
    let addresses = [UInt8](repeating: 0x11, count: 32)
    return ethernet(0x86dd, [0x60, 0, 0, 0, 0, UInt8(payload.count), next, 64] + addresses + payload)
  }

  /// Hop-by-hop (0), routing (43) or destination options (60) of 8 × `units` bytes.
  private func options(next: UInt8, units: Int = 1) -> [UInt8] {
    [next, UInt8(units - 1)] + [UInt8](repeating: 0, count: units * 8 - 2)
  }

  private func fragment(next: UInt8, offset: UInt16, more: Bool) -> [UInt8] {
    let field = offset << 3 | (more ? 1 : 0)
    return [next, 0, UInt8(field >> 8), UInt8(field & 0xff), 0, 0, 0, 1]
  }

  @Test func vxlanPasses() throws {
    #expect(try passes(ipv4(udp(4789))))
    #expect(try passes(ipv4(udp(4789), options: 4)))
    #expect(try passes(ipv4(udp(4789), options: 40)))
    #expect(try passes(ipv4(udp(4789), fragment: 0x4000)), "DF")
    #expect(try passes(ipv4(udp(4789), fragment: 0x2000)), "first fragment")
    #expect(try passes(ipv6(udp(4789))))
    #expect(try passes(ipv6(options(next: 17) + udp(4789), next: 0)))
    #expect(try passes(ipv6(options(next: 17, units: 3) + udp(4789), next: 60)))
    #expect(try passes(ipv6(options(next: 17) + udp(4789), next: 43)))
    #expect(try passes(ipv6(fragment(next: 17, offset: 0, more: true) + udp(4789), next: 44)), "first fragment")
    let three = options(next: 43) + options(next: 44, units: 2) + fragment(next: 17, offset: 0, more: false)
    #expect(try passes(ipv6(three + udp(4789), next: 0)))
  }

  @Test func otherTrafficDoesNotPass() throws {
    #expect(try !passes(ipv4(udp(4790))))
    #expect(try !passes(ipv4(udp(53), options: 8)))
    #expect(try !passes(ipv4(udp(4789), proto: 6)), "TCP")
    #expect(try !passes(ipv4(udp(4789), fragment: 0x2001)), "a later fragment")
    #expect(try !passes(ipv4(udp(4789), fragment: 0x1fff)), "the last fragment")
    #expect(try !passes(ipv6(udp(4790))))
    #expect(try !passes(ipv6(udp(4789), next: 6)))
    #expect(try !passes(ipv6(udp(4789), next: 58)), "ICMPv6")
    #expect(try !passes(ipv6(options(next: 58) + udp(4789), next: 0)), "MLD")
    #expect(try !passes(ipv6(options(next: 17) + udp(4790), next: 0)))
    #expect(try !passes(ipv6(options(next: 17, units: 2) + udp(4790), next: 60)))
    #expect(try !passes(ipv6(fragment(next: 17, offset: 1, more: false) + udp(4789), next: 44)), "a later fragment")
    #expect(try !passes(ipv6(fragment(next: 6, offset: 0, more: true) + udp(4789), next: 44)))
    #expect(try !passes(ethernet(0x0806, ipv4(udp(4789)))), "ARP")
    #expect(try !passes(ethernet(0x8100, [0, 100] + ipv4(udp(4789))[12...])), "a tag left in the frame")
  }

  @Test func deepHeaderChainsAreLeftToTheWorker() throws {
    let four = (0..<3).flatMap { _ in options(next: 60) } + options(next: 17)
    #expect(try passes(ipv6(four + udp(4789), next: 60)))
    #expect(try !passes(ipv6(four + udp(4790), next: 60)))
    let five = options(next: 60) + four
    #expect(try passes(ipv6(five + udp(4789), next: 60)))
    #expect(try !passes(ipv6((0..<3).flatMap { _ in options(next: 60) } + options(next: 6) + udp(4789), next: 60)))
  }

  @Test func truncatedFramesDoNotPass() throws {
    // Up to and including the destination port.
    for (frame, needed) in [(ipv4(udp(4789)), 14 + 24), (ipv6(udp(4789)), 14 + 44)] {
      for length in 1..<frame.count {
        #expect(try passes(Array(frame[..<length])) == (length >= needed), "\(length) bytes")
      }
    }
  }

  @Test(arguments: [1, 255, 256, 65535] as [UInt16])
  func anyPortCanBeChosen(port: UInt16) throws {
    let program = UnderlayFilter(udpPort: port).program
    #expect(try passes(ipv4(udp(port)), program))
    #expect(try !passes(ipv4(udp(port ^ 1)), program))
    #expect(try passes(ipv6(udp(port)), program))
  }

  @Test func dropAllDropsAll() throws {
    #expect(try !passes(ipv4(udp(4789)), .dropAll))
  }

  @Test func badProgramAndBadSocketAreErrors() throws {
    let refused = #expect(throws: NetlinkError.self) {
      _ = try passes([0], BPFProgram(instructions: [BPFInstruction(0xff)]))
    }
    #expect(refused?.code == EINVAL)
    let notASocket = #expect(throws: NetlinkError.self) { try UnderlayFilter(udpPort: 1).attach(toSocket: -1) }
    #expect(notASocket?.code == EBADF)
  }
}
