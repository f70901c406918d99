// AnnouncementFrame: announces a guest that has just arrived to every switch and VTEP of a segment: a reverse ARP request
// (RFC 903), as hypervisors send it. It contains no IP address, so it changes no host's ARP table.

/// A broadcast RARP request from a station, padded to Ethernet's minimum.
public enum AnnouncementFrame {
  public static let byteCount = 60

  /// Writes the frame into the first `byteCount` bytes.
  public static func write(into bytes: inout MutableRawSpan, source: MACAddress) {
    for offset in 0..<byteCount { bytes.storeBytes(of: 0, toByteOffset: offset, as: UInt8.self) }
    for offset in 0..<6 {
      let octet = UInt8(truncatingIfNeeded: source.bits &>> UInt64(40 - 8 * offset))
      bytes.storeBytes(of: 0xff, toByteOffset: offset, as: UInt8.self)
      // Sender and target hardware address are the station's.
      for start in [6, 22, 32] { bytes.storeBytes(of: octet, toByteOffset: start + offset, as: UInt8.self) }
    }
    // Ethernet type, hardware type, protocol type, address lengths, operation.
    let fields: [(offset: Int, value: UInt16)] = [(12, 0x8035), (14, 1), (16, 0x0800), (18, 0x0604), (20, 3)]
    for (offset, value) in fields { bytes.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt16.self) }
  }
}
