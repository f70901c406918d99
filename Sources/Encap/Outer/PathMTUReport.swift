// PathMTUReport: an ICMP error that says that a VXLAN packet is too big for a link on its way: ICMP "fragmentation needed and DF set"
// (RFC 792, RFC 1191) and ICMPv6 "packet too big" (RFC 4443 section 3.2). It comes from anywhere and may be forged: whether the quoted
// packet can be one of ours is the caller's question.

/// What a router says about a UDP packet that it could not forward.
public struct PathMTUReport: Equatable, Sendable {
  /// Who says so.
  public var reporter: IPAddress
  /// Addresses and ports of the quoted packet.
  public var source: IPAddress
  public var destination: IPAddress
  public var sourcePort: UInt16
  public var destinationPort: UInt16
  /// Octets of the quoted packet from its IP header on, as its own length field says.
  public var packetByteCount: Int
  /// MTU of the next link, in octets: less than `packetByteCount`.
  public var mtu: Int

  /// An MTU below is not believed: a smaller one is raised to it, as Linux does (net.ipv4.route.min_pmtu): real links are wider, and a
  /// forged report is to do less damage.
  public static let leastIPv4MTU = 552

  /// Reads an IPv4 packet with an ICMP message, as a raw socket delivers it; nil for every other message, and for one that is not
  /// sound.
  public init?(ipv4 packet: RawSpan) {
    guard packet.byteCount >= 20, packet.byte(0) &>> 4 == 4 else { return nil }
    let start = Int(packet.byte(0) & 0xf) &* 4
    guard start >= 20, packet.byteCount >= start &+ 8 &+ 28, packet.byte(9) == IPProtocol.icmp, packet.big16(start) == 0x0304
    else { return nil }
    let message = packet.extracting(unchecked: start..<packet.byteCount)
    // Raw sockets get messages that nobody has verified.
    guard InternetChecksum.fold(InternetChecksum.partialSum(message)) == 0xffff else { return nil }
    let quote = message.extracting(unchecked: 8..<message.byteCount)
    let headerByteCount = Int(quote.byte(0) & 0xf) &* 4
    guard quote.byte(0) &>> 4 == 4, headerByteCount >= 20, quote.byteCount >= headerByteCount &+ 8, quote.byte(9) == IPProtocol.udp,
      quote.big16(6) & 0x1fff == 0
    else { return nil }
    reporter = IPAddress(ipv4: packet.big32(12))
    source = IPAddress(ipv4: quote.big32(12))
    destination = IPAddress(ipv4: quote.big32(16))
    sourcePort = quote.big16(headerByteCount)
    destinationPort = quote.big16(headerByteCount &+ 2)
    packetByteCount = Int(quote.big16(2))
    let reported = Int(message.big16(6))
    let byteCount = packetByteCount
    // Routers older than RFC 1191 report 0: the next step down in its table (section 7.1).
    mtu = max(reported > 0 ? reported : Self.plateaus.first { $0 < byteCount } ?? 0, Self.leastIPv4MTU)
    guard mtu < packetByteCount else { return nil }
  }

  /// Reads an ICMPv6 message, as a raw socket delivers it: verified by the kernel, without IPv6 header.
  public init?(icmpv6 message: RawSpan, from reporter: IPAddress) {
    guard message.byteCount >= 8 &+ 48, message.big16(0) == 0x0200 else { return nil }
    let quote = message.extracting(unchecked: 8..<message.byteCount)
    // Our packets have no extension headers.
    guard quote.byte(0) &>> 4 == 6, quote.byte(6) == IPProtocol.udp else { return nil }
    self.reporter = reporter
    source = IPAddress(loading16: quote, at: 8)
    destination = IPAddress(loading16: quote, at: 24)
    sourcePort = quote.big16(40)
    destinationPort = quote.big16(42)
    packetByteCount = 40 &+ Int(quote.big16(4))
    mtu = Int(message.big32(4))
    // Less than the minimum MTU of IPv6 is no MTU (RFC 8201 section 4).
    guard mtu >= 1280, mtu < packetByteCount else { return nil }
  }

  private static let plateaus = [32_000, 17_914, 8166, 4352, 2002, 1492, 1006]

  /// Whether the quoted packet can be one that `source` has sent to `udpPort` of a VTEP: its source port is in the range of
  /// `InnerFlow.sourcePort`.
  public func quotesVXLAN(from addresses: [IPAddress], udpPort: UInt16) -> Bool {
    destinationPort == udpPort && sourcePort >= 0xc000 && addresses.contains(source)
  }
}
