// Explicit congestion notification through the tunnel, RFC 6040 (normal mode): the outer header gets a copy of the inner field; here is what
// becomes of a mark that routers set on the way. Last step before an inner frame is forwarded to a port.

/// The ECN field across encapsulation and decapsulation. Codepoints: 0 Not-ECT, 1 ECT(1), 2 ECT(0), 3 CE.
public enum ECN {
  /// The ECN field of the forwarded packet (RFC 6040 section 4.2, figure 4); nil for the one combination that must be
  /// dropped, CE outside and Not-ECT inside.
  @inlinable
  public static func decapsulated(outer: UInt8, inner: UInt8) -> UInt8? {
    switch (outer & 3, inner & 3) {
    case (3, 0): nil
    case (3, _): 3
    case (1, 2): 1
    default: inner & 3
    }
  }

  /// Carries the outer congestion mark into the inner IPv4 or IPv6 header behind up to two VLAN tags; the IPv4 header
  /// checksum is updated incrementally. Frames that are not IP, or end before that octet, stay as they are.
  /// - Returns: false when the frame must be dropped (`DropReason.ecnForbidden`).
  @inlinable @inline(__always)
  public static func decapsulate(outerTrafficClass: UInt8, into innerFrame: inout MutableRawSpan) -> Bool {
    // Not-ECT and ECT(0) outside never change anything: the everyday case costs one test.
    if outerTrafficClass & 1 == 0 { return true }
    return mark(outerTrafficClass, into: &innerFrame)
  }

  @usableFromInline
  static func mark(_ outer: UInt8, into innerFrame: inout MutableRawSpan) -> Bool {
    let header = ipHeader(of: innerFrame.bytes)
    guard header.version != 0 else { return true }
    // IPv6 has its traffic class across the first two octets: version(4) class(8) flow label(20).
    let shift: UInt16 = header.version == 4 ? 0 : 4
    let old = innerFrame.bytes.big16(header.offset)
    guard let ecn = decapsulated(outer: outer, inner: UInt8(truncatingIfNeeded: old &>> shift)) else { return false }
    let new = old & ~(3 &<< shift) | UInt16(ecn) &<< shift
    guard new != old else { return true }
    innerFrame.storeBig16(new, at: header.offset)
    if header.version == 4 {
      let checksum = innerFrame.bytes.big16(header.offset &+ 10)
      innerFrame.storeBig16(InternetChecksum.updated(checksum, replacing: old, with: new), at: header.offset &+ 10)
    }
    return true
  }

  /// Offset and version of the IP header; version 0 when the frame has none, or not all of it.
  private static func ipHeader(of frame: RawSpan) -> (offset: Int, version: UInt8) {
    guard frame.byteCount >= 14 else { return (0, 0) }
    let network = NetworkLayer(of: frame)
    let room = frame.byteCount &- network.offset
    if network.etherType == EtherType.ipv4, room >= 20, frame.byte(network.offset) &>> 4 == 4 {
      return (network.offset, 4)
    }
    if network.etherType == EtherType.ipv6, room >= 40, frame.byte(network.offset) &>> 4 == 6 {
      return (network.offset, 6)
    }
    return (0, 0)
  }
}
