// NeighborAnswer: what a frame says about the MAC address of a neighbour, to a router that may have asked: an ARP reply or gratuitous ARP
// (RFC 826, RFC 5227 section 3) and a neighbour advertisement (RFC 4861 section 4.4). Requests tell the asker's address, too.

public struct NeighborAnswer: Equatable, Sendable {
  public var address: IPAddress
  public var mac: MACAddress

  public init(address: IPAddress, mac: MACAddress) {
    self.address = address
    self.mac = mac
  }

  /// Nil when the frame says nothing about a neighbour. Other than `StationAddress`, which is about the frame's own source, an
  /// advertisement's link-layer address counts: a proxy may answer.
  ///
  /// - Parameter frame: the contiguous beginning of an untagged frame; at least 14 octets.
  public init?(_ frame: RawSpan) {
    guard frame.byteCount >= 42 else { return nil }
    switch frame.big16(12) {
    case EtherType.arp:
      guard frame.big32(14) == 0x0001_0800, frame.big16(18) == 0x0604, frame.big16(20) == 1 || frame.big16(20) == 2 else { return nil }
      mac = MACAddress(loading: frame, at: 22)
      address = IPAddress(ipv4: frame.big32(28))
    case EtherType.ipv6:
      let end = frame.byteCount >= 20 ? 54 &+ Int(frame.big16(18)) : 0
      guard frame.byteCount >= 78, end >= 78, end <= frame.byteCount, frame.big16(20) == 0x3aff else { return nil }
      switch frame.big16(54) {
      case 0x8800:
        address = IPAddress(loading16: frame, at: 62)
        mac = Self.linkLayerAddress(frame, type: 2, end: end) ?? MACAddress(loading: frame, at: 6)
      case 0x8700:
        address = IPAddress(loading16: frame, at: 22)
        guard let source = Self.linkLayerAddress(frame, type: 1, end: end) else { return nil }
        mac = source
      default: return nil
      }
      guard !address.isIPv4, InternetChecksum.isSoundICMPv6(frame, byteCount: end) else { return nil }
    default: return nil
    }
    guard !mac.isMulticast, !mac.isZero, !address.isMulticast, !address.isUnspecified, !address.isLoopback,
      !address.isLimitedBroadcast
    else { return nil }
  }

  /// The link-layer address among the options behind a target (RFC 4861 section 4.6.1).
  private static func linkLayerAddress(_ frame: RawSpan, type: UInt8, end: Int) -> MACAddress? {
    var offset = 78
    while end &- offset >= 8 {
      let byteCount = Int(frame.byte(offset &+ 1)) &* 8
      guard byteCount > 0, byteCount <= end &- offset else { return nil }
      if frame.byte(offset) == type { return MACAddress(loading: frame, at: offset &+ 2) }
      offset = offset &+ byteCount
    }
    return nil
  }
}
