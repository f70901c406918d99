// The checksum of ICMPv6 messages, which covers the pseudo-header (RFC 4443 section 2.3, RFC 8200 section 8.1).

extension InternetChecksum {
  /// Whether the checksum of an ICMPv6 message directly behind the IPv6 header of an untagged frame is right.
  ///
  /// - Parameter byteCount: octets of the frame up to the message's end.
  static func isSoundICMPv6(_ frame: RawSpan, byteCount: Int) -> Bool {
    guard byteCount >= 58, byteCount <= frame.byteCount else { return false }
    return fold(sumICMPv6(frame, at: 54, byteCount: byteCount)) == 0xffff
  }

  /// Completes the checksum of an ICMPv6 message behind an IPv6 header without extensions, whose addresses and the message, with 0 for the
  /// checksum, are in place.
  static func finishICMPv6(_ frame: inout MutableRawSpan, at offset: Int, byteCount: Int) {
    let sum = sumICMPv6(frame.bytes, at: offset, byteCount: byteCount)
    frame.storeBig16(complement(sum), at: offset &+ 2)
  }

  /// With the pseudo-header (RFC 8200 section 8.1).
  private static func sumICMPv6(_ frame: RawSpan, at offset: Int, byteCount: Int) -> UInt32 {
    let addresses = partialSum(frame.extracting(unchecked: (offset &- 32)..<offset))
    let message = partialSum(frame.extracting(unchecked: offset..<byteCount))
    return addresses &+ message &+ UInt32(truncatingIfNeeded: byteCount &- offset) &+ UInt32(IPProtocol.icmpv6)
  }
}
