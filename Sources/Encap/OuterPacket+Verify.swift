// The checks of a packet for our port, in the order of the headers. Each failure is one `DropReason`.

extension OuterPacket {
  /// The IPv4 header, behind which the rest follows.
  /// - Precondition: the packet holds the header and the UDP port; version, header length and protocol are right.
  @inlinable @inline(__always)
  mutating func verifyIPv4(_ packet: RawSpan, headerByteCount: Int, isFragment: Bool, policy: DecapPolicy) {
    let sourceValue = packet.big32(26)
    source = IPAddress(ipv4: sourceValue)
    destination = IPAddress(ipv4: packet.big32(30))
    trafficClass = packet.byte(15)
    guard OuterPacket.ipv4HeaderSum(packet, headerByteCount: headerByteCount) == 0xffff else {
      return drop(.outerIPv4Checksum)
    }
    let ipByteCount = Int(packet.big16(16))
    guard ipByteCount >= headerByteCount, ipByteCount &+ 14 <= packet.byteCount else { return drop(.outerLength) }
    guard !isFragment else { return drop(.outerFragment) }
    // 0.0.0.0 and 255.255.255.255 in one comparison, 224.0.0.0/4, 127.0.0.0/8.
    guard sourceValue &- 1 < 0xffff_fffe, sourceValue &>> 28 != 0xe, sourceValue &>> 24 != 127 else {
      return drop(.outerSourceInvalid)
    }
    verifyUDP(packet, at: 14 &+ headerByteCount, ipEnd: 14 &+ ipByteCount, zeroChecksumIsFine: true)
  }

  /// UDP and VXLAN; makes the packet accepted or dropped.
  /// - Precondition: `ipEnd <= packet.byteCount`; source and destination are set.
  @inlinable @inline(__always)
  mutating func verifyUDP(_ packet: RawSpan, at udp: Int, ipEnd: Int, zeroChecksumIsFine: Bool) {
    guard ipEnd &- udp >= 8 else { return drop(.udpLength) }
    // Bytes between the end of UDP and the end of IP are tolerated, as by every receiver, and cut off.
    let udpByteCount = Int(packet.big16(udp &+ 4))
    guard udpByteCount >= 8, udpByteCount <= ipEnd &- udp else { return drop(.udpLength) }
    if packet.big16(udp &+ 6) != 0 {
      guard hasSoundUDPChecksum(packet, at: udp, byteCount: udpByteCount) else { return drop(.udpChecksum) }
    } else if !zeroChecksumIsFine {
      return drop(.udp6ZeroChecksum)
    }
    guard udpByteCount >= 16 else { return drop(.vxlanTruncated) }
    let vxlan = packet.big64(udp &+ 8)
    guard vxlan & 0x0800_0000_0000_0000 != 0 else { return drop(.vxlanFlags) }
    vni = VNI(truncating: UInt32(truncatingIfNeeded: vxlan &>> 8))
    innerOffset = udp &+ 16
    innerByteCount = udpByteCount &- 16
    guard innerByteCount >= 14 else { return drop(.innerRunt) }
    outcome = .accepted
  }

  @inlinable @inline(__always)
  mutating func drop(_ reason: DropReason) {
    outcome = .dropped
    self.reason = reason
  }

  /// The folded sum of the header, 0xffff when its checksum is right.
  @inlinable @inline(__always)
  static func ipv4HeaderSum(_ packet: RawSpan, headerByteCount: Int) -> UInt16 {
    // Whether the sum is all ones does not depend on the byte order, so the words stay as they lie in memory.
    let first = packet.unsafeLoadUnaligned(fromUncheckedByteOffset: 14, as: UInt64.self)
    let second = packet.unsafeLoadUnaligned(fromUncheckedByteOffset: 22, as: UInt64.self)
    var sum = UInt64(packet.unsafeLoadUnaligned(fromUncheckedByteOffset: 30, as: UInt32.self))
    sum = sum &+ (first &>> 32) &+ (first & 0xffff_ffff) &+ (second &>> 32) &+ (second & 0xffff_ffff)
    var offset = 34
    while offset < 14 &+ headerByteCount {
      sum = sum &+ UInt64(packet.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt32.self))
      offset = offset &+ 4
    }
    return InternetChecksum.fold(sum)
  }

  /// Sums pseudo-header and datagram; called only when the sender computed a checksum.
  @usableFromInline
  func hasSoundUDPChecksum(_ packet: RawSpan, at udp: Int, byteCount: Int) -> Bool {
    let sum =
      InternetChecksum.partialSum(source) &+ InternetChecksum.partialSum(destination)
      &+ UInt32(IPProtocol.udp) &+ UInt32(truncatingIfNeeded: byteCount)
      &+ InternetChecksum.partialSum(packet.extracting(unchecked: udp..<udp &+ byteCount))
    return InternetChecksum.fold(sum) == 0xffff
  }
}
