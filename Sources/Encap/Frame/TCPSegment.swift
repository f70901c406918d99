// A received TCP segment that may be joined with the ones before it into a large one, for a guest that takes those (what
// a network card does for LRO, in a way that can be undone: RFC 9293 sees the same octets and acknowledgements). Between
// steps D6 and D7.

/// Where the parts of a TCP segment are that has nothing but ordinary data.
@frozen
public struct TCPSegment: Equatable, Sendable {
  /// Offset of the TCP header; the IP header is at 14.
  public var transportOffset: Int
  /// Offset of the payload.
  public var headerByteCount: Int
  public var payloadByteCount: Int
  public var isIPv6: Bool
  public var sequence: UInt32
  /// PSH is set: the sender waits for what comes back.
  public var isPushed: Bool

  /// Nil for everything that must reach the guest as it is: no payload, a flag other than ACK and PSH, a VLAN tag, IPv4
  /// options, IPv6 extension headers, fragments, octets behind the packet.
  public init?(frame: RawSpan) {
    guard frame.byteCount >= 54 else { return nil }
    let start = frame.big32(12)
    if start &>> 8 == 0x0008_0045 {
      guard frame.big16(20) & 0x3fff == 0, frame.byte(23) == IPProtocol.tcp,
        Int(frame.big16(16)) == frame.byteCount &- 14
      else { return nil }
      transportOffset = 34
      isIPv6 = false
    } else if start &>> 12 == 0x0008_6dd6, frame.byteCount >= 74 {
      guard frame.byte(20) == IPProtocol.tcp, Int(frame.big16(18)) == frame.byteCount &- 54 else { return nil }
      transportOffset = 54
      isIPv6 = true
    } else {
      return nil
    }
    let offsetAndFlags = frame.big16(transportOffset &+ 12)
    let transportByteCount = Int(offsetAndFlags &>> 12) &* 4
    headerByteCount = transportOffset &+ transportByteCount
    payloadByteCount = frame.byteCount &- headerByteCount
    // ACK alone or with PSH; the reserved bits are zero.
    guard transportByteCount >= 20, payloadByteCount > 0, offsetAndFlags & 0xff7 == 0x010 else { return nil }
    sequence = frame.big32(transportOffset &+ 4)
    isPushed = offsetAndFlags & 8 != 0
  }

  /// Whether the segment whose frame is `next` differs from the one in `head` in nothing but its place in the stream:
  /// same flow, same acknowledgement, window and options, same treatment on the way.
  ///
  /// - Parameter head: a frame of which this segment is the description; `next` has as many octets of headers.
  public func isContinued(head: RawSpan, next: RawSpan) -> Bool {
    guard head.byteCount >= headerByteCount, next.byteCount >= headerByteCount else { return false }
    // Ethernet header, and the first octets of the IP header up to its length.
    guard head.big64(0) == next.big64(0), head.big64(8) == next.big64(8) else { return false }
    if isIPv6 {
      // Flow label; next header and hop limit; addresses.
      guard head.big16(16) == next.big16(16), head.big16(20) == next.big16(20),
        Self.areEqual(head, next, from: 22, to: 54)
      else { return false }
    } else {
      // Fragmentation, TTL and protocol; addresses.
      guard head.big32(20) == next.big32(20), head.big64(26) == next.big64(26) else { return false }
    }
    let tcp = transportOffset
    return head.big32(tcp) == next.big32(tcp) && head.big32(tcp &+ 8) == next.big32(tcp &+ 8)
      && (head.big32(tcp &+ 12) ^ next.big32(tcp &+ 12)) & ~0x0008_0000 == 0
      && Self.areEqual(head, next, from: tcp &+ 18, to: headerByteCount)
  }

  private static func areEqual(_ a: RawSpan, _ b: RawSpan, from start: Int, to end: Int) -> Bool {
    var offset = start
    while offset < end {
      if a.big16(offset) != b.big16(offset) { return false }
      offset = offset &+ 2
    }
    return true
  }

  /// Whether the TCP checksum is right.
  public func hasRightChecksum(_ frame: RawSpan) -> Bool {
    let segment = frame.extracting(unchecked: transportOffset..<frame.byteCount)
    let byteCount = UInt32(truncatingIfNeeded: frame.byteCount &- transportOffset)
    let sum = pseudoSum(frame, byteCount: byteCount) &+ InternetChecksum.partialSum(segment)
    return InternetChecksum.fold(sum) == 0xffff
  }

  /// Makes the headers of the first segment those of the whole: lengths, IPv4 checksum, PSH. The TCP checksum field gets
  /// the pseudo-header sum, for whoever takes the large segment (virtio 1.1 section 5.1.6.2).
  ///
  /// - Parameter payloadByteCount: of all segments; with the headers no more than an IP packet holds.
  public func writeJoined(into head: inout MutableRawSpan, payloadByteCount: Int, isPushed: Bool) {
    precondition(head.byteCount >= headerByteCount, "headers are cut off")
    let byteCount = headerByteCount &- transportOffset &+ payloadByteCount
    if isIPv6 {
      head.storeBig16(UInt16(truncatingIfNeeded: byteCount), at: 18)
    } else {
      let length = UInt16(truncatingIfNeeded: 20 &+ byteCount)
      let checksum = InternetChecksum.updated(head.bytes.big16(24), replacing: head.bytes.big16(16), with: length)
      head.storeBig16(length, at: 16)
      head.storeBig16(checksum, at: 24)
    }
    if isPushed { head.storeByte(head.bytes.byte(transportOffset &+ 13) | 8, at: transportOffset &+ 13) }
    let sum = InternetChecksum.fold(pseudoSum(head.bytes, byteCount: UInt32(truncatingIfNeeded: byteCount)))
    head.storeBig16(sum, at: transportOffset &+ 16)
  }

  private func pseudoSum(_ frame: RawSpan, byteCount: UInt32) -> UInt32 {
    let addresses = frame.extracting(unchecked: (isIPv6 ? 22 : 26)..<transportOffset)
    return InternetChecksum.partialSum(addresses) &+ UInt32(IPProtocol.tcp) &+ byteCount
  }

  /// The same as a request: what is left to do about the joined segment, were it to be cut up again.
  public func joinedRequest(segmentByteCount: Int) -> OffloadRequest {
    OffloadRequest(
      linkByteCount: 14, networkByteCount: transportOffset &- 14, transportByteCount: headerByteCount &- transportOffset,
      isIPv6: isIPv6, isUDP: false, segmentByteCount: segmentByteCount)
  }
}
