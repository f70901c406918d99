// The DSCP of a single packet in place of the one its outer header was written with: that of the 802.1p priority its frame came
// with. Step E5; only for frames with such a priority. RFC 2474, RFC 1624.

extension OuterHeader {
  /// Replaces the DSCP of a header that `write` has made; ECN stays.
  /// - Parameters:
  ///   - dscp: 0...63.
  ///   - header: exactly `byteCount` octets.
  public func setDSCP(_ dscp: UInt8, in header: inout MutableRawSpan) {
    precondition(header.byteCount == byteCount)
    if isIPv6 {
      // Version, traffic class and flow label; no checksum covers them (RFC 8200 section 8.1).
      let word = header.bytes.big16(14)
      header.storeBig16(word & 0xf03f | UInt16(dscp) &<< 6, at: 14)
    } else {
      let old = header.bytes.big16(14)
      let new = old & 0xff03 | UInt16(dscp) &<< 2
      let checksum = header.bytes.big16(24)
      header.storeBig16(new, at: 14)
      header.storeBig16(InternetChecksum.updated(checksum, replacing: old, with: new), at: 24)
    }
  }
}
