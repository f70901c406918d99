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

  /// With a fixed TTL and the domain's VNI: of the inner frame `write` needs no more than its length, traffic class, hash and sum.
  @inlinable @inline(__always)
  public var isFixed: Bool { features & (OuterHeader.inheritedTTLFeature | OuterHeader.ownKeyFeature) == 0 }

  /// As `write`, for a header that `isPlain`.
  /// - Parameters:
  ///   - start: 50 octets, which are overwritten; what follows is left alone.
  ///   - ipByteCount: the outer packet's total length: 36 more than the inner frame's; at most `largestPlainPacket`.
  ///   - trafficClass, hash: of the inner flow.
  ///   - vxlan: what `vxlanHeader` returned.
  @inlinable @inline(__always)
  public func writePlain(at start: UnsafeMutableRawPointer, ipByteCount: UInt16, trafficClass: UInt8, hash: UInt32, vxlan: UInt64) {
    var header = MutableRawSpan(_unsafeStart: start, byteCount: OuterHeader.ipv4ByteCount)
    let tos = trafficClass & inheritedMask
    // One sum for both: it cannot overflow.
    let sum = InternetChecksum.sum(wireSum, (ipByteCount &+ UInt16(tos)).bigEndian)
    store(into: &header, ipByteCount: ipByteCount, tos: tos, wireChecksum: ~sum, hash: hash, udpChecksum: 0, vxlan: vxlan)
  }

  /// As `write`, for a header over IPv6 that `isFixed`, directly in front of the inner frame.
  /// - Parameters:
  ///   - start: 70 octets, which are overwritten; then the inner frame.
  ///   - innerByteCount: as for `write`.
  ///   - trafficClass, hash: of the inner flow.
  ///   - vxlan: what `vxlanHeader` returned.
  @inlinable @inline(__always)
  public func writeFixedIPv6(at start: UnsafeMutableRawPointer, innerByteCount: Int, trafficClass: UInt8, hash: UInt32, vxlan: UInt64) {
    let flow = InnerFlow(hash: hash, trafficClass: trafficClass, hopLimit: 0)
    var checksum: UInt16 = 0
    if computesUDPChecksum {
      // All in memory order. The length counts twice: in the pseudo-header and in the UDP header. VXLAN's flags are in `wireSum`.
      let length = UInt64(UInt16(truncatingIfNeeded: innerByteCount &+ 16).bigEndian)
      let constant = UInt64(wireSum) &+ UInt64(flow.sourcePort.bigEndian) &+ (UInt64(littleEndian: vxlan) &>> 32).littleEndian
      let inner = RawSpan(_unsafeStart: start + OuterHeader.ipv6ByteCount, byteCount: innerByteCount)
      let sum = InternetChecksum.fold(InternetChecksum.wireSum(inner, addedTo: constant &+ length &+ length))
      checksum = sum == 0xffff ? 0xffff : UInt16(bigEndian: ~sum)
    }
    var header = MutableRawSpan(_unsafeStart: start, byteCount: OuterHeader.ipv6ByteCount)
    writeIPv6(into: &header, innerByteCount: innerByteCount, vxlan: vxlan, flow: flow, hopLimit: 0, udpChecksum: checksum)
  }

  /// Longest packet of `writePlain` behind the outer Ethernet header, in octets.
  @inlinable public static var largestPlainPacket: Int { 65_280 }

  /// IPv6, inherited TTL, computed checksum. Inlined as well: a call would copy the whole template.
  @inlinable @inline(__always)
  func writeGeneral(
    into header: inout MutableRawSpan, innerByteCount: Int, innerSum: UInt32, vni: VNI, flow: InnerFlow
  ) {
    let ttl = inheritsTTL ? (flow.hopLimit == 0 ? OuterHeader.ttlOfNonIP : flow.hopLimit) : 0
    let vxlan = OuterHeader.vxlanHeader(vni)
    let checksum = computesUDPChecksum ? udpChecksum(innerByteCount: innerByteCount, innerSum: innerSum, vxlan: vxlan, flow: flow) : 0
    if isIPv6 {
      writeIPv6(
        into: &header, innerByteCount: innerByteCount, vxlan: vxlan, flow: flow, hopLimit: ttl, udpChecksum: checksum)
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
    let ipByteCount = UInt16(truncatingIfNeeded: innerByteCount &+ 36)
    // DSCP fixed or inherited; the ECN field is the inner one in either case (RFC 6040 section 4.1).
    let tos = flow.trafficClass & inheritedMask
    let sum = InternetChecksum.sum(
      InternetChecksum.sum(wireSum, ipByteCount.bigEndian), InternetChecksum.sum(UInt16(tos).bigEndian, (UInt16(ttl) &<< 8).bigEndian))
    store(
      into: &header, ipByteCount: ipByteCount, tos: tos, wireChecksum: ~sum, hash: flow.hash, udpChecksum: udpChecksum,
      vxlan: OuterHeader.vxlanHeader(vni))
    if ttl != 0 { header.storeByte(ttl, at: 22) }
  }

  /// The template in two pieces of 16 octets, then a packet's own values over it: fewer instructions than in words made before.
  @inlinable @inline(__always)
  func store(
    into header: inout MutableRawSpan, ipByteCount: UInt16, tos: UInt8, wireChecksum: UInt16, hash: UInt32, udpChecksum: UInt16,
    vxlan: UInt64
  ) {
    header.storeRaw128(word0, word1, at: 0)
    header.storeRaw128(word2, word3, at: 16)
    if tos != 0 { header.storeByte(UInt8(truncatingIfNeeded: word1.bigEndian) | tos, at: 15) }
    header.storeBig16(ipByteCount, at: 16)
    header.storeBig16(wireChecksum.bigEndian, at: 24)
    // The hash's upper half as it is in memory: see `InnerFlow.sourcePort`.
    header.storeRaw64(word4 | UInt64(hash & 0xffff_0000).littleEndian, at: 32)
    header.storeBig32(UInt32(ipByteCount &- 20) &<< 16 | UInt32(udpChecksum), at: 38)
    header.storeRaw64(vxlan, at: 42)
  }

  /// - Parameter hopLimit: an inherited hop limit; 0 leaves the template's.
  /// - Precondition: `header.byteCount >= 70`.
  @inlinable @inline(__always)
  func writeIPv6(
    into header: inout MutableRawSpan, innerByteCount: Int, vxlan: UInt64, flow: InnerFlow, hopLimit: UInt8,
    udpChecksum: UInt16
  ) {
    let udpByteCount = UInt64(truncatingIfNeeded: innerByteCount &+ 16)
    let classAndLabel = UInt64(flow.trafficClass & inheritedMask) &<< 20 | UInt64(flow.flowLabel)

    // Template first, then a packet's own values over it, as for IPv4.
    header.storeRaw128(word0, word1, at: 0)
    header.storeRaw128(word2, word3, at: 16)
    header.storeRaw64(word4, at: 32)
    header.storeRaw128(word5, word6, at: 40)
    // EtherType, version, class, label and payload length.
    header.storeBig64(word1.bigEndian &<< 32 | classAndLabel &<< 16 | udpByteCount, at: 12)
    if hopLimit != 0 { header.storeByte(hopLimit, at: 21) }
    header.storeBig64(
      UInt64(flow.sourcePort) &<< 48 | UInt64(udpPort) &<< 32 | udpByteCount &<< 16 | UInt64(udpChecksum), at: 54)
    header.storeRaw64(vxlan, at: 62)
  }

  /// A VXLAN header in wire order: flags with the I bit, VNI, and zero in all reserved fields (RFC 7348 section 5).
  @inlinable @inline(__always)
  public static func vxlanHeader(_ vni: VNI) -> UInt64 {
    (0x0800_0000_0000_0000 | UInt64(vni.rawValue) &<< 8).bigEndian
  }

  /// The VNI in the last word of a VXLAN header, as it is in memory.
  @inlinable @inline(__always)
  public static func vni(wireSegment: UInt32) -> VNI { VNI(truncating: UInt32(bigEndian: wireSegment) &>> 8) }

  /// The UDP checksum over pseudo-header, UDP and VXLAN header and inner frame.
  @inlinable @inline(__always)
  func udpChecksum(innerByteCount: Int, innerSum: UInt32, vxlan: UInt64, flow: InnerFlow) -> UInt16 {
    let segment = UInt32(truncatingIfNeeded: vxlan.bigEndian)
    // The length counts twice: in the pseudo-header and in the UDP header.
    let patched =
      UInt32(truncatingIfNeeded: (innerByteCount &+ 16) &* 2) &+ UInt32(flow.sourcePort)
      &+ (segment &>> 16) &+ (segment & 0xffff)
    return InternetChecksum.complementUDP(udpSum &+ patched &+ (innerSum & 0xffff) &+ (innerSum &>> 16))
  }
}
