// TrafficFile: the capture files that net_pcap plays in a loop, written anew for each run.

import Encap
import Glibc

/// Frames of the benchmark's guests and VTEPs.
enum TrafficFile {
  static let ownMAC = MACAddress(bits: 0x0200_0000_aa01)
  static func ownVTEP(_ line: Line) -> IPAddress { line.isIPv6 ? IPAddress(high: 0xfd00 << 48, low: 1) : IPAddress(ipv4: 0x0a63_0001) }
  static func vni(_ domain: Int) -> VNI { VNI(truncating: UInt32(5001 + domain)) }

  static func localMAC(_ local: Int) -> MACAddress { MACAddress(bits: 0x0210_0000_0000 | UInt64(local)) }
  static func remoteMAC(_ index: Int) -> MACAddress { MACAddress(bits: 0x0220_0000_0000 | UInt64(index)) }
  static func vtep(_ number: Int, _ line: Line) -> IPAddress {
    line.isIPv6 ? IPAddress(high: 0xfd00 << 48 | 1, low: UInt64(number)) : IPAddress(ipv4: 0x0a64_0000 | UInt32(number))
  }
  static func vtepMAC(_ number: Int) -> MACAddress { MACAddress(bits: 0x0200_0000_bb00 | UInt64(number)) }

  /// An IPv4/UDP frame between a local station and a remote one.
  ///
  /// - Parameter isReceived: from the remote one.
  private static func frame(_ index: Int, _ line: Line, isReceived: Bool) -> [UInt8] {
    let (local, remote) = (localMAC(line.local(index)), remoteMAC(index))
    let size = line.sizes[index % line.sizes.count]
    let ipByteCount = size - 14
    var bytes = isReceived ? octets(local) + octets(remote) : octets(remote) + octets(local)
    bytes += [
      8, 0, 0x45, 0, UInt8(ipByteCount >> 8), UInt8(ipByteCount & 0xff), 0, 0, 0x40, 0, 64, 17, 0, 0,
      172, 16, UInt8(index >> 8 & 0xff), UInt8(index & 0xff), 172, 17, UInt8(index >> 8 & 0xff), UInt8(index & 0xff),
    ]
    let udpByteCount = ipByteCount - 20
    bytes += [UInt8(0x10 + index % 64), UInt8(index & 0xff), 0x13, 0x88, UInt8(udpByteCount >> 8), UInt8(udpByteCount & 0xff), 0, 0]
    return bytes + [UInt8](repeating: 0x5a, count: size - bytes.count)
  }

  /// What a pipeline receives of a remote station's flow.
  static func received(_ index: Int, _ line: Line, _ direction: Direction) -> [UInt8] {
    direction == .decapsulation ? packet(index, line) : access(index, line)
  }

  /// A frame as a local station sends it.
  static func access(_ index: Int, _ line: Line) -> [UInt8] {
    var bytes = frame(index, line, isReceived: false)
    let vlan = line.vlan(index)
    if vlan != 0 { bytes.insert(contentsOf: [0x81, 0, UInt8(vlan >> 8), UInt8(vlan & 0xff)], at: 12) }
    return bytes
  }

  /// A frame as its VTEP sends it to us.
  static func packet(_ index: Int, _ line: Line) -> [UInt8] {
    let frame = frame(index, line, isReceived: true)
    let number = line.vtep(index)
    let header = OuterHeader(
      source: vtep(number, line), destination: ownVTEP(line), sourceMAC: vtepMAC(number), destinationMAC: ownMAC, udpPort: 4789,
      ttl: 64, dscp: OuterHeader.inheritedDSCP, computesUDPChecksum: line.isIPv6)
    var bytes = [UInt8](repeating: 0, count: header.byteCount) + frame
    let flow = InnerFlow(frame: frame.span.bytes)
    bytes.withUnsafeMutableBytes { octets in
      guard let start = octets.baseAddress else { return }
      var outer = MutableRawSpan(_unsafeStart: start, byteCount: header.byteCount)
      header.write(
        into: &outer, innerByteCount: frame.count, innerSum: InternetChecksum.partialSum(frame.span.bytes), vni: vni(line.domain(index)),
        flow: flow)
    }
    return bytes
  }

  /// Writes a capture file (LINKTYPE_ETHERNET) and returns its size in packets.
  static func write(_ packets: some Sequence<[UInt8]>, to path: String) {
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
