// AgentX PDUs as bytes (RFC 2741, section 6): those that we send against bytes written by hand, and everything there and back.

import NIOCore
import Testing

@testable import vtepd

@Suite struct AgentXMessageTests {
  private func bytes(_ message: AgentXMessage) -> [UInt8] {
    var buffer = ByteBuffer()
    message.write(into: &buffer)
    return Array(buffer.readableBytesView)
  }

  private static let name = ObjectIdentifier([1, 3, 6, 1, 2, 1, 2, 2, 1, 1, 7])
  private static let all: [AgentXMessage.Payload] = [
    .open(description: "vtepd 1"), .close(reason: 5), .register(name, rangePosition: 10, rangeLast: 22),
    .register(name, rangePosition: 0, rangeLast: nil), .unregister(name, rangePosition: 10, rangeLast: 22),
    .get([AgentXRange(start: name, includesStart: false, end: nil)]),
    .getNext([AgentXRange(start: name, includesStart: true, end: ObjectIdentifier([1, 3, 7]))]),
    .getBulk(nonRepeaters: 1, maxRepetitions: 10, [AgentXRange(start: name, includesStart: false, end: name + [1])]), .ping, .set,
    .response(
      upTime: 1, error: 2, index: 3,
      [
        AgentXVariable(name: name, value: .integer(-5)), AgentXVariable(name: name, value: .octets([1, 2, 3, 4, 5])),
        AgentXVariable(name: name, value: .octets([])), AgentXVariable(name: name, value: .objectIdentifier(name)),
        AgentXVariable(name: name, value: .counter32(.max)), AgentXVariable(name: name, value: .gauge32(1)),
        AgentXVariable(name: name, value: .timeTicks(2)), AgentXVariable(name: name, value: .counter64(.max)),
        AgentXVariable(name: name, value: .noSuchObject), AgentXVariable(name: name, value: .noSuchInstance),
        AgentXVariable(name: name, value: .endOfMIBView),
      ]),
  ]

  @Test func registerOfARow() {
    let message = AgentXMessage(
      session: 1, transaction: 2, packet: 3,
      payload: .register(ObjectIdentifier([1, 3, 6, 1, 2, 1, 2, 2, 1, 1, 7]), rangePosition: 10, rangeLast: 22))
    #expect(
      bytes(message) == [
        1, 3, 0x11, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 56,
        0, 127, 10, 0, 11, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2,
        0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, 22,
      ])
  }

  /// The example of RFC 2741, section 6.2.6, in little endian: what net-snmp sends on such machines.
  @Test func getNextInLittleEndianWithPrefixAndContext() throws {
    let bytes: [UInt8] = [
      1, 6, 0x08, 0, 9, 0, 0, 0, 8, 0, 0, 0, 7, 0, 0, 0, 32, 0, 0, 0,
      3, 0, 0, 0, 0x61, 0x62, 0x63, 0,
      3, 2, 1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0,
      1, 2, 0, 0, 1, 0, 0, 0,
    ]
    var buffer = ByteBuffer(bytes: bytes.dropLast(2))
    #expect(try AgentXMessage(readingFrom: &buffer) == nil, "two bytes are missing")
    #expect(buffer.readableBytes == 50)
    buffer.writeBytes(bytes.suffix(2))
    let message = try #require(try AgentXMessage(readingFrom: &buffer))
    #expect((message.session, message.transaction, message.packet) == (9, 8, 7))
    #expect(buffer.readableBytes == 0)
    guard case .getNext(let ranges) = message.payload else { throw AgentXError(description: "\(message.payload)") }
    #expect(ranges.first?.start == ObjectIdentifier([1, 3, 6, 1, 2, 1, 2, 2]))
    #expect(ranges.first?.includesStart == true)
    #expect(ranges.first?.end == ObjectIdentifier([1, 3, 6, 1, 2, 1]))
  }

  @Test(arguments: all)
  func thereAndBack(_ payload: AgentXMessage.Payload) throws {
    let message = AgentXMessage(session: 1, transaction: 2, packet: 3, payload: payload)
    var buffer = ByteBuffer(bytes: bytes(message) + [0xff])
    #expect(try AgentXMessage(readingFrom: &buffer) == message)
    #expect(buffer.readableBytes == 1)
  }

  /// A PDU whose header says less than there is ends within some field, or is another one.
  @Test(arguments: all)
  func truncated(_ payload: AgentXMessage.Payload) throws {
    let whole = bytes(AgentXMessage(payload: payload))
    for count in 0..<whole.count {
      var buffer = ByteBuffer(bytes: whole.prefix(count))
      #expect(try AgentXMessage(readingFrom: &buffer) == nil)
      guard count >= AgentXMessage.headerByteCount else { continue }
      var cut = Array(whole.prefix(count))
      let byteCount = UInt16(count - AgentXMessage.headerByteCount)
      cut.replaceSubrange(16..<20, with: [0, 0, UInt8(byteCount >> 8), UInt8(byteCount & 0xff)])
      buffer = ByteBuffer(bytes: cut)
      do throws(AgentXError) { _ = try AgentXMessage(readingFrom: &buffer) } catch {}
    }
  }

  @Test func anotherVersionAndAnEndlessPDU() {
    var buffer = ByteBuffer(bytes: [2] + [UInt8](repeating: 0, count: 19))
    #expect(throws: AgentXError.self) { try AgentXMessage(readingFrom: &buffer) }
    buffer = ByteBuffer(bytes: [1, 5, 0x10, 0] + [UInt8](repeating: 0, count: 12) + [0x7f, 0, 0, 0])
    #expect(throws: AgentXError.self) { try AgentXMessage(readingFrom: &buffer) }
  }
}
