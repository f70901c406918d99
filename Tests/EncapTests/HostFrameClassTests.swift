// Classes of the host's frames, by octets from the protocols' documents.
import Encap
import Testing

@Suite struct HostFrameClassTests {
  private static let group = "01 00 5e 00 00 05 02 00 00 00 00 01"
  private static let unicast = "02 00 00 00 00 02 02 00 00 00 00 01"

  /// An IPv4 packet, of 24 octets of header with the Router Alert option if it has one.
  private static func ipv4(_ number: String, _ payload: String, fragment: String = "0000", option: Bool = false) -> String {
    "0800 \(option ? "46" : "45") c0 0040 0000 \(fragment) 01 \(number) 0000 c0000201 e0000005 \(option ? "94040000" : "") \(payload)"
  }

  private static func ipv6(_ next: String, _ payload: String) -> String {
    "86dd 60000000 0040 \(next) 01" + String(repeating: "20", count: 32) + payload
  }

  /// Hop-by-Hop Options with Router Alert (RFC 2711), as in front of MLD.
  private static let alert = "3a 00 05 02 00 00 01 00"

  @Test(arguments: [
    (HostFrameClass.neighbor, unicast, "0806 0001 0800 06 04 0002"),
    (.neighbor, "ff ff ff ff ff ff 02 00 00 00 00 01", "8100 6005 0806 0001"),
    (.neighbor, "ff ff ff ff ff ff 02 00 00 00 00 01", "88a8 0005 8100 0007 0806 0001"),
    (.neighbor, unicast, ipv6("3a", "85 00 0000")), (.neighbor, unicast, ipv6("3a", "89 00 0000")),
    (.neighbor, unicast, ipv6("3a", "88 00 0000")),
    (.membership, group, ipv4("02", "16 00 0000", option: true)), (.membership, group, ipv4("02", "11 64 0000")),
    (.membership, unicast, ipv6("00", alert + "8f 00 0000")), (.membership, unicast, ipv6("3a", "82 00 0000")),
    (.membership, unicast, ipv6("3a", "84 00 0000")),
    (.routing, unicast, ipv4("06", "00b3 c000")), (.routing, unicast, ipv4("06", "c000 00b3")),
    (.routing, unicast, ipv6("06", "c000 00b3")), (.routing, unicast, ipv4("06", "c000 00b3", option: true)),
    (.routing, unicast, ipv4("11", "c000 0ec8")), (.routing, unicast, ipv4("11", "c000 0ec9")),
    (.routing, unicast, ipv4("11", "c000 12b0")), (.routing, unicast, ipv6("11", "c000 1a80")),
    (.routing, group, ipv4("59", "02 01 002c")), (.routing, group, ipv6("59", "03 01 002c")), (.routing, group, ipv4("67", "20 00")),
    (.routing, group, ipv4("70", "21 01")), (.routing, "01 80 c2 00 00 14 02 00 00 00 00 01", "05d9 fe fe 03 83"),
    (.link, "01 80 c2 00 00 02 02 00 00 00 00 01", "8809 01 01"), (.link, "01 80 c2 00 00 0e 02 00 00 00 00 01", "88cc 02 07"),
    (.link, unicast, "88cc 02 07"), (.link, "01 80 c2 00 00 00 02 00 00 00 00 01", "0026 42 42 03"),
    (.link, "01 80 c2 00 00 03 02 00 00 00 00 01", "888e 02 01"),
    // ssh, VXLAN, ping, a later fragment of TCP, a source port of BFD, whatever is cut short.
    (.host, unicast, ipv4("06", "0016 c000")), (.host, unicast, ipv4("11", "c000 12b5")), (.host, unicast, ipv4("01", "08 00 0000")),
    (.host, unicast, ipv6("3a", "80 00 0000")), (.host, unicast, ipv4("06", "00b3 00b3", fragment: "0010")),
    (.host, unicast, ipv6("2c", "06 00 0010 00000001 00b3 00b3")), (.host, unicast, ipv4("11", "0ec8 c000")),
    (.host, unicast, ipv4("06", "00b3")), (.host, unicast, ipv6("3a", "")), (.host, unicast, ipv6("00", "3a 09")),
    (.host, unicast, "0800 45"), (.host, unicast, "86dd 60"), (.host, unicast, "88b5 0806"), (.host, unicast, "0026 aa aa 03"),
    (.host, unicast, "8100 0005"), (.host, unicast, ""), (.host, "02 00", ""),
  ])
  func classes(_ expected: HostFrameClass, _ addresses: String, _ rest: String) {
    let buffer = GuardedBuffer()
    #expect(HostFrameClass(UnsafeRawBufferPointer(buffer.load(bytes(addresses + rest))).bytes) == expected, "\(addresses) \(rest)")
  }

  @Test func numbersAreDense() {
    #expect(HostFrameClass.allCases.map(\.rawValue) == Array(0..<UInt8(HostFrameClass.count)))
    #expect(Set(HostFrameClass.allCases.map(\.name)).count == HostFrameClass.count)
  }

  @Test(arguments: [
    (true, ipv4("11", "c000 12b5")), (true, ipv4("11", "c000 12b5", option: true)), (true, ipv6("11", "c000 12b5")),
    (true, "8100 e000" + ipv4("11", "c000 12b5")), (false, ipv4("11", "12b5 c000")), (false, ipv4("06", "c000 12b5")),
    (false, ipv4("11", "c000")), (false, ipv6("11", "c000")), (false, ipv6("3a", "c000 12b5")), (false, "0806 12b5"), (false, "0800"),
  ])
  func claimedPort(_ expected: Bool, _ rest: String) {
    let buffer = GuardedBuffer()
    #expect(OuterPacket.claimsPort(4789, UnsafeRawBufferPointer(buffer.load(bytes(Self.unicast + rest))).bytes) == expected, "\(rest)")
  }
}
