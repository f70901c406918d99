// SelfTestFrame: what OffloadSelfTest sends. Addresses are those for tests of network devices (RFC 2544 appendix C.2.2, RFC 5180 section 8),
// and no router forwards the packets.

import Encap

/// A TCP segment or a UDP datagram whose checksum is left to the NIC.
struct SelfTestFrame {
  var octets: [UInt8]
  var request: OffloadRequest

  /// - Parameters:
  ///   - ports: source and destination.
  ///   - isLast: with PSH and FIN.
  init(
    from source: MACAddress, to destination: MACAddress, isUDP: Bool, isIPv6: Bool, ports: (UInt16, UInt16), payload: [UInt8],
    segmentByteCount: Int = 0, isLast: Bool = true
  ) {
    request = OffloadRequest(
      linkByteCount: 14, networkByteCount: isIPv6 ? 40 : 20, transportByteCount: isUDP ? 8 : 32, isIPv6: isIPv6, isUDP: isUDP,
      segmentByteCount: segmentByteCount)
    let transportByteCount = request.transportByteCount + payload.count
    // IP protocol numbers.
    let kind: UInt8 = isUDP ? 17 : 6
    let (first, second) = (Self.octets(Self.address(1, isIPv6: isIPv6)), Self.octets(Self.address(2, isIPv6: isIPv6)))
    octets = destination.octets + source.octets
    if isIPv6 {
      octets += [0x86, 0xdd, 0x60, 0, 0, 0] + Self.big(UInt16(transportByteCount)) + [kind, 1] + first + second
    } else {
      var header = [0x45, 0] + Self.big(UInt16(20 + transportByteCount)) + Self.big(ports.0) + [0x40, 0, 1, kind, 0, 0] + first + second
      header.replaceSubrange(10..<12, with: Self.big(InternetChecksum.complement(Self.sum(header))))
      octets += [0x08, 0x00] + header
    }
    let pseudoSum = Self.sum(first + second) + UInt32(kind) + UInt32(transportByteCount)
    let unfinished = Self.big(InternetChecksum.fold(pseudoSum))
    octets += Self.big(ports.0) + Self.big(ports.1)
    if isUDP {
      octets += Self.big(UInt16(transportByteCount)) + unfinished
    } else {
      // The sequence number wraps around between the segments. Eight words of header, ACK, PSH and FIN, and a timestamp.
      octets += Self.big(0xffff_fe00 as UInt32) + Self.big(1 as UInt32) + [0x80, isLast ? 0x19 : 0x10, 0x10, 0] + unfinished
      octets += [0, 0, 1, 1, 8, 10]
      octets += Self.big(0x1234_5678 as UInt32) + Self.big(0x9abc_def0 as UInt32)
    }
    octets += payload
  }

  /// For a frame inside VXLAN.
  static func outerHeader(
    from source: MACAddress, to destination: MACAddress, isIPv6: Bool, udpPort: UInt16, computesUDPChecksum: Bool
  ) -> OuterHeader {
    OuterHeader(
      source: address(1, isIPv6: isIPv6), destination: address(2, isIPv6: isIPv6), sourceMAC: source, destinationMAC: destination,
      udpPort: udpPort, ttl: 1, dscp: 0, computesUDPChecksum: computesUDPChecksum)
  }

  private static func address(_ number: UInt32, isIPv6: Bool) -> IPAddress {
    isIPv6 ? IPAddress(high: 0x2001_0002 << 32, low: UInt64(number)) : IPAddress(ipv4: 0xc612_0000 | number)
  }

  private static func octets(_ address: IPAddress) -> [UInt8] {
    address.isIPv4 ? big(address.ipv4) : big(address.high) + big(address.low)
  }

  /// Whether a frame is one of those with this source port, or became of it.
  static func matches(_ octets: [UInt8], from source: MACAddress, to destination: MACAddress, port: UInt16) -> Bool {
    guard octets.count >= 56, octets.starts(with: destination.octets + source.octets) else { return false }
    let offset = octets[12] == 0x08 ? 34 : 54
    return octets[offset..<offset + 2].elementsEqual(big(port))
  }

  /// The frame with what may differ made equal: segments that are never fragmented may have any identification (RFC 6864 section 4.1). A wrong
  /// checksum of an IPv4 header stays.
  ///
  /// - Parameter innerOffset: where another Ethernet frame begins; nil: there is none.
  static func comparable(_ octets: [UInt8], innerOffset: Int? = nil) -> [UInt8] {
    var octets = octets
    for offset in [0, innerOffset].compactMap(\.self) {
      let network = offset + 14
      guard octets.count >= network + 20, octets[offset + 12] == 0x08, octets[network + 6] & 0x40 != 0,
        InternetChecksum.fold(sum(octets[network..<network + 20])) == 0xffff
      else { continue }
      for field in [4, 5, 10, 11] { octets[network + field] = 0 }
    }
    return octets
  }

  private static func sum(_ octets: some Collection<UInt8>) -> UInt32 {
    Array(octets).withUnsafeBytes { InternetChecksum.partialSum(RawSpan(_unsafeBytes: $0)) }
  }

  private static func big<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
    withUnsafeBytes(of: number.bigEndian) { Array($0) }
  }
}
