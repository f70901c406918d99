// A VXLAN packet on the underlay, field by field and as bytes; written from RFC 7348 section 5 without the code under test.

import Encap

struct VXLANPacket {
  enum Checksum { case zero, correct, wrong }

  var sourceMAC: MACAddress
  var destinationMAC: MACAddress
  var source: IPAddress
  var destination: IPAddress
  /// TOS of IPv4, traffic class of IPv6.
  var trafficClass: UInt8 = 0
  /// TTL or hop limit.
  var ttl: UInt8 = 64
  var flowLabel: UInt32 = 0
  /// Of IPv4.
  var identification: UInt16 = 0
  var sourcePort: UInt16 = 51_966
  var destinationPort: UInt16 = 4789
  var udpChecksum = Checksum.zero
  var flags: UInt8 = 0x08
  var vni: UInt32
  /// The last octet of the VXLAN header.
  var reserved: UInt8 = 0
  var inner: Frame
  /// Octets of Ethernet padding behind the IP packet.
  var paddingByteCount = 0

  private var isIPv4: Bool { source.isIPv4 }
  private var networkByteCount: Int { isIPv4 ? 20 : 40 }

  var bytes: [UInt8] {
    let datagram = udp
    return Frame.ethernet(from: sourceMAC, to: destinationMAC, type: isIPv4 ? 0x0800 : 0x86dd, network(datagram.count) + datagram)
      + [UInt8](repeating: 0xa5, count: paddingByteCount)
  }

  private func network(_ udpByteCount: Int) -> [UInt8] {
    guard isIPv4 else {
      return .big32(0x6000_0000 | UInt32(trafficClass) << 20 | flowLabel) + .big16(UInt16(udpByteCount)) + [17, ttl]
        + source.bytes + destination.bytes
    }
    // DF.
    var header: [UInt8] = [0x45, trafficClass] + .big16(UInt16(udpByteCount + 20)) + .big16(identification) + [0x40, 0, ttl, 17, 0, 0]
    header += source.bytes + destination.bytes
    header.replaceSubrange(10..<12, with: [UInt8].big16(header.internetChecksum))
    return header
  }

  private var udp: [UInt8] {
    let byteCount = 16 + inner.count
    let vxlan: [UInt8] = [flags, 0, 0, 0, UInt8(vni >> 16 & 0xff), UInt8(vni >> 8 & 0xff), UInt8(vni & 0xff), reserved]
    var datagram: [UInt8] = .big16(sourcePort) + .big16(destinationPort) + .big16(UInt16(byteCount)) + [0, 0] + vxlan + inner
    if udpChecksum != .zero {
      let pseudo: [UInt8] = source.bytes + destination.bytes + .big32(UInt32(byteCount)) + .big32(17)
      let sum = (pseudo + datagram).internetChecksum
      let field = sum == 0 ? 0xffff : sum
      datagram.replaceSubrange(6..<8, with: [UInt8].big16(udpChecksum == .wrong ? field ^ 0x0100 : field))
    }
    return datagram
  }

  /// The same packet with what only the flow decides taken from a packet that was sent; nil when that is cut, or its
  /// source port is outside 49152...65535, or an IPv6 flow label is missing.
  func withFlow(of sent: [UInt8]) -> VXLANPacket? {
    guard sent.count >= 14 + networkByteCount + 16 else { return nil }
    var packet = self
    packet.sourcePort = sent.big16(at: 14 + networkByteCount)
    guard packet.sourcePort >= 49_152 else { return nil }
    if !isIPv4 {
      packet.flowLabel = UInt32(sent[15] & 0xf) << 16 | UInt32(sent.big16(at: 16))
      guard packet.flowLabel != 0 else { return nil }
    }
    return packet
  }
}
