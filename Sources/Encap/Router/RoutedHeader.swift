// RoutedHeader: what a router reads of an IP packet before it forwards it, and the one field it changes. IPv4 (RFC 791, RFC 1812 section
// 5.2.2) and IPv6 (RFC 8200), directly behind an untagged Ethernet header.

/// The IP header of a packet in a frame, checked as a router must.
public struct RoutedHeader: Sendable {
  public var source: IPAddress
  public var destination: IPAddress
  public var isIPv6: Bool
  /// TTL or hop limit.
  public var hopLimit: UInt8
  /// Octets of the header: with IPv4 options; without IPv6 extension headers.
  public var headerByteCount: Int
  /// Octets of the packet, from its header on.
  public var packetByteCount: Int
  /// IPv4: may not be fragmented. Always so in IPv6.
  public var isUnfragmentable: Bool
  /// A part of a packet. In IPv6 only where the fragment header comes first, as in all that hosts send.
  public var isFragment = false

  /// An IPv4 option names the way (RFC 791 section 3.1): nobody else's business, and dropped (RFC 7126 section 4.3 and 4.4).
  public var isSourceRouted = false

  /// Octets of the Ethernet header in front.
  public static let offset = 14

  /// Nil when the header is cut, has a wrong checksum or options that make no sense, or claims more octets than there are.
  ///
  /// - Parameters:
  ///   - frame: the contiguous beginning of an untagged frame.
  ///   - byteCount: of the whole frame.
  public init?(_ frame: RawSpan, byteCount: Int) {
    let start = Self.offset
    guard frame.byteCount >= start &+ 20 else { return nil }
    switch frame.big16(12) {
    case EtherType.ipv4:
      isIPv6 = false
      headerByteCount = Int(frame.byte(start) & 0xf) &* 4
      packetByteCount = Int(frame.big16(start &+ 2))
      guard frame.byte(start) &>> 4 == 4, headerByteCount >= 20, packetByteCount >= headerByteCount,
        frame.byteCount >= start &+ headerByteCount,
        InternetChecksum.fold(InternetChecksum.partialSum(frame.extracting(unchecked: start..<(start &+ headerByteCount)))) == 0xffff
      else { return nil }
      hopLimit = frame.byte(start &+ 8)
      isUnfragmentable = frame.big16(start &+ 6) & 0x4000 != 0
      isFragment = frame.big16(start &+ 6) & 0x3fff != 0
      source = IPAddress(ipv4: frame.big32(start &+ 12))
      destination = IPAddress(ipv4: frame.big32(start &+ 16))
      if headerByteCount > 20 {
        guard let found = Self.isSourceRouted(frame, optionsUpTo: start &+ headerByteCount) else { return nil }
        isSourceRouted = found
      }
    case EtherType.ipv6:
      guard frame.byteCount >= start &+ 40, frame.byte(start) &>> 4 == 6 else { return nil }
      isIPv6 = true
      headerByteCount = 40
      packetByteCount = 40 &+ Int(frame.big16(start &+ 4))
      hopLimit = frame.byte(start &+ 7)
      isUnfragmentable = true
      source = IPAddress(loading16: frame, at: start &+ 8)
      destination = IPAddress(loading16: frame, at: start &+ 24)
      // An IPv4-mapped address must not appear on the wire.
      guard !source.isIPv4, !destination.isIPv4 else { return nil }
      isFragment =
        frame.byte(start &+ 6) == IPProtocol.fragment && packetByteCount >= Self.fragmentHeaderEnd
        && frame.byteCount >= start &+ Self.fragmentHeaderEnd && frame.big16(start &+ 42) & 0xfff9 != 0
    default: return nil
    }
    guard packetByteCount <= byteCount &- start else { return nil }
  }

  /// Nil: the options of an IPv4 header make no sense.
  private static func isSourceRouted(_ frame: RawSpan, optionsUpTo end: Int) -> Bool? {
    var offset = Self.offset &+ 20
    var isFound = false
    while offset < end {
      let option = frame.byte(offset)
      // The end of the options; no operation.
      if option == 0 { break }
      if option == 1 {
        offset = offset &+ 1
        continue
      }
      guard offset &+ 2 <= end, frame.byte(offset &+ 1) >= 2 else { return nil }
      offset = offset &+ Int(frame.byte(offset &+ 1))
      guard offset <= end else { return nil }
      // Loose and strict.
      if option == 131 || option == 137 { isFound = true }
    }
    return isFound
  }

  private static let fragmentHeaderEnd = 48

  /// Of a fragment: octets in front of its part of the packet.
  public var fragmentHeaderByteCount: Int { isIPv6 ? Self.fragmentHeaderEnd : headerByteCount }

  /// Whether the whole packet of which this is a part would be longer than any may be.
  ///
  /// - Parameter frame: the contiguous beginning of the frame.
  public func isBeyondLongest(_ frame: RawSpan) -> Bool {
    let field = Int(frame.big16(Self.offset &+ (isIPv6 ? 42 : 6)))
    let offset = isIPv6 ? field & 0xfff8 : (field & 0x1fff) &* 8
    // The header of the first part, which may be another, counts in IPv4.
    return offset &+ packetByteCount &- fragmentHeaderByteCount &+ (isIPv6 ? 0 : 60) > 0xffff
  }

  /// Writes what a new fragment's frame lacks: its EtherType, and the checksum of IPv4. `frame` begins with 14 octets for the Ethernet header.
  public static func finishFragment(_ frame: inout MutableRawSpan, isIPv6: Bool) {
    frame.storeBig16(isIPv6 ? EtherType.ipv6 : EtherType.ipv4, at: 12)
    if !isIPv6 { writeChecksum(&frame) }
  }

  /// Writes the checksum of an IPv4 header. `frame` has all of it.
  public static func writeChecksum(_ frame: inout MutableRawSpan) {
    let end = offset &+ Int(frame.bytes.byte(offset) & 0xf) &* 4
    guard frame.byteCount >= end else { return }
    frame.storeBig16(0, at: offset &+ 10)
    let sum = InternetChecksum.partialSum(frame.bytes.extracting(unchecked: offset..<end))
    frame.storeBig16(InternetChecksum.complement(sum), at: offset &+ 10)
  }

  /// A source that no packet on a link may have: martian (RFC 1812 section 5.3.7, RFC 4291 section 2.5 to 2.7).
  public var hasMartianSource: Bool {
    if source.isMulticast || source.isLoopback || source.isUnspecified { return true }
    return !isIPv6 && (source.ipv4 &>> 24 == 0 || source.ipv4 >= 0xf000_0000)
  }

  /// A destination that a router does not forward to.
  public var hasMartianDestination: Bool {
    if destination.isMulticast || destination.isLoopback || destination.isUnspecified { return true }
    return !isIPv6 && (destination.ipv4 &>> 24 == 0 || destination.ipv4 >= 0xf000_0000)
  }

  /// Takes one off the hop limit, which is at least 1, and follows with the checksum (RFC 1624).
  public func decrementHopLimit(in frame: inout MutableRawSpan) {
    let start = Self.offset
    if isIPv6 {
      frame.storeByte(hopLimit &- 1, at: start &+ 7)
      return
    }
    let old = frame.bytes.big16(start &+ 8)
    let new = old &- 0x0100
    frame.storeBig16(new, at: start &+ 8)
    frame.storeBig16(InternetChecksum.updated(frame.bytes.big16(start &+ 10), replacing: old, with: new), at: start &+ 10)
  }
}

extension MACAddress {
  /// Puts source and destination of a frame in place of what it has.
  ///
  /// - Precondition: the span has 12 octets.
  public static func write(into frame: inout MutableRawSpan, destination: MACAddress, source: MACAddress) {
    destination.store(into: &frame, at: 0)
    source.store(into: &frame, at: 6)
  }

  /// The link-local IPv6 address that belongs to this MAC address (RFC 4291 appendix A).
  public var linkLocalAddress: IPAddress {
    let high = (bits &>> 24) ^ 0x02_0000
    return IPAddress(high: 0xfe80_0000_0000_0000, low: high &<< 40 | 0xff_fe00_0000 | bits & 0xff_ffff)
  }
}

extension IPAddress {
  /// The group in which neighbours ask for this IPv6 address (RFC 4291 section 2.7.1).
  public var solicitedNode: IPAddress { IPAddress(high: 0xff02_0000_0000_0000, low: 0x1_ff00_0000 | low & 0xff_ffff) }
}
