// The 14 octets that every frame begins with, read at once: steps E2 and D3. IEEE 802.3-2018 clause 3.

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

  /// Whether the frame is an everyday one: from a station to a station, without a tag. One comparison for both tags finds a few other
  /// EtherTypes as well, whose frames are none then.
  @inlinable @inline(__always)
  public var isEveryday: Bool {
    !MACAddress(bits: destination.bits | source.bits).isMulticast && !source.isZero && etherType & 0xf657 != 0x8000
  }

  /// Whether a tag follows the addresses: TPID 0x8100 or 0x88a8.
  @inlinable @inline(__always)
  public var isTagged: Bool { EtherType.isTag(etherType) }
}
