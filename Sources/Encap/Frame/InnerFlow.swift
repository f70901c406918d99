// What encapsulation needs to know about the inner frame: a hash of its flow for the outer UDP source port (RFC 7348
// section 5) and IPv6 flow label (RFC 6438), and the octets an outer header may inherit. Runs before the prepend.

/// The flow of an inner frame, and its inheritable IP fields. Equal flows have equal hashes on every host of this build.
@frozen
public struct InnerFlow: Sendable {
  /// Hash of the flow: TCP, UDP and SCTP by the 5-tuple; fragments (first ones too) and other protocols by addresses and
  /// protocol number; ARP by sender and target address; everything else by MAC addresses and EtherType.
  public var hash: UInt32
  /// IPv4 TOS or IPv6 traffic class octet of the inner header; 0 when the frame is not IP.
  public var trafficClass: UInt8
  /// IPv4 TTL or IPv6 hop limit of the inner header; 0 when the frame is not IP.
  public var hopLimit: UInt8

  /// Whether the inner frame is an IP packet, of which an outer header may inherit. One that must go no further (TTL 0) need not
  /// count.
  @inlinable @inline(__always)
  public var isIP: Bool { trafficClass | hopLimit != 0 }

  /// A flow from its parts.
  @inlinable @inline(__always)
  public init(hash: UInt32, trafficClass: UInt8, hopLimit: UInt8) {
    self.hash = hash
    self.trafficClass = trafficClass
    self.hopLimit = hopLimit
  }

  /// The UDP source port of the outer header, 49152...65535 (RFC 7348 section 5, the dynamic range of RFC 6335). Its octets are those of the
  /// hash's upper half, so that `OuterHeader.writePlain` swaps none.
  @inlinable @inline(__always)
  public var sourcePort: UInt16 {
    (UInt16(truncatingIfNeeded: hash &>> 16) | 0xc0).byteSwapped
  }

  /// The flow label of an outer IPv6 header: 20 bits, never 0, which would mean "unlabelled" (RFC 6437 section 2).
  @inlinable @inline(__always)
  public var flowLabel: UInt32 {
    let label = hash & 0xf_ffff
    return label == 0 ? 1 : label
  }

  /// Parses a frame; up to two VLAN tags are skipped and have no part in the hash.
  /// - Parameter frame: an Ethernet frame of at least 14 octets. It may be cut anywhere behind that; nothing is read
  ///   beyond its end.
  @inlinable @inline(__always)
  public init(frame: RawSpan) {
    self = frame.byteCount >= InnerFlow.everydayByteCount ? InnerFlow(everyday: frame) : InnerFlow.general(frame)
  }

  /// Octets of the headers that `init(everyday:)` reads in any case: Ethernet, IPv4, ports.
  @inlinable @inline(__always)
  public static var everydayByteCount: Int { 38 }

  /// As `init(frame:)`.
  /// - Precondition: the frame has at least `everydayByteCount` octets; that is not checked.
  @inlinable @inline(__always)
  public init(everyday frame: RawSpan) {
    // Everyday frames in place: no tag, TCP or UDP over IPv4 without options or fragmentation, or directly over IPv6.
    if let everyday = InnerFlow.everydayIPv4Hash(frame) {
      hash = everyday
      trafficClass = frame.byte(15)
      hopLimit = frame.byte(22)
      return
    }
    if frame.raw32(12) & UInt32(bigEndian: 0xffff_f000) == UInt32(bigEndian: 0x86dd_6000), frame.byteCount >= 58 {
      let protocolNumber = frame.byte(20)
      if protocolNumber == IPProtocol.udp || protocolNumber == IPProtocol.tcp {
        hash = FlowHash.ipv6(frame, addresses: 22, ports: frame.raw32(54), protocolNumber: protocolNumber)
        trafficClass = UInt8(truncatingIfNeeded: frame.big16(14) &>> 4)
        hopLimit = frame.byte(21)
        return
      }
    }
    self = InnerFlow.general(frame)
  }

  /// The hash of a frame with TCP or UDP over IPv4, without a tag, options or fragmentation. Nil for every other frame.
  /// - Precondition: the frame has at least `everydayByteCount` octets; that is not checked.
  @inlinable @inline(__always)
  public static func everydayIPv4Hash(_ frame: RawSpan) -> UInt32? {
    // EtherType, version and header length.
    frame.raw32(12) & UInt32(bigEndian: 0xffff_ff00) == UInt32(bigEndian: 0x0800_4500) ? transportHash(frame) : nil
  }

  /// The same for a frame whose traffic class is 0, as that of most is. Nil for every other frame.
  @inlinable @inline(__always)
  public static func unmarkedIPv4Hash(_ frame: RawSpan) -> UInt32? {
    frame.raw32(12) == UInt32(bigEndian: 0x0800_4500) ? transportHash(frame) : nil
  }

  @inlinable @inline(__always)
  static func transportHash(_ frame: RawSpan) -> UInt32? {
    // M flag and fragment offset, which are zero, and the protocol.
    let fragmentAndProtocol = frame.raw32(20) & UInt32(bigEndian: 0x3fff_00ff)
    let isUDP = _fastPath(fragmentAndProtocol == UInt32(bigEndian: UInt32(IPProtocol.udp)))
    guard isUDP || fragmentAndProtocol == UInt32(bigEndian: UInt32(IPProtocol.tcp)) else { return nil }
    return FlowHash.ipv4(addresses: frame.raw64(26), ports: frame.raw32(34), isUDP: isUDP)
  }

  /// Every frame, also those of the short cuts above, with the same result.
  @usableFromInline
  static func general(_ frame: RawSpan) -> InnerFlow {
    precondition(frame.byteCount >= 14, "a frame without an Ethernet header has no flow")
    let network = NetworkLayer(of: frame)
    let room = frame.byteCount &- network.offset
    if network.etherType == EtherType.ipv4, room >= 20, frame.byte(network.offset) &>> 4 == 4 {
      return ipv4(frame, header: network.offset)
    }
    if network.etherType == EtherType.ipv6, room >= 40, frame.byte(network.offset) &>> 4 == 6 {
      return ipv6(frame, header: network.offset)
    }
    // ARP for IPv4 over Ethernet (RFC 826); the operation stays out, so that repeated questions and answers keep their way.
    if network.etherType == EtherType.arp, room >= 28, frame.big64(network.offset) &>> 16 == 0x0001_0800_0604 {
      let sender = UInt64(frame.big32(network.offset &+ 14))
      let target = UInt64(frame.big32(network.offset &+ 24))
      return InnerFlow(hash: FlowHash.mix(sender &<< 32 | target, UInt64(EtherType.arp) &<< 48), trafficClass: 0, hopLimit: 0)
    }
    let hash = FlowHash.mix(
      frame.big64(0), UInt64(frame.big32(8)) | UInt64(network.etherType) &<< 32 | 1 &<< 63)
    return InnerFlow(hash: hash, trafficClass: 0, hopLimit: 0)
  }

  private static func ipv4(_ frame: RawSpan, header: Int) -> InnerFlow {
    let protocolNumber = frame.byte(header &+ 9)
    let transport = header &+ Int(frame.byte(header) & 0xf) &* 4
    let isFragment = frame.big16(header &+ 6) & 0x3fff != 0
    var ports: UInt32 = 0
    if IPProtocol.hasPorts(protocolNumber), !isFragment, transport >= header &+ 20, frame.byteCount &- transport >= 4 {
      ports = frame.raw32(transport)
    }
    return InnerFlow(
      hash: FlowHash.ipv4(addresses: frame.raw64(header &+ 12), ports: ports, protocolNumber: protocolNumber),
      trafficClass: frame.byte(header &+ 1), hopLimit: frame.byte(header &+ 8))
  }

  private static func ipv6(_ frame: RawSpan, header: Int) -> InnerFlow {
    // A real fragment ends the chain at its fragment header, so all fragments of a packet have the same key; a chain that
    // cannot be followed counts by its first header.
    let chain = IPv6HeaderChain(packet: frame, header: header, end: frame.byteCount)
    let isWhole = !chain.isMalformed && chain.fragment == 0
    var ports: UInt32 = 0
    if isWhole, IPProtocol.hasPorts(chain.transport), frame.byteCount &- chain.offset >= 4 {
      ports = frame.raw32(chain.offset)
    }
    return InnerFlow(
      hash: FlowHash.ipv6(
        frame, addresses: header &+ 8, ports: ports,
        protocolNumber: chain.isMalformed ? frame.byte(header &+ 6) : chain.transport),
      trafficClass: UInt8(truncatingIfNeeded: frame.big16(header) &>> 4), hopLimit: frame.byte(header &+ 7))
  }
}
