// Encapsulation, step E5: copy the prebuilt words, patch lengths, traffic class, TTL,
// checksums, source port and VNI.

extension OuterHeader {
  /// Writes the whole outer header; whatever the buffer held before is overwritten.
  /// - Parameters:
  ///   - header: exactly `byteCount` octets, directly in front of the inner frame.
  ///   - innerByteCount: octets of the inner frame; with this header at most 65535 behind the Ethernet header, which every
  ///     MTU check guarantees.
  ///   - innerSum: `InternetChecksum.partialSum` of the inner frame; used only if `computesUDPChecksum`.
  ///   - vni: the segment.
  ///   - flow: the inner frame's flow, taken before the prepend.
  @inlinable @inline(__always)
  public func write(
    into header: inout MutableRawSpan, innerByteCount: Int, innerSum: UInt32, vni: VNI, flow: InnerFlow
  ) {
    precondition(header.byteCount == byteCount)
    if features == 0 {
      writeIPv4(into: &header, innerByteCount: innerByteCount, vni: vni, flow: flow, ttl: 0, udpChecksum: 0)
    } else {
      writeGeneral(into: &header, innerByteCount: innerByteCount, innerSum: innerSum, vni: vni, flow: flow)
    }
  }

  /// Over IPv4, with a fixed TTL, no UDP checksum and the domain's VNI: what `writePlain` can write.
  @inlinable @inline(__always)
  public var isPlain: Bool { features == 0 }

  /// As `write`, for a header that `isPlain`.
  /// - Parameter header: at least 50 octets.
  @inlinable @inline(__always)
  public func writePlain(into header: inout MutableRawSpan, innerByteCount: Int, vni: VNI, flow: InnerFlow) {
    precondition(header.byteCount >= OuterHeader.ipv4ByteCount)
    writeIPv4(into: &header, innerByteCount: innerByteCount, vni: vni, flow: flow, ttl: 0, udpChecksum: 0)
  }

  /// IPv6, inherited TTL, computed checksum. Inlined as well: a call would copy the whole template.
  @inlinable @inline(__always)
  func writeGeneral(
    into header: inout MutableRawSpan, innerByteCount: Int, innerSum: UInt32, vni: VNI, flow: InnerFlow
  ) {
    let ttl = inheritsTTL ? (flow.hopLimit == 0 ? OuterHeader.ttlOfNonIP : flow.hopLimit) : 0
    let checksum =
      computesUDPChecksum ? udpChecksum(innerByteCount: innerByteCount, innerSum: innerSum, vni: vni, flow: flow) : 0
    if isIPv6 {
      writeIPv6(
        into: &header, innerByteCount: innerByteCount, vni: vni, flow: flow, hopLimit: ttl, udpChecksum: checksum)
    } else {
      writeIPv4(into: &header, innerByteCount: innerByteCount, vni: vni, flow: flow, ttl: ttl, udpChecksum: checksum)
    }
  }

  /// - Parameter ttl: an inherited TTL; 0 leaves the template's.
  /// - Precondition: `header.byteCount >= 50`.
  @inlinable @inline(__always)
  func writeIPv4(
    into header: inout MutableRawSpan, innerByteCount: Int, vni: VNI, flow: InnerFlow, ttl: UInt8, udpChecksum: UInt16
  ) {
    let udpByteCount = UInt64(truncatingIfNeeded: innerByteCount &+ 16)
    let ipByteCount = udpByteCount &+ 20
    // DSCP fixed or inherited; the ECN field is the inner one in either case (RFC 6040 section 4.1).
    let tos = UInt64(flow.trafficClass & inheritedMask)
    let sum = ipv4Sum &+ UInt32(truncatingIfNeeded: tos &+ ipByteCount &+ UInt64(ttl) &<< 8)
    let checksum = UInt64(InternetChecksum.complement(sum))

    header.storeRaw64(word0, at: 0)
    header.storeRaw64(word1 | tos.bigEndian, at: 8)
    header.storeRaw64(word2 | (ipByteCount &<< 48 | UInt64(ttl) &<< 8).bigEndian, at: 16)
    header.storeRaw64(word3 | (checksum &<< 48).bigEndian, at: 24)
    header.storeRaw64(word4 | (UInt64(flow.sourcePort) &<< 32 | udpByteCount).bigEndian, at: 32)
    header.storeBig16(udpChecksum, at: 40)
    header.storeBig64(OuterHeader.vxlan(vni), at: 42)
  }

  /// - Parameter hopLimit: an inherited hop limit; 0 leaves the template's.
  /// - Precondition: `header.byteCount >= 70`.
  @inlinable @inline(__always)
  func writeIPv6(
    into header: inout MutableRawSpan, innerByteCount: Int, vni: VNI, flow: InnerFlow, hopLimit: UInt8,
    udpChecksum: UInt16
  ) {
    let udpByteCount = UInt64(truncatingIfNeeded: innerByteCount &+ 16)
    let classAndLabel = UInt64(flow.trafficClass & inheritedMask) &<< 20 | UInt64(flow.flowLabel)

    header.storeRaw64(word0, at: 0)
    header.storeRaw64(word1 | (classAndLabel &>> 16).bigEndian, at: 8)
    header.storeRaw64(
      word2 | (classAndLabel &<< 48 | udpByteCount &<< 32 | UInt64(hopLimit) &<< 16).bigEndian, at: 16)
    header.storeRaw64(word3, at: 24)
    header.storeRaw64(word4, at: 32)
    header.storeRaw64(word5, at: 40)
    header.storeRaw64(word6 | UInt64(flow.sourcePort).bigEndian, at: 48)
    header.storeBig16(udpPort, at: 56)
    header.storeBig32(UInt32(truncatingIfNeeded: udpByteCount &<< 16) | UInt32(udpChecksum), at: 58)
    header.storeBig64(OuterHeader.vxlan(vni), at: 62)
  }

  /// Flags with the I bit, VNI, and zero in all reserved fields (RFC 7348 section 5).
  @inlinable @inline(__always)
  static func vxlan(_ vni: VNI) -> UInt64 {
    0x0800_0000_0000_0000 | UInt64(vni.rawValue) &<< 8
  }

  /// The UDP checksum over pseudo-header, UDP and VXLAN header and inner frame.
  @inlinable @inline(__always)
  func udpChecksum(innerByteCount: Int, innerSum: UInt32, vni: VNI, flow: InnerFlow) -> UInt16 {
    // The length counts twice: in the pseudo-header and in the UDP header.
    let patched =
      UInt32(truncatingIfNeeded: (innerByteCount &+ 16) &* 2) &+ UInt32(flow.sourcePort)
      &+ (vni.rawValue &>> 8) &+ (vni.rawValue & 0xff) &<< 8
    return InternetChecksum.complementUDP(udpSum &+ patched &+ (innerSum & 0xffff) &+ (innerSum &>> 16))
  }
}
