// Packets off the short cut of `OuterPacket.init`: IPv6, IPv4 options, fragments, cut packets, and everything that is not
// VXLAN. A packet counts as ours when it is UDP, its destination port is ours, and it is no later fragment.

extension OuterPacket {
  /// Every packet, also those of the short cut, with the same result.
  @usableFromInline
  static func general(_ packet: RawSpan, policy: DecapPolicy) -> OuterPacket {
    general(packet, byteCount: packet.byteCount, verifiesUDP: true, policy: policy)
  }

  /// - Parameters:
  ///   - packet: its beginning; all of it when the UDP checksum is to be verified.
  ///   - byteCount: of all of it.
  static func general(_ packet: RawSpan, byteCount: Int, verifiesUDP: Bool, policy: DecapPolicy) -> OuterPacket {
    var result = OuterPacket()
    guard packet.byteCount >= 14 else { return result }
    let rules = Rules(policy: policy, byteCount: byteCount, verifiesUDP: verifiesUDP)
    switch packet.big16(12) {
    case EtherType.ipv4: result.parseIPv4(packet, rules)
    case EtherType.ipv6: result.parseIPv6(packet, rules)
    default: break
    }
    return result
  }

  /// What a packet is judged by.
  struct Rules {
    var policy: DecapPolicy
    /// Octets of the packet, of which only the beginning may be at hand.
    var byteCount: Int
    var verifiesUDP: Bool
  }

  private mutating func parseIPv4(_ packet: RawSpan, _ rules: Rules) {
    guard packet.byteCount >= 34 else { return drop(.outerIPv4Header) }
    let versionAndLength = packet.byte(14)
    let headerByteCount = Int(versionAndLength & 0xf) * 4
    guard versionAndLength >> 4 == 4, headerByteCount >= 20, packet.byteCount >= 14 + headerByteCount else {
      return drop(.outerIPv4Header)
    }
    let fragment = packet.big16(20) & 0x3fff
    guard packet.byte(23) == IPProtocol.udp, fragment & 0x1fff == 0 else { return }
    guard
      isOurs(packet, udp: 14 + headerByteCount, ipEnd: 14 + Int(packet.big16(16)), rules)
    else { return }
    verifyIPv4(packet, headerByteCount: headerByteCount, isFragment: fragment != 0, rules)
  }

  private mutating func parseIPv6(_ packet: RawSpan, _ rules: Rules) {
    guard packet.byteCount >= 54, packet.byte(14) >> 4 == 6 else { return drop(.outerIPv6Header) }
    let ipEnd = 54 + Int(packet.big16(18))
    let isCut = ipEnd > rules.byteCount
    let chain = IPv6HeaderChain(packet: packet, header: 14, end: min(ipEnd, packet.byteCount))
    guard !chain.isMalformed else { return drop(isCut ? .outerLength : .outerExtensionHeader) }
    guard chain.transport == IPProtocol.udp, chain.fragment & 0xfff8 == 0 else { return }
    guard isOurs(packet, udp: chain.offset, ipEnd: ipEnd, rules) else { return }

    source = IPAddress(loading16: packet, at: 22)
    destination = IPAddress(loading16: packet, at: 38)
    trafficClass = UInt8(truncatingIfNeeded: packet.big16(14) >> 4)
    // An IPv4-mapped address must not appear on the wire, and here it would pass for the IPv4 address.
    guard !destination.isIPv4 else { return drop(.outerIPv6Header) }
    guard !isCut else { return drop(.outerLength) }
    guard chain.fragment == 0 else { return drop(.outerFragment) }
    guard !source.isIPv4, !source.isMulticast, !source.isUnspecified, !source.isLoopback else {
      return drop(.outerSourceInvalid)
    }
    verifyUDP(packet, at: chain.offset, ipEnd: ipEnd, zeroChecksumIsFine: rules.policy.acceptsZeroUDP6Checksum, rules)
  }

  /// Whether the UDP destination port is ours. A packet cut in front of the port is dropped: nobody can use it.
  private mutating func isOurs(_ packet: RawSpan, udp: Int, ipEnd: Int, _ rules: Rules) -> Bool {
    guard packet.byteCount - udp >= 4 else {
      drop(ipEnd > rules.byteCount ? .outerLength : .udpLength)
      return false
    }
    return packet.big16(udp + 2) == rules.policy.udpPort
  }
}
