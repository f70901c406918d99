// RouterMessage: the ICMP messages of a router: errors about packets that it cannot forward (RFC 792, RFC 1812 section 4.3; RFC 4443
// section 3), and the answer to an echo request. Off the fast path.

/// Why a router returns a packet to its sender.
public enum RouterError: Equatable, Sendable {
  /// TTL or hop limit used up.
  case timeExceeded
  case noRoute
  /// The destination, or the next hop, does not answer.
  case hostUnreachable
  /// The router itself has nothing that listens at a UDP or TCP port.
  case portUnreachable
  /// The router itself does not have the protocol.
  case protocolUnreachable
  /// An IPv6 source of this link only, and a destination beyond it.
  case beyondScope
  /// By an access list.
  case prohibited
  /// Larger than what fits; the size of the largest IP packet that does.
  case tooBig(mtu: Int)

  /// Type and code of ICMP.
  fileprivate var icmp: (type: UInt8, code: UInt8) {
    switch self {
    case .timeExceeded: (11, 0)
    case .noRoute: (3, 0)
    case .hostUnreachable, .beyondScope: (3, 1)
    case .protocolUnreachable: (3, 2)
    case .portUnreachable: (3, 3)
    case .tooBig: (3, 4)
    case .prohibited: (3, 13)
    }
  }

  /// Type and code of ICMPv6.
  fileprivate var icmpv6: (type: UInt8, code: UInt8) {
    switch self {
    case .timeExceeded: (3, 0)
    case .noRoute: (1, 0)
    case .prohibited: (1, 1)
    case .beyondScope: (1, 2)
    case .hostUnreachable: (1, 3)
    case .portUnreachable: (1, 4)
    case .tooBig: (2, 0)
    // "Unrecognized next header": a parameter problem at octet 6.
    case .protocolUnreachable: (4, 1)
    }
  }

  fileprivate var value: UInt32 {
    switch self {
    case .tooBig(let mtu): UInt32(truncatingIfNeeded: mtu)
    default: 0
    }
  }
}

/// An error about a packet, as a frame whose MAC addresses are still to be written.
public struct RouterMessage: Sendable {
  private let isIPv6: Bool
  /// Octets of the packet that are quoted.
  private let quotedByteCount: Int

  /// Octets of the frame.
  public var frameByteCount: Int { RoutedHeader.offset &+ headerByteCount &+ quotedByteCount }
  private var headerByteCount: Int { isIPv6 ? 48 : 28 }

  /// Nil where a router sends no error (RFC 1812 section 4.3.2.7, RFC 4443 section 2.4 e): about an error, a later fragment, a packet to
  /// a group or from no host.
  ///
  /// - Parameters:
  ///   - frame: the contiguous beginning of the frame.
  ///   - header: its IP header.
  public init?(about frame: RawSpan, _ header: RoutedHeader) {
    guard frame.byteCount >= RoutedHeader.offset &+ header.headerByteCount, !header.hasMartianSource, !header.destination.isMulticast,
      !header.destination.isLimitedBroadcast, !MACAddress(loading: frame, at: 0).isMulticast
    else { return nil }
    isIPv6 = header.isIPv6
    let packet = frame.extracting(unchecked: RoutedHeader.offset..<min(frame.byteCount, RoutedHeader.offset &+ header.packetByteCount))
    guard isIPv6 ? Self.isAnsweredIPv6(packet) : Self.isAnsweredIPv4(packet, header) else { return nil }
    // At most 576 octets (RFC 1812 section 4.3.2.3), and the minimum MTU of IPv6.
    quotedByteCount = min(packet.byteCount, isIPv6 ? 1280 &- 48 : 576 &- 28)
  }

  private static func isAnsweredIPv4(_ packet: RawSpan, _ header: RoutedHeader) -> Bool {
    guard packet.big16(6) & 0x1fff == 0 else { return false }
    guard packet.byte(9) == IPProtocol.icmp else { return true }
    guard packet.byteCount > header.headerByteCount else { return false }
    switch packet.byte(header.headerByteCount) {
    // Unreachable, source quench, redirect, time exceeded, parameter problem.
    case 3, 4, 5, 11, 12: return false
    default: return true
    }
  }

  private static func isAnsweredIPv6(_ packet: RawSpan) -> Bool {
    let chain = IPv6HeaderChain(packet: packet, header: 0, end: packet.byteCount)
    guard !chain.isMalformed, chain.fragment & 0xfff8 == 0 else { return false }
    guard chain.transport == IPProtocol.icmpv6 else { return true }
    return chain.offset < packet.byteCount && packet.byte(chain.offset) >= 128 && packet.byte(chain.offset) != 137
  }

  /// Writes everything but the MAC addresses.
  ///
  /// - Parameters:
  ///   - bytes: `frameByteCount` octets.
  ///   - frame: the same as for `init`.
  ///   - source: an address of the router, of the packet's family.
  public func write(
    _ error: RouterError, into bytes: inout MutableRawSpan, quoting frame: RawSpan, _ header: RoutedHeader, from source: IPAddress
  ) {
    precondition(
      bytes.byteCount >= frameByteCount && frame.byteCount >= RoutedHeader.offset &+ quotedByteCount, "no room, or another frame")
    let start = RoutedHeader.offset
    let quote = start &+ headerByteCount
    for offset in 0..<quotedByteCount { bytes.storeByte(frame.byte(start &+ offset), at: quote &+ offset) }
    if isIPv6 {
      bytes.storeBig16(EtherType.ipv6, at: 12)
      bytes.storeBig32(0x6000_0000, at: start)
      bytes.storeBig32(UInt32(truncatingIfNeeded: 8 &+ quotedByteCount) &<< 16 | UInt32(IPProtocol.icmpv6) &<< 8 | 64, at: start &+ 4)
      bytes.store(source, at: start &+ 8)
      bytes.store(header.source, at: start &+ 24)
      let kind = error.icmpv6
      bytes.storeBig32(UInt32(kind.type) &<< 24 | UInt32(kind.code) &<< 16, at: start &+ 40)
      bytes.storeBig32(error == .protocolUnreachable ? 6 : error.value, at: start &+ 44)
      InternetChecksum.finishICMPv6(&bytes, at: start &+ 40, byteCount: frameByteCount)
      return
    }
    bytes.storeBig16(EtherType.ipv4, at: 12)
    // Precedence 6, internetwork control (RFC 1812 section 4.3.2.5); an atomic datagram (RFC 6864).
    bytes.storeBig32(0x45c0_0000 | UInt32(truncatingIfNeeded: 28 &+ quotedByteCount), at: start)
    bytes.storeBig32(0x4000, at: start &+ 4)
    bytes.storeBig32(64 &<< 24 | UInt32(IPProtocol.icmp) &<< 16, at: start &+ 8)
    bytes.storeBig32(source.ipv4, at: start &+ 12)
    bytes.storeBig32(header.source.ipv4, at: start &+ 16)
    RoutedHeader.writeChecksum(&bytes)
    let kind = error.icmp
    bytes.storeBig32(UInt32(kind.type) &<< 24 | UInt32(kind.code) &<< 16, at: start &+ 20)
    bytes.storeBig32(error.value, at: start &+ 24)
    let message = InternetChecksum.partialSum(bytes.bytes.extracting(unchecked: (start &+ 20)..<frameByteCount))
    bytes.storeBig16(InternetChecksum.complement(message), at: start &+ 22)
  }
}

/// What a packet to the router's own address wants.
public enum RouterInquiry: Equatable, Sendable {
  case echoRequest
  /// ARP has its own EtherType; this is ND.
  case neighborDiscovery
  /// UDP or TCP.
  case port
  case otherProtocol
  /// An error, an answer, a fragment, or malformed: no answer.
  case nothing

  /// - Parameter frame: the contiguous beginning of the frame.
  public init(_ frame: RawSpan, _ header: RoutedHeader) {
    self = .nothing
    let start = RoutedHeader.offset
    let end = min(frame.byteCount, start &+ header.packetByteCount)
    var transport: UInt8
    var offset: Int
    if header.isIPv6 {
      let chain = IPv6HeaderChain(packet: frame, header: start, end: end)
      guard !chain.isMalformed, chain.fragment == 0 else { return }
      (transport, offset) = (chain.transport, chain.offset)
    } else {
      guard frame.big16(start &+ 6) & 0x3fff == 0 else { return }
      (transport, offset) = (frame.byte(start &+ 9), start &+ header.headerByteCount)
    }
    switch transport {
    case IPProtocol.icmp where !header.isIPv6:
      if end &- offset >= 8, frame.big16(offset) == 0x0800 { self = .echoRequest }
    case IPProtocol.icmpv6 where header.isIPv6:
      guard end &- offset >= 8 else { return }
      if frame.big16(offset) == 0x8000, offset == start &+ 40 { self = .echoRequest }
      if offset == start &+ 40, (133...136).contains(frame.byte(offset)) { self = .neighborDiscovery }
    case IPProtocol.tcp, IPProtocol.udp: self = .port
    default: self = .otherProtocol
    }
  }

  /// Makes an answer of an echo request, in place: IP addresses, type and hop limit. Its checksums follow (RFC 1624), whatever the
  /// message's length; a wrong one stays wrong.
  public static func answerEcho(_ frame: inout MutableRawSpan, _ header: RoutedHeader) {
    let start = RoutedHeader.offset
    if header.isIPv6 {
      frame.store(header.destination, at: start &+ 8)
      frame.store(header.source, at: start &+ 24)
      frame.storeByte(64, at: start &+ 7)
      frame.storeBig16(0x8100, at: start &+ 40)
      let checksum = frame.bytes.big16(start &+ 42)
      frame.storeBig16(InternetChecksum.updated(checksum, replacing: 0x8000, with: 0x8100), at: start &+ 42)
      return
    }
    let message = start &+ header.headerByteCount
    frame.storeBig32(header.destination.ipv4, at: start &+ 12)
    frame.storeBig32(header.source.ipv4, at: start &+ 16)
    frame.storeByte(64, at: start &+ 8)
    RoutedHeader.writeChecksum(&frame)
    frame.storeBig16(0, at: message)
    let checksum = frame.bytes.big16(message &+ 2)
    frame.storeBig16(InternetChecksum.updated(checksum, replacing: 0x0800, with: 0), at: message &+ 2)
  }
}
