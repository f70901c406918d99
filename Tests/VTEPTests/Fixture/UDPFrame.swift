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

  /// With its checksum, or with only the pseudo-header sum in its place.
  func bytes(finished: Bool) -> Frame {
    let udp: [UInt8] = .big16(4000) + .big16(5000) + .big16(UInt16(8 + payload.count)) + [0, 0] + payload
    let frame = Frame.over(
      isIPv6, from: source, to: destination, identification: identification, isAtomic: isAtomic, number: 17, udp)
    return finished ? frame : frame.unfinished
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
