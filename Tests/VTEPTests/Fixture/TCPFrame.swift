// TCP segments of guests, of any length, written octet by octet; and the same cut up, as their sender would have cut them.

import Encap

/// One TCP segment between two guests, large or not.
struct TCPFrame {
  var source: MACAddress
  var destination: MACAddress
  var isIPv6 = false
  var destinationPort: UInt16 = 5000
  var sequence: UInt32 = 0xffff_f000
  var identification: UInt16 = 0xfffe
  /// Without FIN, PSH and CWR unless they are wanted.
  var flags: UInt8 = 0x10
  var payload: [UInt8]

  init(from source: MACAddress, to destination: MACAddress, isIPv6: Bool = false, byteCount: Int, destinationPort: UInt16 = 5000) {
    self.destinationPort = destinationPort
    self.source = source
    self.destination = destination
    self.isIPv6 = isIPv6
    payload = (0..<byteCount).map { UInt8(truncatingIfNeeded: $0 &* 13 &+ $0 >> 8) }
  }

  var headerByteCount: Int { isIPv6 ? 86 : 66 }

  /// With its checksum, or with only the pseudo-header sum in its place.
  func bytes(finished: Bool) -> Frame {
    // Twelve octets of options: two NOPs and a time stamp.
    var tcp: [UInt8] = .big16(4000) + .big16(destinationPort) + .big32(sequence) + .big32(77) + [0x80, flags] + .big16(500)
    tcp += [0, 0, 0, 0, 1, 1, 8, 10] + .big32(0x1234_5678) + .big32(0x9abc_def0) + payload
    let frame = Frame.over(isIPv6, from: source, to: destination, identification: identification, number: 6, tcp)
    return finished ? frame : frame.unfinished
  }

  /// The segments with this much payload each.
  func segments(_ byteCount: Int) -> [Frame] {
    stride(from: 0, to: payload.count, by: byteCount).enumerated().map { index, start in
      var part = self
      part.payload = Array(payload[start..<min(start + byteCount, payload.count)])
      part.sequence = sequence &+ UInt32(start)
      part.identification = identification &+ UInt16(index)
      if index > 0 { part.flags &= ~0x80 }
      if start + byteCount < payload.count { part.flags &= ~0x09 }
      return part.bytes(finished: true)
    }
  }
}
