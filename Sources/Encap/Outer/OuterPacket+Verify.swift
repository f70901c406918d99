// The checks of a packet for our port, in the order of the headers. Each failure is one `DropReason`.

extension OuterPacket {
  /// The IPv4 header, behind which the rest follows.
  /// - Precondition: the packet holds the header and the UDP port; version, header length and protocol are right.
  mutating func verifyIPv4(_ packet: RawSpan, headerByteCount: Int, isFragment: Bool, _ rules: Rules) {
    let sourceValue = packet.big32(26)
    source = IPAddress(ipv4: sourceValue)
    destination = IPAddress(ipv4: packet.big32(30))
    trafficClass = packet.byte(15)
    let header = packet.extracting(unchecked: 14..<14 + headerByteCount)
    guard InternetChecksum.partialSum(header) == 0xffff else { return drop(.outerIPv4Checksum) }
    let ipByteCount = Int(packet.big16(16))
    guard ipByteCount >= headerByteCount, ipByteCount &+ 14 <= rules.byteCount else { return drop(.outerLength) }
    guard !isFragment else { return drop(.outerFragment) }
    // 0.0.0.0 and 255.255.255.255 in one comparison, 224.0.0.0/4, 127.0.0.0/8.
    guard sourceValue &- 1 < 0xffff_fffe, sourceValue &>> 28 != 0xe, sourceValue &>> 24 != 127 else {
      return drop(.outerSourceInvalid)
    }
    verifyUDP(packet, at: 14 &+ headerByteCount, ipEnd: 14 &+ ipByteCount, zeroChecksumIsFine: true, rules)
  }

  /// UDP and VXLAN; makes the packet accepted or dropped.
  /// - Precondition: `ipEnd <= rules.byteCount`; source and destination are set.
  mutating func verifyUDP(_ packet: RawSpan, at udp: Int, ipEnd: Int, zeroChecksumIsFine: Bool, _ rules: Rules) {
    let end = min(ipEnd, packet.byteCount)
    guard end &- udp >= 8 else { return drop(.udpLength) }
    // Bytes between the end of UDP and the end of IP are tolerated, as by every receiver, and cut off.
    let udpByteCount = Int(packet.big16(udp &+ 4))
    guard udpByteCount >= 8, udpByteCount <= ipEnd &- udp else { return drop(.udpLength) }
    if packet.big16(udp &+ 6) != 0 {
      let addressSum = InternetChecksum.partialSum(source) &+ InternetChecksum.partialSum(destination)
      guard
        !rules.verifiesUDP
          || OuterPacket.isSoundUDP(packet, at: udp, byteCount: udpByteCount, addressSum: addressSum)
      else { return drop(.udpChecksum) }
    } else if !zeroChecksumIsFine {
      return drop(.udp6ZeroChecksum)
    }
    innerOffset = udp &+ 16
    innerByteCount = udpByteCount &- 16
    guard udpByteCount >= 16, end &- udp >= 16 else { return drop(.vxlanTruncated) }
    let vxlan = packet.big64(udp &+ 8)
    guard vxlan & 0x0800_0000_0000_0000 != 0 else { return drop(.vxlanFlags) }
    vni = VNI(truncating: UInt32(truncatingIfNeeded: vxlan &>> 8))
    guard innerByteCount >= 14 else { return drop(.innerRunt) }
    outcome = .accepted
  }

  /// What is wrong with a datagram from its VXLAN header on: of a train, whose outer headers have been verified. Nil: nothing.
  public static func vxlanFault(_ payload: RawSpan) -> DropReason? {
    guard payload.byteCount >= OuterHeader.vxlanByteCount else { return .vxlanTruncated }
    guard payload.big64(0) & 0x0800_0000_0000_0000 != 0 else { return .vxlanFlags }
    return payload.byteCount >= OuterHeader.vxlanByteCount &+ 14 ? nil : .innerRunt
  }

  /// - Parameter payload: a datagram without a `vxlanFault`.
  public static func vni(_ payload: RawSpan) -> VNI {
    VNI(truncating: UInt32(truncatingIfNeeded: payload.big64(0) &>> 8))
  }

  mutating func drop(_ reason: DropReason) {
    outcome = .dropped
    self.reason = reason
  }
}
