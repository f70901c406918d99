// Frames whose sender has left the TCP or UDP checksum to hardware, without a word about where it is: the field holds only the folded
// pseudo-header sum.

/// Repair of transport checksums that the sender left to hardware.
public enum UnfinishedChecksum {
  /// Where a sender says that it has left a checksum (virtio 1.3 section 5.1.6.2: csum_start, csum_offset). Octets.
  @frozen
  public struct Place: Equatable, Sendable {
    /// Offset in the frame from which the checksum is computed, up to the frame's end.
    public var start: Int
    /// Offset of its field from there.
    public var offset: Int

    public init(start: Int, offset: Int) {
      self.start = start
      self.offset = offset
    }

    /// Offset of the field in the frame.
    @inlinable public var field: Int { start &+ offset }
    /// It is the CRC32c of SCTP (RFC 9260 section 6.8), in four octets, the only one with its field there; all others are Internet
    /// checksums.
    @inlinable public var isCRC32c: Bool { offset == 8 }

    /// UDP and UDP-Lite (RFC 3828) have their field there, in which 0 means "no checksum", or nothing. Elsewhere 0 is a checksum, and
    /// what is written in its place (0xffff) is a wrong one to strict readers such as Wireshark.
    @inlinable public var isUDP: Bool { offset == 6 }

    /// Whether the field lies behind the Ethernet header and within the contiguous beginning of the frame.
    @inlinable
    public func fits(_ frame: RawSpan) -> Bool {
      start >= 14 && offset >= 0 && start <= frame.byteCount && offset <= frame.byteCount &- start &- (isCRC32c ? 4 : 2)
    }

    /// Finishes an Internet checksum.
    /// - Parameter sum: `InternetChecksum.partialSum` of the frame from `start` to its end.
    /// - Precondition: it fits.
    public func finish(_ frame: inout MutableRawSpan, sum: UInt32) {
      precondition(fits(frame.bytes), "beyond the frame")
      frame.storeBig16(InternetChecksum.complement(sum, isUDP: isUDP), at: field)
    }

    /// Clears the field of a CRC32c, which must be 0 while it is computed.
    /// - Precondition: it fits.
    public func clearCRC32c(_ frame: inout MutableRawSpan) {
      precondition(fits(frame.bytes) && isCRC32c, "beyond the frame")
      frame.storeBig32(0, at: field)
    }

    /// Finishes a CRC32c.
    /// - Parameter remainder: of the division, over the frame from `start` to its end with the field cleared, before it is complemented.
    /// - Precondition: it fits.
    public func finish(_ frame: inout MutableRawSpan, remainder: UInt32) {
      precondition(fits(frame.bytes) && isCRC32c, "beyond the frame")
      // The least significant octet goes first (RFC 9260 appendix A).
      frame.storeBig32((~remainder).byteSwapped, at: field)
    }
  }

  /// What was found.
  public enum Outcome: Sendable {
    /// Nothing to do: already complete, a fragment, neither TCP nor UDP, or malformed.
    case complete
    /// The checksum was partial and is now complete.
    case finished
    /// The IP length exceeds the frame.
    case truncated
  }

  /// Completes the TCP or UDP checksum of a frame, behind up to two VLAN tags, if its field holds exactly the
  /// pseudo-header sum. If a correct checksum happens to have that value, computing it gives the same value again, and the
  /// frame is complete.
  public static func finish(frame: inout MutableRawSpan) -> Outcome {
    let transport: Transport
    switch locate(frame.bytes) {
    case .nothing: return .complete
    case .truncated: return .truncated
    case .found(let found): transport = found
    }
    guard UInt32(frame.bytes.big16(transport.field)) == transport.pseudoSum else { return .complete }
    // The pseudo-header sum lies in the field already, so the sum over the segment is the whole sum.
    let sum = InternetChecksum.partialSum(
      frame.bytes.extracting(unchecked: transport.offset..<transport.offset &+ transport.byteCount))
    let checksum = InternetChecksum.complement(sum, isUDP: transport.isUDP)
    guard UInt32(checksum) != transport.pseudoSum else { return .complete }
    frame.storeBig16(checksum, at: transport.field)
    return .finished
  }

  private struct Transport {
    var offset: Int
    var byteCount: Int
    /// Where the checksum field is.
    var field: Int
    /// The value of a partial checksum field.
    var pseudoSum: UInt32
    var isUDP: Bool
  }

  private enum Location {
    case nothing
    case truncated
    case found(Transport)
  }

  private static func locate(_ frame: RawSpan) -> Location {
    guard frame.byteCount >= 14 else { return .nothing }
    let network = NetworkLayer(of: frame)
    let header = network.offset
    let room = frame.byteCount &- header
    if network.etherType == EtherType.ipv4, room >= 20, frame.byte(header) &>> 4 == 4 {
      let ipByteCount = Int(frame.big16(header &+ 2))
      if ipByteCount > room { return .truncated }
      let headerByteCount = Int(frame.byte(header) & 0xf) &* 4
      guard headerByteCount >= 20, ipByteCount >= headerByteCount, frame.big16(header &+ 6) & 0x3fff == 0 else {
        return .nothing
      }
      let addressSum =
        InternetChecksum.fold(frame.big64(header &+ 12))
      return transport(
        frame, at: header &+ headerByteCount, end: header &+ ipByteCount,
        protocolNumber: frame.byte(header &+ 9), addressSum: UInt32(addressSum))
    }
    if network.etherType == EtherType.ipv6, room >= 40, frame.byte(header) &>> 4 == 6 {
      let end = header &+ 40 &+ Int(frame.big16(header &+ 4))
      if end > frame.byteCount { return .truncated }
      let chain = IPv6HeaderChain(packet: frame, header: header, end: end)
      // Behind a routing header the pseudo-header holds another destination (RFC 8200 section 8.1).
      guard !chain.isMalformed, chain.fragment == 0, !chain.hasRouting else { return .nothing }
      let addressSum =
        InternetChecksum.partialSum(IPAddress(loading16: frame, at: header &+ 8))
        &+ InternetChecksum.partialSum(IPAddress(loading16: frame, at: header &+ 24))
      return transport(
        frame, at: chain.offset, end: end, protocolNumber: chain.transport, addressSum: addressSum)
    }
    return .nothing
  }

  /// - Parameter end: end of the IP packet, within the frame.
  private static func transport(
    _ frame: RawSpan, at offset: Int, end: Int, protocolNumber: UInt8, addressSum: UInt32
  ) -> Location {
    let byteCount: Int
    let field: Int
    switch protocolNumber {
    case IPProtocol.tcp:
      guard end &- offset >= 20 else { return .nothing }
      byteCount = end &- offset
      field = offset &+ 16
    case IPProtocol.udp:
      guard end &- offset >= 8 else { return .nothing }
      byteCount = Int(frame.big16(offset &+ 4))
      guard byteCount >= 8, byteCount <= end &- offset else { return .nothing }
      field = offset &+ 6
    default:
      return .nothing
    }
    let sum = addressSum &+ UInt32(protocolNumber) &+ UInt32(truncatingIfNeeded: byteCount)
    return .found(
      Transport(
        offset: offset, byteCount: byteCount, field: field, pseudoSum: UInt32(InternetChecksum.fold(sum)),
        isUDP: protocolNumber == IPProtocol.udp))
  }
}
