// The possible faults of an underlay packet, one per entry, each with its single drop reason.
import Encap
import Testing

/// A packet that differs from a valid one in one respect.
struct Fault: Sendable, CustomTestStringConvertible {
  var testDescription: String
  var base: Base
  /// nil: not VXLAN.
  var reason: DropReason?
  var change: @Sendable (inout [UInt8]) -> Void

  enum Base { case ipv4, ipv4Checksum, ipv6, ipv6Checksum }

  init(
    _ description: String, _ base: Base, _ reason: DropReason?, change: @escaping @Sendable (inout [UInt8]) -> Void
  ) {
    testDescription = description
    self.base = base
    self.reason = reason
    self.change = change
  }
}

func setSource(_ text: String) -> @Sendable (inout [UInt8]) -> Void {
  { packet in
    let bytes = ip(text).bytes
    let position = packet[12] == 8 ? 26 : 22
    packet.replaceSubrange(position..<position + bytes.count, with: bytes)
    if packet[12] == 8 { packet.repairIPv4Checksum() }
  }
}

/// Inserts IPv6 extension headers between the IPv6 header and UDP; the first octet of each is the type of the next.
func insertExtensions(_ types: [UInt8], _ headers: [[UInt8]]) -> @Sendable (inout [UInt8]) -> Void {
  { packet in
    var chain: [UInt8] = []
    for (index, header) in headers.enumerated() {
      chain += [index + 1 < types.count ? types[index + 1] : 17] + header
    }
    packet[20] = types[0]
    packet.insert(contentsOf: chain, at: 54)
    packet.setBig16(packet.big16(18) + UInt16(chain.count), at: 18)
  }
}

let eightOctetExtension: [UInt8] = [0, 1, 4, 0, 0, 0, 0]
let sixteenOctetExtension: [UInt8] = [1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]

let faults: [Fault] = [
  Fault("no IP", .ipv4, nil) { $0.setBig16(0x88cc, at: 12) },
  Fault("outer 802.1Q tag", .ipv4, nil) { $0.insert(contentsOf: [0x81, 0, 0, 5], at: 12) },
  Fault("ARP", .ipv4, nil) { $0.setBig16(0x0806, at: 12) },
  Fault("TCP", .ipv4, nil) {
    $0[23] = 6
    $0.repairIPv4Checksum()
  },
  Fault("another port", .ipv4, nil) { $0.setBig16(4790, at: 36) },
  Fault("another port, and the IPv4 checksum is wrong, which is not for us to count", .ipv4, nil) {
    $0.setBig16(4790, at: 36)
    $0[25] ^= 1
  },
  Fault("our port is the source port only", .ipv4, nil) {
    $0.setBig16(4789, at: 34)
    $0.setBig16(53, at: 36)
  },
  Fault("later fragment", .ipv4, nil) {
    $0.setBig16(0x2001, at: 20)
    $0.repairIPv4Checksum()
  },
  Fault("last fragment", .ipv4, nil) {
    $0.setBig16(0x0001, at: 20)
    $0.repairIPv4Checksum()
  },
  Fault("version 5", .ipv4, .outerIPv4Header) {
    $0[14] = 0x55
    $0.repairIPv4Checksum()
  },
  Fault("version 6 under the IPv4 EtherType", .ipv4, .outerIPv4Header) { $0[14] = 0x65 },
  Fault("header length 4", .ipv4, .outerIPv4Header) { $0[14] = 0x44 },
  Fault("header length beyond the frame", .ipv4, .outerIPv4Header) {
    $0[14] = 0x4f
    $0 = Array($0[..<60])
  },
  Fault("cut in the IPv4 header", .ipv4, .outerIPv4Header) { $0 = Array($0[..<33]) },
  Fault("checksum damaged", .ipv4, .outerIPv4Checksum) { $0[24] ^= 0x10 },
  Fault("destination damaged", .ipv4, .outerIPv4Checksum) { $0[33] ^= 1 },
  Fault("TTL damaged", .ipv4, .outerIPv4Checksum) { $0[22] ^= 1 },
  Fault("total length beyond the frame", .ipv4, .outerLength) {
    $0.setBig16($0.big16(16) + 1, at: 16)
    $0.repairIPv4Checksum()
  },
  Fault("total length of a super-frame", .ipv4, .outerLength) {
    $0.setBig16(0xffff, at: 16)
    $0.repairIPv4Checksum()
  },
  Fault("total length below the header", .ipv4, .outerLength) {
    $0.setBig16(19, at: 16)
    $0.repairIPv4Checksum()
  },
  Fault("total length zero", .ipv4, .outerLength) {
    $0.setBig16(0, at: 16)
    $0.repairIPv4Checksum()
  },
  Fault("cut in the inner frame", .ipv4, .outerLength) { $0.removeLast() },
  Fault("cut in front of the UDP port", .ipv4, .outerLength) { $0 = Array($0[..<37]) },
  Fault("first fragment", .ipv4, .outerFragment) {
    $0.setBig16(0x2000, at: 20)
    $0.repairIPv4Checksum()
  },
  Fault("source multicast", .ipv4, .outerSourceInvalid, change: setSource("224.0.0.1")),
  Fault("source limited broadcast", .ipv4, .outerSourceInvalid, change: setSource("255.255.255.255")),
  Fault("source unspecified", .ipv4, .outerSourceInvalid, change: setSource("0.0.0.0")),
  Fault("source loopback", .ipv4, .outerSourceInvalid, change: setSource("127.1.2.3")),
  Fault("IP packet ends in the UDP header", .ipv4, .udpLength) {
    $0.setBig16(27, at: 16)
    $0.repairIPv4Checksum()
  },
  Fault("IP packet and frame end in the UDP header", .ipv4, .udpLength) {
    $0 = Array($0[..<38])
    $0.setBig16(24, at: 16)
    $0.repairIPv4Checksum()
  },
  Fault("UDP length 7", .ipv4, .udpLength) { $0.setBig16(7, at: 38) },
  Fault("UDP length zero", .ipv4, .udpLength) { $0.setBig16(0, at: 38) },
  Fault("UDP length beyond IP", .ipv4, .udpLength) { $0.setBig16($0.big16(38) + 1, at: 38) },
  Fault("UDP length beyond IP, though padding would hold it", .ipv4, .udpLength) {
    $0.setBig16($0.big16(38) + 1, at: 38)
    $0.append(0)
  },
  Fault("UDP checksum wrong", .ipv4Checksum, .udpChecksum) { $0[40] ^= 1 },
  Fault("payload damaged", .ipv4Checksum, .udpChecksum) { $0[$0.count - 1] ^= 0x80 },
  Fault("VNI damaged", .ipv4Checksum, .udpChecksum) { $0[48] ^= 4 },
  Fault("source port damaged", .ipv4Checksum, .udpChecksum) { $0[35] ^= 4 },
  Fault("checksum left to hardware", .ipv4Checksum, .udpChecksum) {
    let pseudo = Array($0[26..<34]) + [0, 17] + Array($0[38..<40])
    $0.setBig16(referenceSum(pseudo), at: 40)
  },
  Fault("no VXLAN header", .ipv4, .vxlanTruncated) { $0.setBig16(8, at: 38) },
  Fault("half a VXLAN header", .ipv4, .vxlanTruncated) { $0.setBig16(15, at: 38) },
  Fault("I flag not set", .ipv4, .vxlanFlags) { $0[42] = 0 },
  Fault("all flags but I", .ipv4, .vxlanFlags) { $0[42] = 0xf7 },
  Fault("no inner frame", .ipv4, .innerRunt) { $0.setBig16(16, at: 38) },
  Fault("inner frame of 13 octets", .ipv4, .innerRunt) { $0.setBig16(29, at: 38) },
  Fault("inner frame of 13 octets and padding", .ipv4, .innerRunt) {
    $0.setBig16(49, at: 16)
    $0.setBig16(29, at: 38)
    $0.repairIPv4Checksum()
  },
  Fault("inner runt in a short packet", .ipv4, .innerRunt) {
    $0 = Array($0[..<63])
    $0.setBig16(49, at: 16)
    $0.setBig16(29, at: 38)
    $0.repairIPv4Checksum()
  },

  Fault("IPv6: TCP", .ipv6, nil) { $0[20] = 6 },
  Fault("IPv6: no next header", .ipv6, nil) { $0[20] = 59 },
  Fault("IPv6: another port", .ipv6, nil) { $0.setBig16(53, at: 56) },
  Fault("IPv6: ICMPv6 behind hop-by-hop, as MLD", .ipv6, nil) {
    insertExtensions([0], [eightOctetExtension])(&$0)
    $0[54] = 58
  },
  Fault("IPv6: later fragment", .ipv6, nil, change: insertExtensions([44], [[0, 0, 9, 0, 0, 0, 1]])),
  Fault(
    "IPv6: later fragment behind options", .ipv6, nil,
    change: insertExtensions([0, 44], [eightOctetExtension, [0, 0, 8, 0, 0, 0, 1]])),
  Fault("IPv6: version 4 under the IPv6 EtherType", .ipv6, .outerIPv6Header) { $0[14] = 0x45 },
  Fault("IPv6: cut in the header", .ipv6, .outerIPv6Header) { $0 = Array($0[..<53]) },
  Fault("IPv6: destination IPv4-mapped", .ipv6, .outerIPv6Header) {
    $0.replaceSubrange(38..<54, with: bytes("00000000000000000000ffffc0000202"))
  },
  Fault("IPv6: payload length beyond the frame", .ipv6, .outerLength) { $0.setBig16($0.big16(18) + 1, at: 18) },
  Fault("IPv6: cut in front of the port", .ipv6, .outerLength) { $0 = Array($0[..<57]) },
  Fault("IPv6: cut in the options", .ipv6, .outerLength) {
    insertExtensions([0], [sixteenOctetExtension])(&$0)
    $0 = Array($0[..<60])
  },
  Fault("IPv6: first fragment", .ipv6, .outerFragment, change: insertExtensions([44], [[0, 0, 1, 0, 0, 0, 1]])),
  Fault(
    "IPv6: five extension headers", .ipv6, .outerExtensionHeader,
    change: insertExtensions(
      [60, 60, 60, 60, 60],
      [eightOctetExtension, eightOctetExtension, eightOctetExtension, eightOctetExtension, eightOctetExtension])),
  Fault("IPv6: options beyond the packet", .ipv6, .outerExtensionHeader) {
    insertExtensions([60], [eightOctetExtension])(&$0)
    $0[55] = 200
  },
  Fault("IPv6: source multicast", .ipv6, .outerSourceInvalid, change: setSource("ff02::1")),
  Fault("IPv6: source unspecified", .ipv6, .outerSourceInvalid, change: setSource("::")),
  Fault("IPv6: source loopback", .ipv6, .outerSourceInvalid, change: setSource("::1")),
  Fault("IPv6: source IPv4-mapped", .ipv6, .outerSourceInvalid) {
    $0.replaceSubrange(22..<38, with: bytes("00000000000000000000ffffc0000201"))
  },
  Fault("IPv6: zero payload length", .ipv6, .udpLength) { $0.setBig16(0, at: 18) },
  Fault("IPv6: UDP length zero", .ipv6, .udpLength) { $0.setBig16(0, at: 58) },
  Fault("IPv6: UDP length beyond IP", .ipv6, .udpLength) { $0.setBig16($0.big16(58) + 1, at: 58) },
  Fault("IPv6: UDP checksum wrong", .ipv6Checksum, .udpChecksum) { $0[61] ^= 1 },
  Fault("IPv6: source damaged", .ipv6Checksum, .udpChecksum) { $0[37] ^= 2 },
  Fault("IPv6: I flag not set", .ipv6, .vxlanFlags) { $0[62] = 0x10 },
  Fault("IPv6: half a VXLAN header", .ipv6, .vxlanTruncated) { $0.setBig16(12, at: 58) },
  Fault("IPv6: packet and frame end in the UDP header", .ipv6, .udpLength) {
    $0 = Array($0[..<58])
    $0.setBig16(4, at: 18)
  },
  Fault("IPv6: inner frame of 13 octets and padding", .ipv6, .innerRunt) {
    $0.setBig16(29, at: 18)
    $0.setBig16(29, at: 58)
  },
  Fault("IPv6: inner frame of 13 octets", .ipv6, .innerRunt) { $0.setBig16(29, at: 58) },
]
