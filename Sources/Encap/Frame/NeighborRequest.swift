// NeighborRequest: a station asks which MAC address an IP address has: an ARP request (RFC 826) or a neighbour solicitation (RFC 4861
// section 4.3); and the answer that its owner would give. Step E6, off the fast path: only flooded frames come here.

/// A question that somebody else may answer.
public struct NeighborRequest: Equatable, Sendable {
  /// The address asked about.
  public let target: IPAddress
  /// Who asks.
  public let sender: IPAddress
  public let senderMAC: MACAddress

  /// Octets of an answer, without its frame check sequence: ARP is padded to the shortest frame.
  public var answerByteCount: Int { NeighborQuery.byteCount(isIPv6: !target.isIPv4) }

  /// The question in an untagged frame; nil for every other frame, and for those that must reach everybody:
  ///
  /// * probes and announcements of a station that is about to use an address, or that has just begun to (RFC 5227, RFC 4862 section 5.4);
  /// * questions that are inconsistent, and those that a receiver has to discard (RFC 4861 section 7.1.1);
  /// * questions about an IPv6 link-local address: that is how hosts know their routers, and an answer that does not say whether its sender
  ///   is one makes them forget it (RFC 4861 section 7.2.5).
  public init?(parsing frame: RawSpan) {
    guard frame.byteCount >= 42 else { return nil }
    senderMAC = MACAddress(loading: frame, at: 6)
    guard !senderMAC.isMulticast else { return nil }
    switch frame.big16(12) {
    case EtherType.arp:
      // Hardware type, protocol type, their lengths, operation 1.
      guard frame.big64(14) == 0x0001_0800_0604_0001, MACAddress(loading: frame, at: 22) == senderMAC else { return nil }
      sender = IPAddress(ipv4: frame.big32(28))
      target = IPAddress(ipv4: frame.big32(38))
    case EtherType.ipv6:
      // Next header ICMPv6, hop limit 255; type and code.
      guard frame.byteCount >= 78, frame.byte(14) &>> 4 == 6, frame.big16(20) == 0x3aff, frame.big16(54) == 0x8700 else { return nil }
      let byteCount = Int(frame.big16(18))
      guard byteCount >= 24, InternetChecksum.isSoundICMPv6(frame, byteCount: 54 &+ byteCount) else { return nil }
      sender = IPAddress(loading16: frame, at: 22)
      target = IPAddress(loading16: frame, at: 62)
      guard !target.isLinkLocal, Self.sourceLinkLayerAddress(frame, byteCount: byteCount) == senderMAC else { return nil }
    default: return nil
    }
    guard sender != target, !sender.isUnspecified, !sender.isMulticast, !target.isUnspecified, !target.isMulticast else { return nil }
  }

  /// Of the options behind a solicitation (RFC 4861 section 4.6.1); nil: there is none, or the options make no sense.
  private static func sourceLinkLayerAddress(_ frame: RawSpan, byteCount: Int) -> MACAddress? {
    var found: MACAddress?
    var offset = 78
    let end = 54 &+ byteCount
    while offset &+ 8 <= end {
      let optionByteCount = Int(frame.byte(offset &+ 1)) &* 8
      guard optionByteCount > 0, offset &+ optionByteCount <= end else { return nil }
      if frame.byte(offset) == 1, optionByteCount == 8 { found = MACAddress(loading: frame, at: offset &+ 2) }
      offset = offset &+ optionByteCount
    }
    return offset == end ? found : nil
  }

  /// Writes the answer of the station that has `mac` into `bytes`, which has `answerByteCount` octets.
  ///
  /// An advertisement is marked as solicited, and does not override what the receiver has: it is not the owner's own (RFC 4861 section
  /// 7.2.8).
  public func writeAnswer(from mac: MACAddress, into bytes: inout MutableRawSpan) {
    if target.isIPv4 {
      NeighborQuery.writeARP(
        into: &bytes, operation: 2, ethernetDestination: senderMAC, source: mac, sender: target, targetMAC: senderMAC, target: sender)
    } else {
      // Solicited; neither router nor override.
      NeighborQuery.writeND(
        into: &bytes, type: 136, flags: 0x4000_0000, option: 2, ethernetDestination: senderMAC, source: mac, sender: target,
        receiver: sender, target: target)
    }
  }
}
