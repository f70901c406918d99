// The Ethernet header of a frame from a port, with its VLAN tag: step E2. IEEE 802.1Q-2018 clause 9.

/// A checked view of an Ethernet header and of the tag at offset 12, if there is one.
@frozen
public struct EthernetView: ~Escapable {
  @usableFromInline let bytes: RawSpan

  /// Octets of an untagged header.
  @inlinable public static var headerByteCount: Int { 14 }
  /// Octets of one VLAN tag.
  @inlinable public static var tagByteCount: Int { 4 }

  /// A view of the frame; nil for less than 14 octets, or less than 18 if the TPID indicates a tag.
  @inlinable @inline(__always)
  @_lifetime(copy frame)
  public init?(_ frame: RawSpan) {
    guard frame.byteCount >= 14 else { return nil }
    if EtherType.isTag(frame.big16(12)), frame.byteCount < 18 { return nil }
    bytes = frame
  }

  /// The destination address.
  @inlinable public var destination: MACAddress {
    // One 8-byte load is cheaper than the 6 octets alone; both loads stay within the checked 14.
    MACAddress(bits: bytes.big64(0) &>> 16)
  }

  /// The source address.
  @inlinable public var source: MACAddress {
    MACAddress(bits: bytes.big64(6) &>> 16)
  }

  /// The 16 bits at offset 12: the EtherType of an untagged frame, the TPID of a tagged one.
  @inlinable public var etherType: UInt16 { bytes.big16(12) }

  /// Whether a tag follows the addresses: TPID 0x8100 or 0x88a8.
  @inlinable public var isTagged: Bool { EtherType.isTag(etherType) }

  /// The tag control information: priority in bits 15...13, DEI in bit 12, VLAN identifier below; 0 when untagged.
  @inlinable public var vlanTCI: UInt16 { isTagged ? bytes.big16(14) : 0 }

  /// The VLAN identifier; 0 when untagged or priority-tagged.
  @inlinable public var vlanID: UInt16 { vlanTCI & 0xfff }

  /// Whether the frame has a tag that carries a priority only (VLAN identifier 0) and so belongs to the untagged binding.
  @inlinable public var isPriorityTagged: Bool { isTagged && vlanID == 0 }
}
