// Headers of the segments that a large TCP segment is cut into (as RFC 9293 section 3.7 has a sender do it), or a train of UDP datagrams:
// lengths, IPv4 identification, sequence number, flags, checksums; the same in all tunnels around them. The payload is the caller's.

extension OffloadRequest {
  /// Turns a copy of the large segment's headers into those of one of its segments. The TCP or UDP checksum field is left
  /// holding the pseudo-header sum, to be finished over the segment.
  /// - Parameters:
  ///   - headers: `headerByteCount` octets, the Ethernet header first.
  ///   - index: 0 for the first segment.
  ///   - payloadByteCount: of this segment.
  ///   - isLast: PSH and FIN are said with the last octet only, CWR (RFC 3168 section 6.1.2) once.
  /// - Precondition: the request was found sound for these headers, and wants segments.
  public func writeHeaders(
    into headers: inout MutableRawSpan, index: Int, payloadByteCount: Int, isLast: Bool
  ) {
    precondition(headers.byteCount >= headerByteCount, "headers are cut off")
    let tunnels = isTunnelled ? TunnelHeaders(headers.bytes, transport: transportOffset) : nil
    let network = tunnels?.network ?? linkByteCount
    let end = headerByteCount &+ payloadByteCount
    tunnels?.writeLengths(into: &headers, index: index, end: end)
    OffloadRequest.writeNetwork(into: &headers, at: network, isIPv6: isIPv6, index: index, end: end)
    if isUDP {
      headers.storeBig16(UInt16(truncatingIfNeeded: end &- transportOffset), at: transportOffset &+ 4)
    } else {
      let sent = UInt32(truncatingIfNeeded: index &* segmentByteCount)
      headers.storeBig32(headers.bytes.big32(transportOffset &+ 4) &+ sent, at: transportOffset &+ 4)
      if !isLast { clearFinalFlags(in: &headers) }
      if index > 0 { headers.storeByte(headers.bytes.byte(transportOffset &+ 13) & ~0x80, at: transportOffset &+ 13) }
    }
    let pseudoSum =
      OffloadRequest.addressSum(headers.bytes, at: network, isIPv6: isIPv6)
      &+ UInt32(isUDP ? IPProtocol.udp : IPProtocol.tcp) &+ UInt32(truncatingIfNeeded: end &- transportOffset)
    let folded = InternetChecksum.fold(pseudoSum)
    headers.storeBig16(folded, at: checksumOffset)
    tunnels?.writeChecksums(into: &headers, transport: transportOffset, pseudoSum: folded, end: end)
  }

  /// Takes PSH and FIN out of a TCP header.
  public func clearFinalFlags(in headers: inout MutableRawSpan) {
    precondition(headers.byteCount >= headerByteCount, "headers are cut off")
    headers.storeByte(headers.bytes.byte(transportOffset &+ 13) & ~0x09, at: transportOffset &+ 13)
  }

  /// Writes lengths, identification and IPv4 checksum of the IP header at `offset`, whose packet ends at `end`.
  static func writeNetwork(into headers: inout MutableRawSpan, at offset: Int, isIPv6: Bool, index: Int, end: Int) {
    let byteCount = end &- offset
    if isIPv6 {
      headers.storeBig16(UInt16(truncatingIfNeeded: byteCount &- 40), at: offset &+ 4)
      return
    }
    headers.storeBig16(UInt16(truncatingIfNeeded: byteCount), at: offset &+ 2)
    let identification = headers.bytes.big16(offset &+ 4) &+ UInt16(truncatingIfNeeded: index)
    headers.storeBig16(identification, at: offset &+ 4)
    headers.storeBig16(0, at: offset &+ 10)
    let headerEnd = offset &+ Int(headers.bytes.byte(offset) & 0xf) &* 4
    let sum = InternetChecksum.partialSum(headers.bytes.extracting(unchecked: offset..<headerEnd))
    headers.storeBig16(InternetChecksum.complement(sum), at: offset &+ 10)
  }

  /// The sum of the addresses in the IP header at `offset`, not folded.
  static func addressSum(_ headers: RawSpan, at offset: Int, isIPv6: Bool) -> UInt32 {
    guard isIPv6 else { return UInt32(InternetChecksum.fold(headers.big64(offset &+ 12))) }
    return InternetChecksum.partialSum(IPAddress(loading16: headers, at: offset &+ 8))
      &+ InternetChecksum.partialSum(IPAddress(loading16: headers, at: offset &+ 24))
  }

  /// The sum of the frame as it is once a NIC has carried out the request, for the outer UDP checksum. Of a frame that is cut into segments of
  /// one size: the sum of each of them. The payload is not read: with its checksum, what TCP or UDP covers sums up to the complement of the
  /// pseudo-header (as in Linux's "local checksum offload").
  ///
  /// - Parameters:
  ///   - headers: the frame's beginning, `headerByteCount` octets at least.
  ///   - byteCount: octets of the frame, or of a segment.
  /// - Returns: as `InternetChecksum.partialSum`.
  public func finishedSum(_ headers: RawSpan, byteCount: Int) -> UInt32 {
    precondition(headers.byteCount >= headerByteCount, "headers are cut off")
    let pseudoSum =
      OffloadRequest.addressSum(headers, at: linkByteCount, isIPv6: isIPv6)
      &+ UInt32(isUDP ? IPProtocol.udp : IPProtocol.tcp) &+ UInt32(truncatingIfNeeded: byteCount &- transportOffset)
    var sum =
      InternetChecksum.partialSum(headers.extracting(unchecked: 0..<linkByteCount)) &+ UInt32(~InternetChecksum.fold(pseudoSum))
    let network = headers.extracting(unchecked: linkByteCount..<transportOffset)
    if segmentByteCount == 0 {
      sum = sum &+ InternetChecksum.partialSum(network)
    } else if isIPv6 {
      let length = UInt16(truncatingIfNeeded: byteCount &- linkByteCount &- 40)
      sum = sum &+ InternetChecksum.partialSum(network) &+ UInt32(~network.big16(4)) &+ UInt32(length)
    }
    // An IPv4 header with a right checksum adds nothing.
    return sum
  }

  /// Finishes the checksum of a whole frame whose field holds the pseudo-header sum.
  /// - Parameters:
  ///   - headers: the frame's beginning, `headerByteCount` octets at least.
  ///   - sum: `InternetChecksum.partialSum` of the frame from `transportOffset` to its end.
  public func finishChecksum(of headers: inout MutableRawSpan, sum: UInt32) {
    precondition(headers.byteCount >= headerByteCount, "headers are cut off")
    headers.storeBig16(InternetChecksum.complement(sum, isUDP: isUDP), at: checksumOffset)
  }
}
