// A 48-bit Ethernet address, held as a number so that tables can use it as (part of) a key word.
// Read by the parse pass of every frame. IEEE 802-2014 clause 8.

/// An Ethernet (MAC) address.
@frozen
public struct MACAddress: Hashable, Sendable, Comparable {
  /// The address in the low 48 bits; the first octet on the wire is bits 47...40. The upper 16 bits are zero.
  public var bits: UInt64

  /// An address from its numeric value.
  /// - Parameter bits: the address in the low 48 bits; anything above is discarded.
  @inlinable @inline(__always)
  public init(bits: UInt64) {
    self.bits = bits & 0xffff_ffff_ffff
  }

  /// Loads the six octets at `offset`.
  /// - Precondition: `offset + 6 <= span.byteCount`, which the caller has checked; it is not checked again here.
  @inlinable @inline(__always)
  public init(loading span: RawSpan, at offset: Int) {
    bits = UInt64(span.big32(offset)) &<< 16 | UInt64(span.big16(offset &+ 4))
  }

  /// Writes the six octets at `offset`, in wire order.
  /// - Precondition: `offset + 6 <= span.byteCount`, which the caller has checked; it is not checked again here.
  @inlinable @inline(__always)
  public func store(into span: inout MutableRawSpan, at offset: Int) {
    span.storeBig32(UInt32(truncatingIfNeeded: bits &>> 16), at: offset)
    span.storeBig16(UInt16(truncatingIfNeeded: bits), at: offset &+ 4)
  }

  /// The six octets, in wire order.
  public var octets: [UInt8] { (0..<6).map { UInt8(truncatingIfNeeded: bits >> (40 - 8 * UInt64($0))) } }

  /// `ff:ff:ff:ff:ff:ff`.
  @inlinable public static var broadcast: MACAddress { MACAddress(bits: 0xffff_ffff_ffff) }

  /// `00:00:00:00:00:00`, which is no valid source or destination.
  @inlinable public static var zero: MACAddress { MACAddress(bits: 0) }

  /// The I/G bit: a group address, broadcast included.
  @inlinable public var isMulticast: Bool { bits & 0x0100_0000_0000 != 0 }

  /// All 48 bits set.
  @inlinable public var isBroadcast: Bool { bits == 0xffff_ffff_ffff }

  /// All 48 bits clear.
  @inlinable public var isZero: Bool { bits == 0 }

  /// `01:80:c2:00:00:00` ... `01:80:c2:00:00:0f`: STP, LACP, LLDP, 802.1X and PAUSE; a bridge never relays them
  /// (IEEE 802.1D-2004 7.12.6).
  @inlinable public var isLinkLocalControl: Bool { bits &>> 4 == 0x0180_c200_000 }

  /// Numeric order, which is the order of the octets on the wire.
  @inlinable
  public static func < (left: MACAddress, right: MACAddress) -> Bool {
    left.bits < right.bits
  }
}
