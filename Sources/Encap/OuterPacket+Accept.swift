// The short cut of decapsulation, inlined into the worker: a packet of the common shape that is sound in every respect is
// accepted; of all others it only says that it is not one of those. The conditions are stricter than the rules
// (OuterPacket+Verify.swift), never weaker.

extension OuterPacket {
  /// IPv4 without options or fragmentation.
  /// - Precondition: at least 64 octets; EtherType, version and header length are right.
  @inlinable @inline(__always)
  mutating func acceptIPv4(_ packet: RawSpan, policy: DecapPolicy) -> Bool {
    // Flags and fragment offset, TTL, protocol; DF alone may be set.
    guard packet.big32(20) & 0x3fff_00ff == UInt32(IPProtocol.udp), packet.big16(36) == policy.udpPort else {
      return false
    }
    let ipByteCount = Int(packet.big16(16))
    let udpByteCount = Int(packet.big16(38))
    guard ipByteCount == udpByteCount &+ 20, ipByteCount &+ 14 <= packet.byteCount, udpByteCount >= 30 else {
      return false
    }
    guard OuterPacket.ipv4HeaderSum(packet) == 0xffff else { return false }
    // 1...223 without 127: neither 0.0.0.0 nor multicast, broadcast or loopback.
    let sourceValue = packet.big32(26)
    guard sourceValue &>> 24 &- 1 < 223, sourceValue &>> 24 != 127 else { return false }
    if packet.big16(40) != 0 {
      let addressSum = UInt32(InternetChecksum.fold(packet.big64(26)))
      guard OuterPacket.isSoundUDP(packet, at: 34, byteCount: udpByteCount, addressSum: addressSum) else {
        return false
      }
    }
    source = IPAddress(ipv4: sourceValue)
    destination = IPAddress(ipv4: packet.big32(30))
    trafficClass = packet.byte(15)
    return acceptVXLAN(packet, at: 42, innerByteCount: udpByteCount &- 16)
  }

  /// IPv6 with UDP directly behind its header.
  /// - Precondition: at least 64 octets; EtherType and version are right.
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
    return acceptVXLAN(packet, at: 62, innerByteCount: udpByteCount &- 16)
  }

  @inlinable @inline(__always)
  mutating func acceptVXLAN(_ packet: RawSpan, at offset: Int, innerByteCount: Int) -> Bool {
    let vxlan = packet.big64(offset)
    guard vxlan & 0x0800_0000_0000_0000 != 0 else { return false }
    vni = VNI(truncating: UInt32(truncatingIfNeeded: vxlan &>> 8))
    innerOffset = offset &+ 8
    self.innerByteCount = innerByteCount
    outcome = .accepted
    return true
  }

  /// The folded sum of an IPv4 header without options, 0xffff when its checksum is right.
  @inlinable @inline(__always)
  static func ipv4HeaderSum(_ packet: RawSpan) -> UInt16 {
    // Whether the sum is all ones does not depend on the byte order, so the words stay as they lie in memory.
    let first = packet.unsafeLoadUnaligned(fromUncheckedByteOffset: 14, as: UInt64.self)
    let second = packet.unsafeLoadUnaligned(fromUncheckedByteOffset: 22, as: UInt64.self)
    let third = UInt64(packet.unsafeLoadUnaligned(fromUncheckedByteOffset: 30, as: UInt32.self))
    let pair = first.addingReportingOverflow(second)
    let all = pair.partialValue.addingReportingOverflow(third &+ (pair.overflow ? 1 : 0))
    return InternetChecksum.fold(all.partialValue &+ (all.overflow ? 1 : 0))
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
