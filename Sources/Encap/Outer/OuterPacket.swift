// Decapsulation, step D2: Ethernet, IPv4 or IPv6, UDP, VXLAN. RFC 7348 section 5.
// First it is decided whether the packet claims to be VXLAN for our port; only then its faults are ours to count.
// Whether the addresses and the VNI are ours is the caller's question.

/// What a packet from the underlay is, and where its inner frame lies.
@frozen
public struct OuterPacket: Sendable {
  /// The verdict on a packet.
  @frozen
  public enum Outcome: UInt8, Sendable {
    /// A sound VXLAN packet; every field of `OuterPacket` but `reason` is valid.
    case accepted
    /// Not for our UDP port: the kernel's business.
    case notVXLAN
    /// Broken; `reason` says how. Of the other fields only those found before the fault are set.
    case dropped
  }

  /// The verdict.
  public var outcome: Outcome
  /// Why the packet is dropped; without meaning for other outcomes.
  public var reason: DropReason
  /// Offset of the inner frame in the packet. Set once the UDP header is found sound, so also when only what is behind it is broken.
  public var innerOffset: Int
  /// Octets of the inner frame, at least 14; Ethernet padding of the outer frame is not among them.
  public var innerByteCount: Int
  /// The segment.
  public var vni: VNI
  /// Outer source: the sending VTEP.
  public var source: IPAddress
  /// Outer destination: one of our addresses, a group, or somebody else's.
  public var destination: IPAddress
  /// Outer TOS or traffic class octet, for `ECN.decapsulate`.
  public var trafficClass: UInt8

  /// Parses and verifies a packet: IP header with its checksum, lengths, fragmentation, source address, UDP checksum unless
  /// zero, VXLAN flags. Reserved VXLAN bits are ignored.
  /// - Parameter packet: the packet from its outer Ethernet header on; any length. Nothing is read beyond its end.
  @inlinable @inline(__always)
  public init(parsing packet: RawSpan, policy: DecapPolicy) {
    self.init()
    // Sound everyday packets over IPv6 are accepted in place. Everything else, and every fault, is left to `general`.
    if packet.byteCount >= 84, packet.big32(12) &>> 12 == 0x0008_6dd6, acceptIPv6(packet, policy: policy) { return }
    self = OuterPacket.general(packet, policy: policy)
  }

  /// The same for a packet whose UDP checksum need not be verified: the kernel has done so, or the packet has never left this host
  /// and its checksum is unfinished. A zero checksum counts as one all the same.
  ///
  /// - Parameters:
  ///   - beginning: the packet's first octets; a packet whose outer headers are not all in there is dropped.
  ///   - byteCount: of the whole packet.
  public init(trusting beginning: RawSpan, byteCount: Int, policy: DecapPolicy) {
    self = OuterPacket.general(beginning, byteCount: byteCount, verifiesUDP: false, policy: policy)
  }

  /// Whether a packet looks like UDP to a port, behind any tags: a cheap question, without a check of anything.
  public static func claimsPort(_ port: UInt16, _ packet: RawSpan) -> Bool {
    guard let offset = ControlFrame.typeOffset(packet) else { return false }
    let header = offset &+ 2
    switch packet.big16(offset) {
    case EtherType.ipv4:
      guard packet.byteCount >= header &+ 20, packet.byte(header &+ 9) == IPProtocol.udp else { return false }
      let udp = header &+ 4 &* Int(packet.byte(header) & 0xf)
      return packet.byteCount >= udp &+ 4 && packet.big16(udp &+ 2) == port
    case EtherType.ipv6:
      return packet.byteCount >= header &+ 44 && packet.byte(header &+ 6) == IPProtocol.udp && packet.big16(header &+ 42) == port
    default:
      return false
    }
  }

  /// The value of a packet that is not VXLAN, to start from.
  @inlinable @inline(__always)
  init() {
    outcome = .notVXLAN
    reason = .outerLength
    innerOffset = 0
    innerByteCount = 0
    vni = VNI(truncating: 0)
    source = IPAddress(high: 0, low: 0)
    destination = IPAddress(high: 0, low: 0)
    trafficClass = 0
  }
}
