// The 14 octets that every frame begins with, read at once: steps E2 and D3. IEEE 802.3-2018 clause 3.

import CEncap

/// Addresses and EtherType of a frame.
@frozen
public struct EthernetHeader: Sendable {
  /// The destination address.
  public var destination: MACAddress
  /// The source address.
  public var source: MACAddress
  /// The EtherType of an untagged frame, the TPID of a tagged one.
  public var etherType: UInt16

  /// - Precondition: the span holds 14 octets from `offset` on. Nothing is checked.
  @inlinable @inline(__always)
  public init(unchecked bytes: RawSpan, at offset: Int) {
    // Two loads of 8 octets are cheaper than the fields one by one, and stay within the 14.
    let tail = bytes.big64(offset &+ 6)
    destination = MACAddress(bits: bytes.big64(offset) &>> 16)
    source = MACAddress(bits: tail &>> 16)
    etherType = UInt16(truncatingIfNeeded: tail)
  }

  /// Whether a tag follows the addresses: TPID 0x8100 or 0x88a8.
  @inlinable @inline(__always)
  public var isTagged: Bool { EtherType.isTag(etherType) }
}

/// The same octets in wire order, for the loops over a burst. What of it is not asked is not computed.
@frozen
public struct WireEthernetHeader: Sendable {
  /// The address's octets, the last one highest, in the upper 48 bits.
  public var destination: UInt64
  /// The same of the source.
  public var source: UInt64
  /// Octets 12 to 15, the last one highest.
  @usableFromInline let wireType: UInt32
  /// It is IPv4, from no group and to none.
  @usableFromInline let isUnicastIPv4: Bool

  /// - Precondition: the span holds 16 octets from `offset` on. Nothing is checked.
  @inlinable @inline(__always)
  public init(unchecked bytes: RawSpan, at offset: Int) { self.init(bytes, offset, before: 0) }

  /// The same of an inner frame. Behind outer headers over IPv4 it is in the packet's first 64 octets up to the EtherType: of IPv4 nothing is
  /// read of the next cache line.
  /// - Precondition: the span holds 18 octets from two before `offset` on. Nothing is checked.
  @inlinable @inline(__always)
  public init(inner bytes: RawSpan, at offset: Int) { self.init(bytes, offset, before: 2) }

  /// - Parameter before: octets in front of the frame that are read as well; constant at each call.
  @inlinable @inline(__always)
  init(_ bytes: RawSpan, _ offset: Int, before: Int) {
    destination = UInt64(littleEndian: bytes.raw64(offset)) &<< 16
    source = UInt64(littleEndian: bytes.raw64(offset &+ 6)) &<< 16
    // Not 16 bits: the compiler would make them of the 64 before, at a greater cost.
    wireType = UInt32(littleEndian: bytes.raw32(offset &+ 12))
    isUnicastIPv4 =
      bytes.withUnsafeBytes {
        cencap_is_unicast_ipv4($0.baseAddress.unsafelyUnwrapped + (offset &- before), Int32(truncatingIfNeeded: before))
      } != 0
  }

  /// `destination` alone.
  /// - Precondition: the span holds 8 octets from `offset` on. Nothing is checked.
  @inlinable @inline(__always)
  public static func destination(_ bytes: RawSpan, at offset: Int) -> UInt64 { UInt64(littleEndian: bytes.raw64(offset)) &<< 16 }

  /// From a station to a station: the source is neither a group nor zero, the destination is no group.
  @inlinable @inline(__always)
  public var isUnicast: Bool {
    // Conditions without a likely outcome would be merged, at a greater cost than that of two.
    _fastPath((destination | source) & 1 &<< 16 == 0) && _fastPath(source != 0)
  }

  /// Whether the frame is an everyday one: from a station to a station, without a tag. One comparison for both tags finds a few other
  /// EtherTypes as well, whose frames are none then. Most frames are IPv4, and asked nothing else.
  @inlinable @inline(__always)
  public var isEveryday: Bool { isEverydayIfFromStation && _fastPath(source != 0) }

  /// The same but for a source that is zero: for a caller that knows sources, of which zero is none, and asks about unknown ones.
  @inlinable @inline(__always)
  public var isEverydayIfFromStation: Bool {
    if _fastPath(isUnicastIPv4) { return true }
    return isUnicast && wireType & 0x57f6 != 0x0080
  }
}

/// The octets that a frame with one tag begins with, in the same way.
@frozen
public struct WireTaggedHeader: Sendable {
  /// As in `WireEthernetHeader`.
  public var ethernet: WireEthernetHeader
  /// Octets 16 and 17, the second one higher.
  @usableFromInline let innerType: UInt16

  /// - Precondition: the span holds 18 octets. Nothing is checked.
  @inlinable @inline(__always)
  public init(unchecked bytes: RawSpan) {
    ethernet = WireEthernetHeader(unchecked: bytes, at: 0)
    innerType = UInt16(littleEndian: bytes.raw16(16))
  }

  /// From a station to a station, with one tag, whose priority and drop eligible indicator are 0. As in
  /// `WireEthernetHeader.isEveryday`, a few other EtherTypes behind the tag count as second tags.
  ///
  /// - Parameter tpid: the tag's, in the order of `EthernetHeader.etherType`.
  @inlinable @inline(__always)
  public func isEveryday(tpid: UInt16) -> Bool {
    _fastPath(ethernet.wireType & 0x00f0_ffff == UInt32(tpid.byteSwapped)) && ethernet.isUnicast
      && _fastPath(innerType & 0x57f6 != 0x0080)
  }

  /// The VLAN identifier.
  /// - Precondition: `isEveryday`, which leaves nothing but it in the tag control information.
  @inlinable @inline(__always)
  public var vlan: UInt16 { UInt16(truncatingIfNeeded: ethernet.wireType &>> 16).byteSwapped }
}
