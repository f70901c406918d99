// Finds the IP header of an inner frame behind up to two VLAN tags, and the transport header behind IPv6 extension
// headers. Shared by flow hash, ECN, checksum repair and offload requests; every step is bounded by the frame.

/// Where the network header of a frame begins, and what it is.
@frozen
@usableFromInline
struct NetworkLayer {
  /// EtherType behind the tags, host order; 0 when the frame ends inside a tag.
  @usableFromInline var etherType: UInt16
  /// Offset of the first octet behind that EtherType.
  @usableFromInline var offset: Int

  /// - Precondition: the frame has at least 14 octets.
  @inlinable @inline(__always)
  init(of frame: RawSpan) {
    etherType = frame.big16(12)
    offset = 14
    // Two tags at most (802.1ad); a third one counts as an unknown EtherType.
    if EtherType.isTag(etherType) { skipTag(frame) }
    if EtherType.isTag(etherType), offset == 18 { skipTag(frame) }
  }

  @inlinable
  mutating func skipTag(_ frame: RawSpan) {
    guard frame.byteCount >= offset &+ 4 else {
      etherType = 0
      return
    }
    etherType = frame.big16(offset &+ 2)
    offset = offset &+ 4
  }
}

/// An IP header of a packet that is no fragment, with its options or extension headers.
struct NetworkHeader {
  /// Octets of the header; what follows it need not be in the frame.
  var byteCount: Int
  /// Octets of the packet as the header says, from the header on.
  var packetByteCount: Int
  /// Protocol number of what follows.
  var transport: UInt8
  /// A routing header is there: the header's destination need not be the final one.
  var hasRouting = false

  /// Nil when the header is cut, contradicts itself, or is a fragment's.
  ///
  /// - Parameters:
  ///   - frame: of any length; nothing is read beyond its end.
  ///   - offset: where the header begins, at most the frame's end.
  ///   - etherType: IPv4 or IPv6; with any other there is no header.
  init?(_ frame: RawSpan, at offset: Int, etherType: UInt16) {
    let room = frame.byteCount &- offset
    if etherType == EtherType.ipv4, room >= 20, frame.byte(offset) &>> 4 == 4 {
      byteCount = Int(frame.byte(offset) & 0xf) &* 4
      packetByteCount = Int(frame.big16(offset &+ 2))
      transport = frame.byte(offset &+ 9)
      guard byteCount >= 20, frame.big16(offset &+ 6) & 0x3fff == 0 else { return nil }
    } else if etherType == EtherType.ipv6, room >= 40, frame.byte(offset) &>> 4 == 6 {
      packetByteCount = 40 &+ Int(frame.big16(offset &+ 4))
      let chain = IPv6HeaderChain(packet: frame, header: offset, end: min(frame.byteCount, offset &+ packetByteCount))
      guard !chain.isMalformed, chain.fragment == 0 else { return nil }
      byteCount = chain.offset &- offset
      transport = chain.transport
      hasRouting = chain.hasRouting
    } else {
      return nil
    }
  }
}

/// The walk over IPv6 extension headers to the transport header (RFC 8200 section 4).
@frozen
@usableFromInline
struct IPv6HeaderChain {
  /// The first protocol number that is not a skipped extension header.
  @usableFromInline var transport: UInt8
  /// Where that header begins; within `end`, or equal to it.
  @usableFromInline var offset: Int
  /// Fragment offset and M flag, as the 16-bit field without the reserved bits; 0 when not fragmented.
  @usableFromInline var fragment: UInt16
  /// A routing header was skipped: the header's destination need not be the final one.
  @usableFromInline var hasRouting: Bool
  /// The chain runs past `end` or has more than four extension headers; `transport` is then without meaning.
  @usableFromInline var isMalformed: Bool

  /// Most extension headers to skip; real traffic has one or two, and a bound limits the cost of a hostile chain.
  @inlinable static var limit: Int { 4 }

  /// Walks from the IPv6 header at `header`. It ends behind the header of a real fragment, since
  /// only the first fragment has more; an atomic fragment (RFC 6946) is none.
  /// - Precondition: `header + 40 <= end <= packet.byteCount`.
  @usableFromInline
  init(packet: RawSpan, header: Int, end: Int) {
    transport = packet.byte(header &+ 6)
    offset = header &+ 40
    fragment = 0
    hasRouting = false
    isMalformed = false
    for _ in 0..<IPv6HeaderChain.limit {
      guard isExtension else { return }
      guard end &- offset >= 8 else {
        isMalformed = true
        return
      }
      let next = packet.byte(offset)
      if transport == IPProtocol.fragment {
        fragment = packet.big16(offset &+ 2) & 0xfff9
        transport = next
        offset = offset &+ 8
        if fragment != 0 { return }
      } else {
        let byteCount = 8 &+ 8 &* Int(packet.byte(offset &+ 1))
        guard end &- offset >= byteCount else {
          isMalformed = true
          return
        }
        if transport == IPProtocol.routing { hasRouting = true }
        transport = next
        offset = offset &+ byteCount
      }
    }
    isMalformed = isExtension
  }

  private var isExtension: Bool {
    transport == IPProtocol.hopByHop || transport == IPProtocol.routing
      || transport == IPProtocol.destinationOptions || transport == IPProtocol.fragment
  }
}
