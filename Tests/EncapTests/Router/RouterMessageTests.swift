// A router's messages against those of scapy, and what it reads of packets.

import Encap
import Testing

@Suite("Router messages")
struct RouterMessageTests {
  private let question = GuardedBuffer()
  private let reply = GuardedBuffer()

  private static let router = MACAddress("0e:76:01:02:03:04")!
  private static let requester = MACAddress("0e:77:c0:00:02:01")!
  /// UDP with an option, TTL 1; the same over IPv6.
  private static let udp4 = bytes(
    "0e760102030402000000000108004628002a000740000111cd8c0a0001010a00020394040000829a829b0012de8630313233343536373839")
  private static let udp6 = bytes(
    """
    0e760102030402000000000186dd6000000000121101fd000001000000000000000000000001fd000002000000000000000000000003829a829b0012fb81
    30313233343536373839
    """)

  private func error(_ error: RouterError, about frame: [UInt8], from source: String) -> [UInt8]? {
    let frame = UnsafeRawBufferPointer(question.load(frame))
    guard let header = RoutedHeader(frame.bytes, byteCount: frame.count), let message = RouterMessage(about: frame.bytes, header),
      let source = IPAddress(source)
    else { return nil }
    let room = reply.load([UInt8](repeating: 0xee, count: message.frameByteCount))
    var span = room.mutableBytes
    message.write(error, into: &span, quoting: frame.bytes, header, from: source)
    return Array(room)
  }

  @Test("errors over IPv4 and IPv6")
  func errors() {
    #expect(
      error(.timeExceeded, about: Self.udp4, from: "10.0.1.254")?[12...]
        == bytes(
          """
          080045c0004600004000400122f90a0001fe0a0001010b000c27000000004628002a000740000111cd8c0a0001010a00020394040000829a829b0012
          de8630313233343536373839
          """)[...])
    #expect(
      error(.tooBig(mtu: 1400), about: Self.udp4, from: "10.0.1.254")?[34..<42] == bytes("03040eab00000578")[...])
    #expect(
      error(.timeExceeded, about: Self.udp6, from: "fd00:1::fe")?[12...]
        == bytes(
          """
          86dd6000000000423a40fd0000010000000000000000000000fefd0000010000000000000000000000010300909000000000600000000012
          1101fd000001000000000000000000000001fd000002000000000000000000000003829a829b0012fb8130313233343536373839
          """)[...])
  }

  @Test("no error about later fragments, errors, groups, and martian sources")
  func unanswered() {
    func changed(_ edit: (inout [UInt8]) -> Void) -> [UInt8]? {
      var frame = Self.udp4
      edit(&frame)
      frame.replaceSubrange(24..<26, with: [0, 0])
      let header = Array(frame[14..<38])
      let sum = InternetChecksum.partialSum(header.span.bytes)
      let checksum = InternetChecksum.complement(sum)
      frame.replaceSubrange(24..<26, with: [UInt8(checksum >> 8), UInt8(checksum & 0xff)])
      return error(.timeExceeded, about: frame, from: "10.0.1.254")
    }
    #expect(changed { _ in } != nil)
    #expect(changed { $0[21] = 1 } == nil)
    #expect(changed { $0[26] = 127 } == nil)
    #expect(changed { $0[30] = 224 } == nil)
    #expect(changed { $0[0] = 1 } == nil)
    #expect(changed { ($0[23], $0[38]) = (1, 3) } == nil)
    #expect(changed { ($0[23], $0[38]) = (1, 8) } != nil)
  }

  @Test("headers that are cut, lie, or have a wrong checksum are refused at every length")
  func truncation() {
    for frame in [Self.udp4, Self.udp6] {
      for count in 0..<frame.count {
        let part = UnsafeRawBufferPointer(question.load(Array(frame[..<count])))
        #expect(RoutedHeader(part.bytes, byteCount: count) == nil, "\(count)")
        _ = NeighborMessage(part.bytes)
      }
    }
    var wrong = Self.udp4
    wrong[25] ^= 1
    #expect(RoutedHeader(wrong.span.bytes, byteCount: wrong.count) == nil)
  }

  @Test("neighbour discovery: our question, its answer, and our answer")
  func neighborDiscovery() {
    let asked = bytes(
      """
      3333ff0000090e77c000020186dd6000000000203afffe800000000000000c77c0fffe000201ff0200000000000000000001ff0000098700e01700
      000000fd00000200000000000000000000000901010e77c0000201
      """)
    let room = reply.load([UInt8](repeating: 0xee, count: NeighborMessage.byteCount(isIPv6: true)))
    var span = room.mutableBytes
    NeighborMessage.writeQuestion(into: &span, target: IPAddress("fd00:2::9")!, source: Self.requester, known: nil)
    #expect(Array(room) == asked)

    var told = bytes(
      """
      0e77c000020102000000000986dd6000000000203afffd000002000000000000000000000009fe800000000000000c77c0fffe00020188004d8960
      000000fd0000020000000000000000000000090201020000000009
      """)
    let known = NeighborClaim(address: IPAddress("fd00:2::9")!, mac: MACAddress("02:00:00:00:00:09")!, role: .host)
    #expect(NeighborMessage(told.span.bytes)?.told == known)
    told[85] ^= 1
    #expect(NeighborMessage(told.span.bytes) == nil, "a wrong checksum")

    let question = bytes(
      """
      3333ff0000fe02000000000186dd6000000000203afffd000001000000000000000000000001ff0200000000000000000001ff0000fe87007b9d00
      000000fd0000010000000000000000000000fe0101020000000001
      """)
    guard let query = NeighborMessage(question.span.bytes), query.asker == MACAddress("02:00:00:00:00:01") else {
      Issue.record("the question is one")
      return
    }
    #expect(query.target == IPAddress("fd00:1::fe") && query.sender == IPAddress("fd00:1::1"))
    var answer = room.mutableBytes
    query.writeAnswer(into: &answer, fromRouter: Self.router)
    #expect(
      Array(room)
        == bytes(
          """
          0200000000010e760102030486dd6000000000203afffd0000010000000000000000000000fefd00000100000000000000000000000188008a24
          e0000000fd0000010000000000000000000000fe02010e7601020304
          """))
  }
}
