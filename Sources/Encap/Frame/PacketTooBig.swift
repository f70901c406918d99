// PacketTooBig: what a router tells the sender of a packet that does not fit the next link, as a frame back to where the packet came
// from: step E5, off the fast path. ICMP "fragmentation needed and DF set" (RFC 1191 section 4, RFC 1812 section 4.3.2) and ICMPv6
// "packet too big" (RFC 4443 section 3.2).

/// The answer to a frame that is too big for its path.
public struct PacketTooBig: Equatable, Sendable {
  /// Largest IP packet, in octets, that fits the path: what the answer reports.
  public let mtu: Int
  /// Ethernet header and the tags that the frame carries; the answer has the same.
  private let linkByteCount: Int
  private let isIPv6: Bool
  /// Octets of the packet that the answer quotes.
  private let quotedByteCount: Int

  /// Octets of the answer, without its frame check sequence.
  public var frameByteCount: Int { linkByteCount &+ headerByteCount &+ quotedByteCount }
  /// IP and ICMP header.
  private var headerByteCount: Int { isIPv6 ? 48 : 28 }

  /// The answer to a frame; nil where a router sends none (RFC 1812 section 4.3.2.7, RFC 4443 section 2.4 e), and where an answer does
  /// not help: IPv4 without DF, and a path with an MTU below the least that hosts accept (68, RFC 791; 1280, RFC 8200).
  ///
  /// - Parameters:
  ///   - frame: the contiguous beginning of the frame, from the Ethernet header on; any length.
  ///   - largestFrameByteCount: octets of the largest frame that fits the path.
  public init?(answering frame: RawSpan, largestFrameByteCount: Int) {
    guard frame.byteCount >= 14, !MACAddress(loading: frame, at: 0).isMulticast else { return nil }
    let link = NetworkLayer(of: frame)
    linkByteCount = link.offset
    mtu = min(largestFrameByteCount &- link.offset, 65_535)
    let packet = frame.extracting(unchecked: link.offset..<frame.byteCount)
    let byteCount: Int
    switch link.etherType {
    case EtherType.ipv4:
      isIPv6 = false
      guard packet.byteCount >= 28, mtu >= 68, Self.isAnsweredIPv4(packet) else { return nil }
      byteCount = Int(packet.big16(2))
    case EtherType.ipv6:
      isIPv6 = true
      guard packet.byteCount >= 48, mtu >= 1280, Self.isAnsweredIPv6(packet) else { return nil }
      byteCount = 40 &+ Int(packet.big16(4))
    default: return nil
    }
    // A packet that fits, with padding behind it that does not.
    guard byteCount > mtu else { return nil }
    // The whole answer has at most 576 octets (RFC 1812 section 4.3.2.3), or fits the minimum MTU of IPv6.
    quotedByteCount = min(byteCount, packet.byteCount, isIPv6 ? 1280 &- 48 : 576 &- 28)
  }

  private static func isAnsweredIPv4(_ packet: RawSpan) -> Bool {
    let headerByteCount = Int(packet.byte(0) & 0xf) &* 4
    // DF, and no later fragment.
    guard packet.byte(0) &>> 4 == 4, headerByteCount >= 20, packet.byteCount >= headerByteCount &+ 8, packet.big16(6) & 0x5fff == 0x4000,
      InternetChecksum.fold(InternetChecksum.partialSum(packet.extracting(unchecked: 0..<headerByteCount))) == 0xffff,
      isHostIPv4(packet.byte(12)), isHostIPv4(packet.byte(16))
    else { return false }
    guard packet.byte(9) == IPProtocol.icmp else { return true }
    switch packet.byte(headerByteCount) {
    // Unreachable, source quench, redirect, time exceeded, parameter problem: never an error about an error.
    case 3, 4, 5, 11, 12: return false
    default: return true
    }
  }

  /// Whether an address with this first octet may be one host's: not "this network", loopback, multicast, reserved or broadcast.
  private static func isHostIPv4(_ octet: UInt8) -> Bool { octet != 0 && octet != 127 && octet < 224 }

  private static func isAnsweredIPv6(_ packet: RawSpan) -> Bool {
    guard packet.byte(0) &>> 4 == 6, isHostIPv6(IPAddress(loading16: packet, at: 8)), isHostIPv6(IPAddress(loading16: packet, at: 24))
    else { return false }
    let end = min(packet.byteCount, 40 &+ Int(packet.big16(4)))
    guard end >= 48 else { return false }
    let chain = IPv6HeaderChain(packet: packet, header: 0, end: end)
    guard !chain.isMalformed, chain.fragment & 0xfff8 == 0 else { return false }
    guard chain.transport == IPProtocol.icmpv6 else { return true }
    // Informational messages but redirects.
    return chain.offset < end && packet.byte(chain.offset) >= 128 && packet.byte(chain.offset) != 137
  }

  /// An IPv4-mapped address must not appear on the wire.
  private static func isHostIPv6(_ address: IPAddress) -> Bool {
    !address.isMulticast && !address.isUnspecified && !address.isLoopback && !address.isIPv4
  }

  /// Writes the answer into the first `frameByteCount` bytes. It seems to come from the packet's destination, by IP address and by MAC
  /// address: no other address is known to be one that the sender accepts, and nobody learns anything new from it
  /// (docs/decisions/0029).
  ///
  /// - Parameter frame: the same as for `init`.
  public func write(into bytes: inout MutableRawSpan, quoting frame: RawSpan) {
    precondition(bytes.byteCount >= frameByteCount && frame.byteCount >= linkByteCount &+ quotedByteCount, "no room, or another frame")
    MACAddress(loading: frame, at: 6).store(into: &bytes, at: 0)
    MACAddress(loading: frame, at: 0).store(into: &bytes, at: 6)
    for offset in 12..<linkByteCount { bytes.storeByte(frame.byte(offset), at: offset) }
    let quote = linkByteCount &+ headerByteCount
    for offset in 0..<quotedByteCount { bytes.storeByte(frame.byte(linkByteCount &+ offset), at: quote &+ offset) }
    if isIPv6 { writeIPv6(into: &bytes) } else { writeIPv4(into: &bytes) }
  }

  private func writeIPv4(into bytes: inout MutableRawSpan) {
    let start = linkByteCount
    // Precedence 6, internetwork control (RFC 1812 section 4.3.2.5); an atomic datagram (RFC 6864).
    bytes.storeBig32(0x45c0_0000 | UInt32(truncatingIfNeeded: 28 &+ quotedByteCount), at: start)
    bytes.storeBig32(0x4000, at: start &+ 4)
    bytes.storeBig32(UInt32(Self.hopLimit) &<< 24 | UInt32(IPProtocol.icmp) &<< 16, at: start &+ 8)
    bytes.storeBig32(bytes.bytes.big32(start &+ 28 &+ 16), at: start &+ 12)
    bytes.storeBig32(bytes.bytes.big32(start &+ 28 &+ 12), at: start &+ 16)
    let header = InternetChecksum.partialSum(bytes.bytes.extracting(unchecked: start..<(start &+ 20)))
    bytes.storeBig16(InternetChecksum.complement(header), at: start &+ 10)
    bytes.storeBig32(0x0304_0000, at: start &+ 20)
    bytes.storeBig32(UInt32(truncatingIfNeeded: mtu), at: start &+ 24)
    let message = InternetChecksum.partialSum(bytes.bytes.extracting(unchecked: (start &+ 20)..<frameByteCount))
    bytes.storeBig16(InternetChecksum.complement(message), at: start &+ 22)
  }

  private func writeIPv6(into bytes: inout MutableRawSpan) {
    let start = linkByteCount
    let messageByteCount = UInt32(truncatingIfNeeded: 8 &+ quotedByteCount)
    bytes.storeBig32(0x6000_0000, at: start)
    bytes.storeBig32(messageByteCount &<< 16 | UInt32(IPProtocol.icmpv6) &<< 8 | UInt32(Self.hopLimit), at: start &+ 4)
    let quote = start &+ 48
    bytes.storeBig64(bytes.bytes.big64(quote &+ 24), at: start &+ 8)
    bytes.storeBig64(bytes.bytes.big64(quote &+ 32), at: start &+ 16)
    bytes.storeBig64(bytes.bytes.big64(quote &+ 8), at: start &+ 24)
    bytes.storeBig64(bytes.bytes.big64(quote &+ 16), at: start &+ 32)
    bytes.storeBig32(0x0200_0000, at: start &+ 40)
    bytes.storeBig32(UInt32(truncatingIfNeeded: mtu), at: start &+ 44)
    InternetChecksum.finishICMPv6(&bytes, at: start &+ 40, byteCount: frameByteCount)
  }

  private static var hopLimit: UInt8 { 64 }
}
