// The view of an Ethernet header, with and without a tag.
import Encap
import Testing

@Suite struct EthernetViewTests {
  private struct Fields: Equatable {
    var destination, source: String
    var etherType, tci, vlanID: UInt16
    var isTagged, isPriorityTagged: Bool
  }

  private func fields(_ frame: [UInt8]) -> Fields? {
    let buffer = GuardedBuffer()
    guard let view = EthernetView(UnsafeRawBufferPointer(buffer.load(frame)).bytes) else { return nil }
    return Fields(
      destination: view.destination.description, source: view.source.description, etherType: view.etherType,
      tci: view.vlanTCI, vlanID: view.vlanID, isTagged: view.isTagged, isPriorityTagged: view.isPriorityTagged)
  }

  @Test func untagged() {
    #expect(
      fields(bytes("010203040506 0a0b0c0d0e0f 0800"))
        == Fields(
          destination: "01:02:03:04:05:06", source: "0a:0b:0c:0d:0e:0f", etherType: 0x0800, tci: 0, vlanID: 0, isTagged: false,
          isPriorityTagged: false))
  }

  @Test(arguments: [UInt16(0x8100), 0x88a8])
  func tagged(_ tpid: UInt16) {
    #expect(
      fields(bytes("010203040506 0a0b0c0d0e0f \(String(tpid, radix: 16)) b064 86dd"))
        == Fields(
          destination: "01:02:03:04:05:06", source: "0a:0b:0c:0d:0e:0f", etherType: tpid, tci: 0xb064, vlanID: 100, isTagged: true,
          isPriorityTagged: false))
  }

  @Test func priorityTag() {
    let view = fields(bytes("010203040506 0a0b0c0d0e0f 8100 e000 0806"))
    #expect(view?.isPriorityTagged == true && view?.isTagged == true && view?.tci == 0xe000 && view?.vlanID == 0)
  }

  @Test func runtsAreRejected() {
    let tagged = bytes("010203040506 0a0b0c0d0e0f 8100 0064 0800")
    let untagged = bytes("010203040506 0a0b0c0d0e0f 0800")
    for count in 0..<18 { #expect(fields(Array(tagged[..<count])) == nil) }
    for count in 0..<14 { #expect(fields(Array(untagged[..<count])) == nil) }
  }

  /// What the loops over bursts read at once is what the fields say.
  @Test func wireOrder() {
    let buffer = GuardedBuffer()
    let behind = GuardedBuffer()
    var random = SeededGenerator(state: 7)
    for _ in 0..<20_000 {
      var frame = (0..<18).map { _ in UInt8.random(in: 0...255, using: &random) }
      if Bool.random(using: &random) { frame.replaceSubrange(6..<12, with: repeatElement(0, count: 6)) }
      if Bool.random(using: &random) { (frame[0], frame[6]) = (frame[0] & 0xfe, frame[6] & 0xfe) }
      let type: [UInt8] = [[0x81, 0], [0x88, 0xa8], [8, 0], [0x86, 0xdd], [8, 6]].randomElement(using: &random)!
      if Bool.random(using: &random) { frame.replaceSubrange(12..<14, with: type) }
      if Bool.random(using: &random) { frame.replaceSubrange(16..<18, with: [0x81, 0]) }
      if Bool.random(using: &random) { frame[14] &= 0x0f }
      let bytes = UnsafeRawBufferPointer(buffer.load(frame)).bytes
      let wire = WireTaggedHeader(unchecked: bytes)
      let header = EthernetHeader(unchecked: bytes, at: 0)
      #expect(wire.ethernet.destination == header.destination.bits.byteSwapped && wire.ethernet.source == header.source.bits.byteSwapped)
      let isUnicast = !header.destination.isMulticast && !header.source.isMulticast && !header.source.isZero
      let wires = UnsafeRawBufferPointer(behind.load([0x5a, 0x5a] + frame)).bytes
      let inner = WireEthernetHeader(inner: wires, at: 2)
      #expect(inner.destination == wire.ethernet.destination && inner.source == wire.ethernet.source)
      #expect(inner.isEveryday == wire.ethernet.isEveryday && WireEthernetHeader.destination(wires, at: 2) == inner.destination)
      #expect(inner.isEveryday == (inner.isEverydayIfFromStation && inner.source != 0))
      #expect(wire.ethernet.isUnicast == isUnicast)
      #expect(!wire.ethernet.isEveryday || (isUnicast && !header.isTagged))
      let isIP = header.etherType == EtherType.ipv4 || header.etherType == EtherType.ipv6
      #expect(!isIP || wire.ethernet.isEveryday == isUnicast)
      let tag = UInt16(frame[14]) << 8 | UInt16(frame[15])
      if wire.isEveryday(tpid: 0x8100) {
        let inner = UInt16(frame[16]) << 8 | UInt16(frame[17])
        #expect(isUnicast && header.etherType == 0x8100 && tag < 0x1000 && wire.vlan == tag && !EtherType.isTag(inner))
      } else {
        #expect(!isUnicast || header.etherType != 0x8100 || tag >= 0x1000 || frame[16] & 0xf6 == 0x80)
      }
    }
  }
}
