// Frames that a packet socket reads from a veth: the sending kernel leaves TCP and UDP checksums to a network card that does
// not exist (CHECKSUM_PARTIAL), and the field holds only the folded pseudo-header sum. The checksum must be completed before
// such a frame enters a tunnel. Runs for every frame of such a port.

/// Repair of transport checksums that the sender left to hardware.
public enum UnfinishedChecksum {
  /// What was found.
  public enum Outcome: Sendable {
    /// Nothing to do: already complete, a fragment, neither TCP nor UDP, or malformed.
    case complete
    /// The checksum was partial and is now complete.
    case finished
    /// The IP length exceeds the frame: the sender left segmentation to hardware too, and reception cut the frame
    /// (`DropReason.frameTruncated`).
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
    let checksum =
      transport.isUDP ? InternetChecksum.complementUDP(sum) : InternetChecksum.complement(sum)
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
