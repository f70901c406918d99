// StationAddress: which IP address a station says it has, read from what it sends to resolve others: ARP (RFC 826) and
// neighbour discovery (RFC 4861). Seen on the way through, never answered.

/// Reads the sender's IP address from ARP and ND frames.
public enum StationAddress {
  /// The address that an untagged frame's source claims; nil when the frame is neither, claims none (a probe), or speaks for
  /// another station.
  public static func claimed(by frame: RawSpan) -> IPAddress? {
    guard frame.byteCount >= 42 else { return nil }
    switch frame.big16(12) {
    case EtherType.arp: return fromARP(frame)
    case EtherType.ipv6: return fromND(frame)
    default: return nil
    }
  }

  /// Hardware type, protocol type and their lengths; then operation, sender hardware address, sender protocol address.
  private static func fromARP(_ frame: RawSpan) -> IPAddress? {
    guard frame.big32(14) == 0x0001_0800, frame.big16(18) == 0x0604,
      frame.big64(20) & 0xffff_ffff_ffff == frame.big64(4) & 0xffff_ffff_ffff
    else { return nil }
    return station(IPAddress(ipv4: frame.big32(28)))
  }

  /// A neighbour solicitation's source, or an advertisement's target; behind an IPv6 header without extensions.
  private static func fromND(_ frame: RawSpan) -> IPAddress? {
    // Next header ICMPv6; hop limit 255, or it came from beyond a router.
    guard frame.byteCount >= 78, frame.big16(20) == 0x3aff, frame.byte(55) == 0 else { return nil }
    switch frame.byte(54) {
    case 135: return station(IPAddress(loading16: frame, at: 22))
    case 136: return station(IPAddress(loading16: frame, at: 62))
    default: return nil
    }
  }

  private static func station(_ address: IPAddress) -> IPAddress? {
    let isOfNoUse =
      address.isUnspecified || address.isMulticast || address.isLoopback || address.isLimitedBroadcast || address.isLinkLocal
    return isOfNoUse ? nil : address
  }
}
