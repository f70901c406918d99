// Finds the IP header of an inner frame behind up to two VLAN tags, and the transport header behind IPv6 extension
// headers. Shared by flow hash, ECN and checksum repair; every step is bounded by the frame.

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
