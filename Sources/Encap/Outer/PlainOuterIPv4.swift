// The short cut of decapsulation, inlined into the worker: an outer IPv4 header of the everyday shape that is sound in every
// respect. Of any other packet it only says that it is not one of those; then `OuterPacket` has the word. The conditions are
// stricter than the rules (OuterPacket+Verify.swift), never weaker, but for the source address.

import CEncap

/// A VXLAN packet to us over IPv4 without options, fragmentation or padding, 50 octets in front of its inner frame. RFC 7348 section 5.
@frozen
public struct PlainOuterIPv4: Sendable {
  /// Octets in front of the inner frame.
  @inlinable public static var byteCount: Int { 50 }

  /// Outer source as it is in memory. Whether it is fit for a host is not checked: it counts only if it is a known VTEP's, and not a
  /// group's.
  public var wireSource: UInt32
  /// Outer TOS octet, for `ECN.decapsulate`.
  public var trafficClass: UInt8
  /// The VXLAN header's last word, as it is in memory: the VNI and a reserved octet, whatever it holds.
  public var wireSegment: UInt32
  /// Octets of the inner frame, at least 16 (`WireEthernetHeader`). The packet ends with it.
  public var innerByteCount: Int

  /// The segment.
  @inlinable @inline(__always)
  public var vni: VNI { OuterHeader.vni(wireSegment: wireSegment) }

  /// What the packets to one address have in common in their first 48 octets, to be compared at once. Made once for a burst.
  @frozen
  public struct Pattern: Sendable {
    @usableFromInline let words: cencap_pattern

    /// - Parameters:
    ///   - mac: the outer destination address; nil: any.
    ///   - wireDestination: the outer IP destination in wire order; more than 32 bits: no packet matches.
    ///   - udpPort: the destination port of VXLAN.
    @inlinable @inline(__always)
    public init(mac: MACAddress?, wireDestination: UInt64, udpPort: UInt16) {
      // In each pair of words: MAC addresses, EtherType, version and header length; flags and fragment offset, of which DF and the reserved bit may be set,
      // protocol, half of the destination; the rest of it, the UDP port, no UDP checksum, the I flag.
      words = cencap_pattern(
        mask: (
          mac == nil ? 0 : 0x0000_ffff_ffff_ffff, 0x00ff_ffff_0000_0000, 0xff00_ff3f_0000_0000, 0xffff_0000_0000_0000,
          0x0000_ffff_0000_ffff, 0x0008_ffff
        ),
        value: (
          (mac?.bits ?? 0).byteSwapped &>> 16, 0x0045_0008_0000_0000, UInt64(IPProtocol.udp) &<< 56, wireDestination &<< 48,
          (wireDestination &>> 16 & 0xffff) | UInt64(udpPort.bigEndian) &<< 32, wireDestination > 0xffff_ffff ? .max : 0x0008_0000
        ))
    }

    /// Whether a packet matches, is as long as its headers say, and has no UDP checksum or a right one.
    ///
    /// The lengths first: the compiler would take them out of a register with 16 octets.
    /// - Parameter isTrusted: the UDP checksum need not be verified (`OuterPacket.init(trusting:byteCount:policy:)`).
    @inlinable @inline(__always)
    public func matches(_ packet: RawSpan, isTrusted: Bool) -> Bool {
      packet.byteCount >= 66 && packet.byteCount <= 65_535
        && packet.raw16(16) == UInt16(truncatingIfNeeded: packet.byteCount &- 14).bigEndian
        && Pattern.udpLengthFits(packet)
        && isMatch(packet, isTrusted: isTrusted)
    }

    @inlinable @inline(__always)
    static func udpLengthFits(_ packet: RawSpan) -> Bool {
      packet.raw16(38) == UInt16(truncatingIfNeeded: packet.byteCount &- 34).bigEndian
    }

    /// The UDP checksum is verified of packets to us only: it may have to read all of one.
    @inlinable @inline(__always)
    func isMatch(_ packet: RawSpan, isTrusted: Bool) -> Bool {
      let difference = packet.withUnsafeBytes { cencap_compare($0.baseAddress.unsafelyUnwrapped, words, 0, 16, 32, 0xffff) }
      if _fastPath(difference == 0) { return true }
      guard difference == 1 else { return false }
      return isTrusted || Pattern.hasSoundUDP(packet)
    }

    @usableFromInline @inline(never)
    static func hasSoundUDP(_ packet: RawSpan) -> Bool {
      let addressSum = UInt32(InternetChecksum.fold(packet.big64(26)))
      return OuterPacket.isSoundUDP(packet, at: 34, byteCount: packet.byteCount &- 34, addressSum: addressSum)
    }
  }

  /// Nil for every packet that is not of this shape, sound or not.
  ///
  /// - Parameters:
  ///   - packet: the packet from its outer Ethernet header on; any length. Nothing is read beyond its end.
  ///   - pattern: of the packets to our address.
  ///   - isTrusted: the UDP checksum need not be verified.
  @inlinable @inline(__always)
  public init?(_ packet: RawSpan, _ pattern: Pattern, isTrusted: Bool) {
    guard pattern.matches(packet, isTrusted: isTrusted) else { return nil }
    self.init(matching: packet, isTrusted: isTrusted)
  }

  /// The VXLAN header's last word, as it is in memory, of a packet that matches a pattern.
  @inlinable @inline(__always)
  public static func wireSegment(_ packet: RawSpan) -> UInt32 { packet.raw32(46) }

  /// Nil for a packet that is not sound in every respect.
  ///
  /// - Parameters:
  ///   - packet: matches a pattern.
  ///   - isTrusted: of no account here.
  @inlinable @inline(__always)
  public init?(matching packet: RawSpan, isTrusted: Bool) {
    guard PlainOuterIPv4.isSoundHeader(packet) else { return nil }
    wireSource = packet.raw32(26)
    trafficClass = packet.byte(15)
    wireSegment = PlainOuterIPv4.wireSegment(packet)
    innerByteCount = packet.byteCount &- 50
  }

  /// Whether the checksum of an IPv4 header without options is right: whether its sum is a multiple of 0xffff.
  @inlinable @inline(__always)
  static func isSoundHeader(_ packet: RawSpan) -> Bool {
    // The sum need not be folded. 2^64 - 1 is a multiple of 0xffff, so end-around carries keep the remainder, whatever the
    // byte order. And a word is a multiple of an odd number just when its product with that number's inverse modulo 2^64 is
    // no more than the largest quotient.
    let first = packet.unsafeLoadUnaligned(fromUncheckedByteOffset: 14, as: UInt64.self)
    let second = packet.unsafeLoadUnaligned(fromUncheckedByteOffset: 22, as: UInt64.self)
    let third = UInt64(packet.unsafeLoadUnaligned(fromUncheckedByteOffset: 30, as: UInt32.self))
    let pair = first.addingReportingOverflow(second)
    let all = pair.partialValue.addingReportingOverflow(third &+ (pair.overflow ? 1 : 0))
    let sum = all.partialValue &+ (all.overflow ? 1 : 0)
    return sum &* 0xfffe_fffe_fffe_ffff <= 0x0001_0001_0001_0001
  }
}
