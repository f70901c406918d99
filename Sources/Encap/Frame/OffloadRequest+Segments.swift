// Headers of the segments that a large TCP segment is cut into (as RFC 9293 section 3.7 has a sender do it): lengths,
// IPv4 identification, sequence number, flags, checksums. The payload is the caller's.

extension OffloadRequest {
  /// Turns a copy of the large segment's headers into those of one of its segments. The TCP checksum field is left
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
    let segmentByteCount = transportByteCount &+ payloadByteCount
    let addressSum: UInt32
    if isIPv6 {
      let payloadLength = networkByteCount &- 40 &+ segmentByteCount
      headers.storeBig16(UInt16(truncatingIfNeeded: payloadLength), at: linkByteCount &+ 4)
      addressSum =
        InternetChecksum.partialSum(IPAddress(loading16: headers.bytes, at: linkByteCount &+ 8))
        &+ InternetChecksum.partialSum(IPAddress(loading16: headers.bytes, at: linkByteCount &+ 24))
    } else {
      headers.storeBig16(UInt16(truncatingIfNeeded: networkByteCount &+ segmentByteCount), at: linkByteCount &+ 2)
      let identification = headers.bytes.big16(linkByteCount &+ 4) &+ UInt16(truncatingIfNeeded: index)
      headers.storeBig16(identification, at: linkByteCount &+ 4)
      headers.storeBig16(0, at: linkByteCount &+ 10)
      let sum = InternetChecksum.partialSum(headers.bytes.extracting(unchecked: linkByteCount..<transportOffset))
      headers.storeBig16(InternetChecksum.complement(sum), at: linkByteCount &+ 10)
      addressSum = UInt32(InternetChecksum.fold(headers.bytes.big64(linkByteCount &+ 12)))
    }

    let sent = UInt32(truncatingIfNeeded: index &* self.segmentByteCount)
    headers.storeBig32(headers.bytes.big32(transportOffset &+ 4) &+ sent, at: transportOffset &+ 4)
    var flags = headers.bytes.byte(transportOffset &+ 13)
    if !isLast { flags &= ~0x09 }
    if index > 0 { flags &= ~0x80 }
    headers.storeByte(flags, at: transportOffset &+ 13)
    let pseudoSum = addressSum &+ UInt32(IPProtocol.tcp) &+ UInt32(truncatingIfNeeded: segmentByteCount)
    headers.storeBig16(InternetChecksum.fold(pseudoSum), at: checksumOffset)
  }

  /// Finishes the checksum of a whole frame whose field holds the pseudo-header sum.
  /// - Parameters:
  ///   - headers: the frame's beginning, `headerByteCount` octets at least.
  ///   - sum: `InternetChecksum.partialSum` of the frame from `transportOffset` to its end.
  public func finishChecksum(of headers: inout MutableRawSpan, sum: UInt32) {
    precondition(headers.byteCount >= headerByteCount, "headers are cut off")
    let checksum = isUDP ? InternetChecksum.complementUDP(sum) : InternetChecksum.complement(sum)
    headers.storeBig16(checksum, at: checksumOffset)
  }
}
