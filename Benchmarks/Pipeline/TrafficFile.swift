// TrafficFile: the capture files that net_pcap plays in a loop, written anew for each run.

import Encap
import Glibc

/// Frames of the benchmark's guests and VTEPs.
enum TrafficFile {
  static let ownVTEP = IPAddress(ipv4: 0x0a63_0001)
  static let ownMAC = MACAddress(bits: 0x0200_0000_aa01)
  static let vteps = 16
  static let vni = VNI(truncating: 5001)

  /// Local stations.
  static let guests = 16
  static func localMAC(_ index: Int) -> MACAddress { MACAddress(bits: 0x0210_0000_0000 | UInt64(index % guests)) }
  static func remoteMAC(_ index: Int) -> MACAddress { MACAddress(bits: 0x0220_0000_0000 | UInt64(index)) }
  static func vtep(_ index: Int) -> IPAddress { IPAddress(ipv4: 0x0a63_0100 | UInt32(index % vteps)) }
  static func vtepMAC(_ index: Int) -> MACAddress { MACAddress(bits: 0x0200_0000_bb00 | UInt64(index % vteps)) }

  /// An IPv4/UDP frame of 64 bytes.
  static func frame(from source: MACAddress, to destination: MACAddress, index: Int) -> [UInt8] {
    var bytes = octets(destination) + octets(source) + [0x08, 0x00]
    let header: [UInt8] = [
      0x45, 0, 0, 50, 0, 0, 0x40, 0, 64, 17, 0, 0, 172, 16, UInt8(index >> 8 & 0xff), UInt8(index & 0xff),
      172, 17, UInt8(index >> 8 & 0xff), UInt8(index & 0xff),
    ]
    bytes += header
    bytes += [UInt8(0x10 + index % 64), UInt8(index & 0xff), 0x13, 0x88, 0, 30, 0, 0]
    bytes += [UInt8](repeating: 0x5a, count: 64 - bytes.count)
    return bytes
  }

  /// The same frame as sent to us by its VTEP.
  static func packet(carrying frame: [UInt8], index: Int) -> [UInt8] {
    let header = OuterHeader(
      source: vtep(index), destination: ownVTEP, sourceMAC: vtepMAC(index), destinationMAC: ownMAC, udpPort: 4789,
      ttl: 64, dscp: OuterHeader.inheritedDSCP, computesUDPChecksum: false)
    var bytes = [UInt8](repeating: 0, count: header.byteCount) + frame
    let flow = InnerFlow(frame: frame.span.bytes)
    bytes.withUnsafeMutableBytes { octets in
      guard let start = octets.baseAddress else { return }
      var outer = MutableRawSpan(_unsafeStart: start, byteCount: header.byteCount)
      header.write(into: &outer, innerByteCount: frame.count, innerSum: 0, vni: vni, flow: flow)
    }
    return bytes
  }

  /// Writes a capture file (LINKTYPE_ETHERNET) and returns its size in packets.
  static func write(_ packets: [[UInt8]], to path: String) {
    guard let file = fopen(path, "w") else { fatalError("cannot write \(path): \(String(cString: strerror(errno)))") }
    defer { fclose(file) }
    put([0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1], file)
    for packet in packets {
      put([0, 0, UInt32(packet.count), UInt32(packet.count)], file)
      fwrite(packet, 1, packet.count, file)
    }
  }

  private static func put(_ words: [UInt32], _ file: UnsafeMutablePointer<FILE>) {
    fwrite(words, 4, words.count, file)
  }

  private static func octets(_ mac: MACAddress) -> [UInt8] {
    (0..<6).map { UInt8(truncatingIfNeeded: mac.bits >> UInt64(40 - 8 * $0)) }
  }
}
