// Frames of guests, written octet by octet: nothing here comes from the code under test but the address types.

import Encap

/// An Ethernet frame as bytes.
typealias Frame = [UInt8]

/// What an IP packet in a frame carries and inherits to the outer header.
struct FlowFields {
  var sourcePort: UInt16 = 4000
  var destinationPort: UInt16 = 5000
  var trafficClass: UInt8 = 0
  var hopLimit: UInt8 = 17
}

extension [UInt8] {
  static func octets(_ mac: MACAddress) -> [UInt8] { (0..<6).map { UInt8(truncatingIfNeeded: mac.bits >> (40 - 8 * $0)) } }
  static func big16(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 0xff)] }
  static func big32(_ value: UInt32) -> [UInt8] { big16(UInt16(value >> 16)) + big16(UInt16(value & 0xffff)) }

  var hex: String { map { $0 < 16 ? "0" + String($0, radix: 16) : String($0, radix: 16) }.joined() }

  func big16(at offset: Int) -> UInt16 { UInt16(self[offset]) << 8 | UInt16(self[offset + 1]) }

  /// RFC 1071, the plain way.
  var internetChecksum: UInt16 {
    var sum: UInt32 = 0
    for index in stride(from: 0, to: count, by: 2) {
      sum += UInt32(self[index]) << 8 | (index + 1 < count ? UInt32(self[index + 1]) : 0)
      if sum > 0xffff { sum = (sum & 0xffff) + 1 }
    }
    return ~UInt16(sum)
  }
}

extension Frame {
  static func ethernet(from source: MACAddress, to destination: MACAddress, type: UInt16, _ payload: [UInt8]) -> Frame {
    octets(destination) + octets(source) + big16(type) + payload
  }

  /// IPv4 and UDP without UDP checksum; `byteCount` is that of the frame.
  static func udp(
    from source: MACAddress, to destination: MACAddress, _ flow: FlowFields = FlowFields(), byteCount: Int = 98
  ) -> Frame {
    let ipByteCount = UInt16(byteCount - 14)
    var header: [UInt8] = [0x45, flow.trafficClass] + big16(ipByteCount) + [0, 7, 0x40, 0, flow.hopLimit, 17, 0, 0]
    header += [172, 16, 0, UInt8(source.bits & 0xff), 172, 16, 0, UInt8(destination.bits & 0xff)]
    header.replaceSubrange(10..<12, with: big16(header.internetChecksum))
    let datagram = big16(flow.sourcePort) + big16(flow.destinationPort) + big16(ipByteCount - 20) + [0, 0]
    return ethernet(from: source, to: destination, type: 0x0800, header + datagram + pattern(Int(ipByteCount) - 28))
  }

  /// IPv6 and UDP.
  static func udp6(
    from source: MACAddress, to destination: MACAddress, _ flow: FlowFields = FlowFields(), byteCount: Int = 118
  ) -> Frame {
    let udpByteCount = UInt16(byteCount - 54)
    let start = 0x6000_0000 | UInt32(flow.trafficClass) << 20
    let prefix: [UInt8] = [0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    var packet = big32(start) + big16(udpByteCount) + [17, flow.hopLimit]
    packet += prefix + [UInt8(source.bits & 0xff)] + prefix + [UInt8(destination.bits & 0xff)]
    packet += big16(flow.sourcePort) + big16(flow.destinationPort) + big16(udpByteCount) + [0xbe, 0xef]
    return ethernet(from: source, to: destination, type: 0x86dd, packet + pattern(Int(udpByteCount) - 8))
  }

  /// Who has 172.16.0.`target`?
  static func arpRequest(from source: MACAddress, target: UInt8) -> Frame {
    let sender = octets(source) + [172, 16, 0, UInt8(source.bits & 0xff)]
    let body: [UInt8] = [0, 1, 8, 0, 6, 4, 0, 1] + sender + [0, 0, 0, 0, 0, 0, 172, 16, 0, target]
    return ethernet(from: source, to: .broadcast, type: 0x0806, body)
  }

  /// With a VLAN tag behind the addresses.
  func tagged(_ vlan: UInt16, priority: UInt8 = 0, tpid: UInt16 = 0x8100) -> Frame {
    Array(self[..<12]) + .big16(tpid) + .big16(UInt16(priority) << 13 | vlan) + Array(self[12...])
  }

  /// A TCP segment or UDP datagram over IPv4, or IPv6 if `isIPv6`, with the right checksums.
  ///
  /// - Parameters:
  ///   - transport: with zeros in its checksum field.
  ///   - number: of the protocol.
  ///   - isAtomic: DF is set.
  static func over(
    _ isIPv6: Bool, from source: MACAddress, to destination: MACAddress, identification: UInt16, isAtomic: Bool = true, number: UInt8,
    _ transport: [UInt8]
  ) -> Frame {
    let prefix: [UInt8] = isIPv6 ? [0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0] : [172, 16, 0]
    let addresses = [source, destination].flatMap { prefix + [UInt8($0.bits & 0xff)] }
    var header: [UInt8] = .big32(0x6000_0000) + .big16(UInt16(transport.count)) + [number, 64]
    if !isIPv6 {
      header = [0x45, 0] + .big16(UInt16(20 + transport.count)) + .big16(identification) + [isAtomic ? 0x40 : 0, 0, 64, number, 0, 0]
    }
    var frame = ethernet(from: source, to: destination, type: isIPv6 ? 0x86dd : 0x0800, header + addresses + transport)
    frame.repairChecksums()
    return frame
  }

  /// The same with only the pseudo-header sum in the place of the TCP or UDP checksum.
  var unfinished: Frame {
    let (pseudo, _, field) = pseudoHeader
    return self[..<field] + .big16(~pseudo.internetChecksum) + self[(field + 2)...]
  }

  /// Makes the checksums of an untagged TCP segment or UDP datagram right again.
  mutating func repairChecksums() {
    if big16(at: 12) == 0x0800 {
      replaceSubrange(24..<26, with: [0, 0])
      replaceSubrange(24..<26, with: [UInt8].big16(Array(self[14..<34]).internetChecksum))
    }
    let (pseudo, transport, field) = pseudoHeader
    replaceSubrange(field..<field + 2, with: [0, 0])
    replaceSubrange(field..<field + 2, with: [UInt8].big16((pseudo + self[transport...]).internetChecksum))
  }

  /// What the checksum of TCP or UDP also covers, and where their header and that checksum are.
  private var pseudoHeader: (octets: [UInt8], transport: Int, field: Int) {
    let isIPv6 = big16(at: 12) == 0x86dd
    let transport = isIPv6 ? 54 : 34
    let number = self[isIPv6 ? 20 : 23]
    let octets = Array(self[(isIPv6 ? 22 : 26)..<transport]) + .big32(UInt32(count - transport)) + .big32(UInt32(number))
    return (octets, transport, transport + (number == 17 ? 6 : 16))
  }

  private static func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ 3) } }
}
