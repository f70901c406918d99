// The short cut of decapsulation over IPv6: a packet of the common shape that is sound in every respect is accepted; of all
// others it only says that it is not one of those. The conditions are stricter than the rules (OuterPacket+Verify.swift),
// never weaker. That of IPv4 is PlainOuterIPv4.

extension OuterPacket {
  /// IPv6 with UDP directly behind its header.
  /// - Precondition: at least 84 octets; EtherType and version are right.
  @inlinable @inline(__always)
  mutating func acceptIPv6(_ packet: RawSpan, policy: DecapPolicy) -> Bool {
    let udpByteCount = Int(packet.big16(18))
    guard udpByteCount >= 30, udpByteCount &+ 54 <= packet.byteCount, packet.byte(20) == IPProtocol.udp,
      packet.big16(56) == policy.udpPort, Int(packet.big16(58)) == udpByteCount
    else { return false }
    source = IPAddress(loading16: packet, at: 22)
    destination = IPAddress(loading16: packet, at: 38)
    // 0::/64 holds unspecified, loopback and mapped addresses.
    guard source.high &- 1 < 0xfeff_ffff_ffff_ffff, destination.high != 0 else { return false }
    if packet.big16(60) != 0 {
      let addressSum =
        UInt32(InternetChecksum.fold(source.high)) &+ UInt32(InternetChecksum.fold(source.low))
        &+ UInt32(InternetChecksum.fold(destination.high)) &+ UInt32(InternetChecksum.fold(destination.low))
      guard OuterPacket.isSoundUDP(packet, at: 54, byteCount: udpByteCount, addressSum: addressSum) else {
        return false
      }
    } else if !policy.acceptsZeroUDP6Checksum {
      return false
    }
    trafficClass = UInt8(truncatingIfNeeded: packet.big16(14) &>> 4)
    let vxlan = packet.big64(62)
    guard vxlan & 0x0800_0000_0000_0000 != 0 else { return false }
    vni = VNI(truncating: UInt32(truncatingIfNeeded: vxlan &>> 8))
    innerOffset = 70
    innerByteCount = udpByteCount &- 16
    outcome = .accepted
    return true
  }

  /// Sums pseudo-header and datagram; called only when the sender computed a checksum.
  /// - Precondition: `udp + byteCount <= packet.byteCount`, `byteCount <= 65535`.
  @usableFromInline
  static func isSoundUDP(_ packet: RawSpan, at udp: Int, byteCount: Int, addressSum: UInt32) -> Bool {
    let sum =
      addressSum &+ UInt32(IPProtocol.udp) &+ UInt32(truncatingIfNeeded: byteCount)
      &+ InternetChecksum.partialSum(packet.extracting(unchecked: udp..<udp &+ byteCount))
    return InternetChecksum.fold(sum) == 0xffff
  }
}
