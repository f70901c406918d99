// A received TCP segment or UDP datagram that may be joined with the ones before it into a large one, for a receiver that takes those
// (what a network card does for LRO, in a way that can be undone: RFC 9293 sees the same octets and acknowledgements, RFC 768 the same
// datagrams). Between steps D6 and D7.

/// Where the parts of a TCP segment or UDP datagram are that has nothing but ordinary data.
@frozen
public struct JoinableSegment: Equatable, Sendable {
  /// Offset of the TCP or UDP header; the IP header is at 14.
  public var transportOffset: Int
  /// Offset of the payload.
  public var headerByteCount: Int
  public var payloadByteCount: Int
  public var isIPv6: Bool
  public var isUDP: Bool
  /// Of TCP; 0: UDP has none.
  public var sequence: UInt32
  /// PSH is set: the sender waits for what comes back.
  public var isPushed: Bool

  /// Most datagrams in one: what kernels before 6.10 cut; later ones cut 128.
  static let datagramLimit = 64

  /// Nil for everything that must reach the receiver as it is: no payload, a TCP flag other than ACK and PSH, a UDP checksum of zero
  /// (none: to cut a large one is to compute them), a VLAN tag, IPv4 options, IPv6 extension headers, fragments, octets behind the packet.
  public init?(frame: RawSpan) {
    guard frame.byteCount > 42 else { return nil }
    let start = frame.big32(12)
    let transport: UInt8
    if start &>> 8 == 0x0008_0045 {
      transport = frame.byte(23)
      guard frame.big16(20) & 0x3fff == 0, Int(frame.big16(16)) == frame.byteCount &- 14 else { return nil }
      transportOffset = 34
      isIPv6 = false
    } else if start &>> 12 == 0x0008_6dd6, frame.byteCount > 62 {
      transport = frame.byte(20)
      guard Int(frame.big16(18)) == frame.byteCount &- 54 else { return nil }
      transportOffset = 54
      isIPv6 = true
    } else {
      return nil
    }
    if transport == IPProtocol.udp {
      guard Int(frame.big16(transportOffset &+ 4)) == frame.byteCount &- transportOffset, frame.big16(transportOffset &+ 6) != 0 else {
        return nil
      }
      isUDP = true
      headerByteCount = transportOffset &+ 8
      payloadByteCount = frame.byteCount &- headerByteCount
      sequence = 0
      isPushed = false
      return
    }
    guard transport == IPProtocol.tcp, frame.byteCount >= transportOffset &+ 20 else { return nil }
    let offsetAndFlags = frame.big16(transportOffset &+ 12)
    let transportByteCount = Int(offsetAndFlags &>> 12) &* 4
    isUDP = false
    headerByteCount = transportOffset &+ transportByteCount
    payloadByteCount = frame.byteCount &- headerByteCount
    // ACK alone or with PSH; the reserved bits are zero.
    guard transportByteCount >= 20, payloadByteCount > 0, offsetAndFlags & 0xff7 == 0x010 else { return nil }
    sequence = frame.big32(transportOffset &+ 4)
    isPushed = offsetAndFlags & 8 != 0
  }

  /// Whether a segment continues this one and those that were joined to it: the next octets of the stream, or the next datagram of the
  /// flow, no longer than the first. It may differ in nothing but its place: same flow, same acknowledgement, window and options, same
  /// treatment on the way.
  ///
  /// - Parameters:
  ///   - head: the frame of which this is the description.
  ///   - frame: that of `next`.
  ///   - byteCount: payload of this and of what was joined to it.
  public func isContinued(by next: JoinableSegment, head: RawSpan, frame: RawSpan, after byteCount: Int) -> Bool {
    guard next.headerByteCount == headerByteCount, next.isIPv6 == isIPv6, next.isUDP == isUDP,
      next.payloadByteCount <= payloadByteCount, byteCount &+ next.payloadByteCount &+ headerByteCount &- 14 <= 65_535,
      head.byteCount >= headerByteCount, frame.byteCount >= headerByteCount
    else { return false }
    // Ethernet header, and the first octets of the IP header up to its length.
    guard head.big64(0) == frame.big64(0), head.big64(8) == frame.big64(8) else { return false }
    if isIPv6 {
      // Flow label; next header and hop limit; addresses.
      guard head.big16(16) == frame.big16(16), head.big16(20) == frame.big16(20),
        Self.areEqual(head, frame, from: 22, to: 54)
      else { return false }
    } else {
      // Fragmentation, TTL and protocol; addresses.
      guard head.big32(20) == frame.big32(20), head.big64(26) == frame.big64(26) else { return false }
    }
    // Ports.
    guard head.big32(transportOffset) == frame.big32(transportOffset) else { return false }
    return isUDP ? followsDatagram(head: head, frame: frame, after: byteCount) : followsStream(next, head: head, frame: frame, byteCount)
  }

  /// Acknowledgement, offset and flags but for PSH, window, urgent pointer and options are the same.
  private func followsStream(_ next: JoinableSegment, head: RawSpan, frame: RawSpan, _ byteCount: Int) -> Bool {
    let tcp = transportOffset
    return next.sequence == sequence &+ UInt32(truncatingIfNeeded: byteCount)
      && head.big32(tcp &+ 8) == frame.big32(tcp &+ 8) && (head.big32(tcp &+ 12) ^ frame.big32(tcp &+ 12)) & ~0x0008_0000 == 0
      && Self.areEqual(head, frame, from: tcp &+ 18, to: headerByteCount)
  }

  /// The datagrams' IPv4 identifications are what they are after the large one was cut up again: in a row. Where DF is set, they may be
  /// all the same as well: they mean nothing then (RFC 6864 section 4.1).
  private func followsDatagram(head: RawSpan, frame: RawSpan, after byteCount: Int) -> Bool {
    let count = byteCount / payloadByteCount
    guard count < Self.datagramLimit else { return false }
    if isIPv6 { return true }
    let distance = frame.big16(18) &- head.big16(18)
    return distance == UInt16(truncatingIfNeeded: count) || distance == 0 && head.big16(20) & 0x4000 != 0
  }

  private static func areEqual(_ a: RawSpan, _ b: RawSpan, from start: Int, to end: Int) -> Bool {
    var offset = start
    while offset < end {
      if a.big16(offset) != b.big16(offset) { return false }
      offset = offset &+ 2
    }
    return true
  }

  /// Whether the TCP or UDP checksum is right.
  public func hasRightChecksum(_ frame: RawSpan) -> Bool {
    let segment = frame.extracting(unchecked: transportOffset..<frame.byteCount)
    let byteCount = UInt32(truncatingIfNeeded: frame.byteCount &- transportOffset)
    let sum = pseudoSum(frame, byteCount: byteCount) &+ InternetChecksum.partialSum(segment)
    return InternetChecksum.fold(sum) == 0xffff
  }

  /// Makes the headers of the first segment those of the whole: lengths, IPv4 checksum, PSH. The checksum field of TCP or UDP gets
  /// the pseudo-header sum, for whoever takes the large segment (virtio 1.3 section 5.1.6.2).
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
    if isUDP { head.storeBig16(UInt16(truncatingIfNeeded: byteCount), at: transportOffset &+ 4) }
    if isPushed { head.storeByte(head.bytes.byte(transportOffset &+ 13) | 8, at: transportOffset &+ 13) }
    let sum = InternetChecksum.fold(pseudoSum(head.bytes, byteCount: UInt32(truncatingIfNeeded: byteCount)))
    head.storeBig16(sum, at: transportOffset &+ (isUDP ? 6 : 16))
  }

  private func pseudoSum(_ frame: RawSpan, byteCount: UInt32) -> UInt32 {
    let addresses = frame.extracting(unchecked: (isIPv6 ? 22 : 26)..<transportOffset)
    return InternetChecksum.partialSum(addresses) &+ UInt32(isUDP ? IPProtocol.udp : IPProtocol.tcp) &+ byteCount
  }

  /// The same as a request: what is left to do about the joined segment, were it to be cut up again.
  public func joinedRequest(segmentByteCount: Int) -> OffloadRequest {
    OffloadRequest(
      linkByteCount: 14, networkByteCount: transportOffset &- 14, transportByteCount: headerByteCount &- transportOffset,
      isIPv6: isIPv6, isUDP: isUDP, segmentByteCount: segmentByteCount)
  }
}
