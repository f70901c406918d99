// What a guest may leave to us: a TCP or UDP checksum of which only the pseudo-header sum is in place, and a TCP segment
// larger than its MTU, to be cut up (virtio 1.1 section 5.1.6.2). A request comes from outside: nothing of it is
// believed before it is found sound against the frame. The last part of step E2.

/// A sound request, and where the headers are that it is about. All counts are octets.
@frozen
public struct OffloadRequest: Equatable, Sendable {
  /// Ethernet header and VLAN tags.
  public var linkByteCount: Int
  /// IP header with options or extension headers.
  public var networkByteCount: Int
  /// TCP header with options, or UDP header.
  public var transportByteCount: Int
  public var isIPv6: Bool
  public var isUDP: Bool
  /// TCP payload of each segment but the last; 0: the frame is to be left whole, only its checksum is missing.
  public var segmentByteCount: Int

  public init(
    linkByteCount: Int, networkByteCount: Int, transportByteCount: Int, isIPv6: Bool, isUDP: Bool, segmentByteCount: Int
  ) {
    self.linkByteCount = linkByteCount
    self.networkByteCount = networkByteCount
    self.transportByteCount = transportByteCount
    self.isIPv6 = isIPv6
    self.isUDP = isUDP
    self.segmentByteCount = segmentByteCount
  }

  /// Offset of the TCP or UDP header.
  @inlinable public var transportOffset: Int { linkByteCount &+ networkByteCount }
  /// All headers, from Ethernet to TCP or UDP.
  @inlinable public var headerByteCount: Int { transportOffset &+ transportByteCount }
  /// Offset of the checksum field.
  @inlinable public var checksumOffset: Int { transportOffset &+ (isUDP ? 6 : 16) }

  /// Most segments that one frame is cut into: a 64 KiB segment at 64 octets. Fewer octets a segment are no
  /// path's MTU but an attempt to make us work.
  public static let segmentLimit = 1024
  /// Longest IP header with its extension headers; room of the field that it is kept in.
  static let networkLimit = 511

  /// What a look at the frame says about the request that came with it.
  public enum Finding: Equatable, Sendable {
    /// - Parameter byteCount: of the frame up to the end of the IP packet; what follows is padding.
    case sound(OffloadRequest, byteCount: Int)
    case refused(DropReason)
  }

  /// Checks a request against its frame.
  /// - Parameters:
  ///   - frame: the contiguous beginning of the frame, in which all headers must lie.
  ///   - byteCount: octets of the whole frame, at least those of `frame`.
  ///   - segmentByteCount: TCP payload a segment as the sender wants it; nil when only a checksum is missing.
  public static func check(frame: RawSpan, byteCount: Int, segmentByteCount: Int?) -> Finding {
    guard frame.byteCount >= 14 else { return .refused(.offloadHeaders) }
    let link = NetworkLayer(of: frame)
    let room = frame.byteCount &- link.offset
    let network: (byteCount: Int, packetByteCount: Int, transport: UInt8)
    if link.etherType == EtherType.ipv4, room >= 20, frame.byte(link.offset) &>> 4 == 4 {
      network = (
        Int(frame.byte(link.offset) & 0xf) &* 4, Int(frame.big16(link.offset &+ 2)), frame.byte(link.offset &+ 9)
      )
      // A fragment has no checksum of its own to finish.
      guard network.byteCount >= 20, frame.big16(link.offset &+ 6) & 0x3fff == 0 else {
        return .refused(.offloadHeaders)
      }
    } else if link.etherType == EtherType.ipv6, room >= 40, frame.byte(link.offset) &>> 4 == 6 {
      let packetByteCount = 40 &+ Int(frame.big16(link.offset &+ 4))
      let chain = IPv6HeaderChain(
        packet: frame, header: link.offset, end: min(frame.byteCount, link.offset &+ packetByteCount))
      // Behind a routing header each segment's pseudo-header would hold another destination (RFC 8200 section 8.1).
      guard !chain.isMalformed, chain.fragment == 0, !(chain.hasRouting && segmentByteCount != nil) else {
        return .refused(.offloadHeaders)
      }
      network = (chain.offset &- link.offset, packetByteCount, chain.transport)
    } else {
      return .refused(.offloadHeaders)
    }

    let isUDP = network.transport == IPProtocol.udp
    let transport = link.offset &+ network.byteCount
    let end = link.offset &+ network.packetByteCount
    guard isUDP || network.transport == IPProtocol.tcp, network.byteCount <= networkLimit, end <= byteCount,
      let transportByteCount = transportHeader(frame, at: transport, end: end, isUDP: isUDP)
    else { return .refused(.offloadHeaders) }
    var request = OffloadRequest(
      linkByteCount: link.offset, networkByteCount: network.byteCount, transportByteCount: transportByteCount,
      isIPv6: link.etherType == EtherType.ipv6, isUDP: isUDP, segmentByteCount: 0)
    if let segmentByteCount {
      guard !isUDP else { return .refused(.offloadHeaders) }
      let payload = end &- request.headerByteCount
      guard segmentByteCount > 0, request.headerByteCount &- link.offset &+ segmentByteCount <= 65_535,
        (payload &+ segmentByteCount &- 1) / segmentByteCount <= segmentLimit
      else { return .refused(.offloadSegmentSize) }
      // What is no longer than a segment is one.
      request.segmentByteCount = payload > segmentByteCount ? segmentByteCount : 0
    }
    return .sound(request, byteCount: end)
  }

  /// - Returns: octets of the TCP or UDP header; nil when it contradicts itself or the packet, or is not all in `frame`.
  private static func transportHeader(_ frame: RawSpan, at offset: Int, end: Int, isUDP: Bool) -> Int? {
    let limit = min(frame.byteCount, end)
    if isUDP {
      // The checksum covers all that follows its header (virtio), so the datagram must end with the packet.
      return limit &- offset >= 8 && Int(frame.big16(offset &+ 4)) == end &- offset ? 8 : nil
    }
    guard limit &- offset >= 20 else { return nil }
    let byteCount = Int(frame.byte(offset &+ 12) &>> 4) &* 4
    return byteCount >= 20 && limit &- offset >= byteCount ? byteCount : nil
  }
}
