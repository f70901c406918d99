// UDPFrame: a large UDP datagram as a guest with segmentation offload sends it, and the datagrams that it becomes.

import Encap

@testable import VTEP

struct UDPFrame {
  var source: MACAddress
  var destination: MACAddress
  var isIPv6 = false
  var identification: UInt16 = 0xfffe
  /// DF is set.
  var isAtomic = true
  var payload: [UInt8]

  init(from source: MACAddress, to destination: MACAddress, isIPv6: Bool = false, byteCount: Int) {
    self.source = source
    self.destination = destination
    self.isIPv6 = isIPv6
    payload = (0..<byteCount).map { UInt8(truncatingIfNeeded: $0 &* 11 &+ $0 >> 8) }
  }

  var headerByteCount: Int { isIPv6 ? 62 : 42 }

  private var addresses: [UInt8] {
    let pair = [UInt8(source.bits & 0xff), UInt8(destination.bits & 0xff)]
    let prefix: [UInt8] = isIPv6 ? [0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0] : [172, 16, 0]
    return pair.flatMap { prefix + [$0] }
  }

  /// With its checksum, or with only the pseudo-header sum in its place.
  func bytes(finished: Bool) -> Frame {
    var udp: [UInt8] = .big16(4000) + .big16(5000) + .big16(UInt16(8 + payload.count)) + [0, 0] + payload
    let pseudo = addresses + .big32(UInt32(udp.count)) + .big32(17)
    udp.replaceSubrange(6..<8, with: [UInt8].big16(finished ? (pseudo + udp).internetChecksum : ~pseudo.internetChecksum))
    if isIPv6 {
      let packet: [UInt8] = .big32(0x6000_0000) + .big16(UInt16(udp.count)) + [17, 64] + addresses + udp
      return .ethernet(from: source, to: destination, type: 0x86dd, packet)
    }
    var header: [UInt8] = [0x45, 0] + .big16(UInt16(20 + udp.count)) + .big16(identification)
    header += [isAtomic ? 0x40 : 0, 0, 64, 17, 0, 0] + addresses
    header.replaceSubrange(10..<12, with: [UInt8].big16(header.internetChecksum))
    return .ethernet(from: source, to: destination, type: 0x0800, header + udp)
  }

  /// The datagrams with this much payload each; their identifications are in a row, or all the same.
  func datagrams(_ byteCount: Int, counts: Bool = true) -> [Frame] {
    stride(from: 0, to: payload.count, by: byteCount).enumerated().map { index, start in
      var part = self
      part.payload = Array(payload[start..<min(start + byteCount, payload.count)])
      if counts { part.identification = identification &+ UInt16(index) }
      return part.bytes(finished: true)
    }
  }
}
