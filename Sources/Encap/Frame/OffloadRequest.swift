// What a sender may leave to us: a TCP or UDP checksum of which only the pseudo-header sum is in place, and a TCP segment or a train of
// UDP datagrams larger than the MTU, to be cut up (virtio 1.3 section 5.1.6.2). A request comes from outside: nothing of it is
// believed before it is found sound against the frame. The last part of step E2.

/// A sound request, and where the headers are that it is about. All counts are octets.
@frozen
public struct OffloadRequest: Equatable, Sendable {
  /// Ethernet header and VLAN tags.
  public var linkByteCount: Int
  /// IP header with options or extension headers. Inside a tunnel: everything between the outermost Ethernet header and the
  /// innermost TCP or UDP header.
  public var networkByteCount: Int
  /// TCP header with options, or UDP header.
  public var transportByteCount: Int
  /// Of the innermost IP header.
  public var isIPv6: Bool
  public var isUDP: Bool
  /// TCP or UDP payload of each segment but the last; 0: the frame is to be left whole, only its checksum is missing.
  public var segmentByteCount: Int
  /// The TCP or UDP header lies inside a tunnel (`TunnelHeaders`).
  public var isTunnelled: Bool

  public init(
    linkByteCount: Int, networkByteCount: Int, transportByteCount: Int, isIPv6: Bool, isUDP: Bool, segmentByteCount: Int,
    isTunnelled: Bool = false
  ) {
    self.linkByteCount = linkByteCount
    self.networkByteCount = networkByteCount
    self.transportByteCount = transportByteCount
    self.isIPv6 = isIPv6
    self.isUDP = isUDP
    self.segmentByteCount = segmentByteCount
    self.isTunnelled = isTunnelled
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
  /// Longest IP header with its extension headers, or row of tunnel headers; room of the field that it is kept in.
  static let networkLimit = 511

  /// What a look at the frame says about the request that came with it.
  public enum Finding: Equatable, Sendable {
    /// - Parameter byteCount: of the frame up to the end of the IP packet; what follows is padding.
    case sound(OffloadRequest, byteCount: Int)
    /// Only a checksum is missing, and it is not that of the outermost TCP or UDP header: it is finished where it is said to be.
    case elsewhere(UnfinishedChecksum.Place)
    case refused(DropReason)
  }

  /// Checks a request against its frame.
  /// - Parameters:
  ///   - frame: the contiguous beginning of the frame, in which all headers must lie.
  ///   - byteCount: octets of the whole frame, at least those of `frame`.
  ///   - segmentByteCount: payload of a segment as the sender wants it; nil when only a checksum is missing.
  ///   - checksum: where the sender says that it has left a checksum; nil when it says only that it has. Only with it are datagrams
  ///     cut, and segments inside a tunnel: a guest that does not say it may mean IP fragments.
  public static func check(
    frame: RawSpan, byteCount: Int, segmentByteCount: Int?, checksum: UnfinishedChecksum.Place? = nil
  ) -> Finding {
    let outermost = checkOutermost(frame: frame, byteCount: byteCount, segmentByteCount: segmentByteCount)
    if case .sound(let request, _) = outermost {
      guard let checksum else { return request.isUDP && segmentByteCount != nil ? .refused(.offloadHeaders) : outermost }
      if request.transportOffset == checksum.start && request.checksumOffset == checksum.field { return outermost }
    }
    guard let checksum else { return outermost }
    guard checksum.fits(frame) else { return .refused(.offloadHeaders) }
    guard let segmentByteCount else { return .elsewhere(checksum) }
    return checkTunnelled(frame: frame, byteCount: byteCount, segmentByteCount: segmentByteCount, checksum: checksum)
  }

  private static func checkOutermost(frame: RawSpan, byteCount: Int, segmentByteCount: Int?) -> Finding {
    guard frame.byteCount >= 14 else { return .refused(.offloadHeaders) }
    let link = NetworkLayer(of: frame)
    // A fragment has no checksum of its own to finish. Behind a routing header each segment's pseudo-header would hold another
    // destination (RFC 8200 section 8.1).
    guard let network = NetworkHeader(frame, at: link.offset, etherType: link.etherType),
      !(network.hasRouting && segmentByteCount != nil)
    else { return .refused(.offloadHeaders) }

    let isUDP = network.transport == IPProtocol.udp
    let transport = link.offset &+ network.byteCount
    let end = link.offset &+ network.packetByteCount
    guard isUDP || network.transport == IPProtocol.tcp, network.byteCount <= networkLimit, end <= byteCount,
      let transportByteCount = transportHeader(frame, at: transport, end: end, isUDP: isUDP)
    else { return .refused(.offloadHeaders) }
    var request = OffloadRequest(
      linkByteCount: link.offset, networkByteCount: network.byteCount, transportByteCount: transportByteCount,
      isIPv6: link.etherType == EtherType.ipv6, isUDP: isUDP, segmentByteCount: 0)
    if let segmentByteCount, !request.cut(end: end, into: segmentByteCount) { return .refused(.offloadSegmentSize) }
    return .sound(request, byteCount: end)
  }

  private static func checkTunnelled(
    frame: RawSpan, byteCount: Int, segmentByteCount: Int, checksum: UnfinishedChecksum.Place
  ) -> Finding {
    guard let tunnels = TunnelHeaders(frame, transport: checksum.start), tunnels.end <= byteCount,
      let transportByteCount = transportHeader(frame, at: checksum.start, end: tunnels.end, isUDP: tunnels.isUDP)
    else { return .refused(.offloadHeaders) }
    var request = OffloadRequest(
      linkByteCount: tunnels.linkByteCount, networkByteCount: checksum.start &- tunnels.linkByteCount,
      transportByteCount: transportByteCount, isIPv6: tunnels.isIPv6, isUDP: tunnels.isUDP, segmentByteCount: 0, isTunnelled: true)
    guard request.networkByteCount <= networkLimit, request.checksumOffset == checksum.field else {
      return .refused(.offloadHeaders)
    }
    guard request.cut(end: tunnels.end, into: segmentByteCount) else { return .refused(.offloadSegmentSize) }
    return request.segmentByteCount == 0 ? .elsewhere(checksum) : .sound(request, byteCount: tunnels.end)
  }

  /// Makes it a request for segments, if the packet that ends at `end` is longer than one.
  ///
  /// - Returns: false when the size is none that a sender would want.
  private mutating func cut(end: Int, into size: Int) -> Bool {
    let payload = end &- headerByteCount
    guard size > 0, headerByteCount &- linkByteCount &+ size <= 65_535,
      (payload &+ size &- 1) / size <= OffloadRequest.segmentLimit
    else { return false }
    segmentByteCount = payload > size ? size : 0
    return true
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
