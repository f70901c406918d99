// The view of an Ethernet header, with and without a tag.
import Encap
import Testing

@Suite struct EthernetViewTests {
  private struct Fields: Equatable {
    var destination, source: String
    var etherType, payloadEtherType, tci, vlanID: UInt16
    var priority: UInt8
    var isTagged, isPriorityTagged: Bool
    var payloadOffset: Int
  }

  private func fields(_ frame: [UInt8]) -> Fields? {
    let buffer = GuardedBuffer()
    guard let view = EthernetView(UnsafeRawBufferPointer(buffer.load(frame)).bytes) else { return nil }
    return Fields(
      destination: view.destination.description, source: view.source.description, etherType: view.etherType,
      payloadEtherType: view.payloadEtherType, tci: view.vlanTCI, vlanID: view.vlanID, priority: view.vlanPriority,
      isTagged: view.isTagged, isPriorityTagged: view.isPriorityTagged, payloadOffset: view.payloadOffset)
  }

  @Test func untagged() {
    #expect(
      fields(bytes("010203040506 0a0b0c0d0e0f 0800"))
        == Fields(
          destination: "01:02:03:04:05:06", source: "0a:0b:0c:0d:0e:0f", etherType: 0x0800, payloadEtherType: 0x0800,
          tci: 0, vlanID: 0, priority: 0, isTagged: false, isPriorityTagged: false, payloadOffset: 14))
  }

  @Test(arguments: [UInt16(0x8100), 0x88a8])
  func tagged(_ tpid: UInt16) {
    #expect(
      fields(bytes("010203040506 0a0b0c0d0e0f \(String(tpid, radix: 16)) b064 86dd"))
        == Fields(
          destination: "01:02:03:04:05:06", source: "0a:0b:0c:0d:0e:0f", etherType: tpid, payloadEtherType: 0x86dd,
          tci: 0xb064, vlanID: 100, priority: 5, isTagged: true, isPriorityTagged: false, payloadOffset: 18))
  }

  @Test func priorityTag() {
    let view = fields(bytes("010203040506 0a0b0c0d0e0f 8100 e000 0806"))
    #expect(view?.isPriorityTagged == true && view?.isTagged == true && view?.priority == 7 && view?.vlanID == 0)
  }

  @Test func runtsAreRejected() {
    let tagged = bytes("010203040506 0a0b0c0d0e0f 8100 0064 0800")
    let untagged = bytes("010203040506 0a0b0c0d0e0f 0800")
    for count in 0..<18 { #expect(fields(Array(tagged[..<count])) == nil) }
    for count in 0..<14 { #expect(fields(Array(untagged[..<count])) == nil) }
  }
}
