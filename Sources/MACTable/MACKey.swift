// MACKey: the forwarding database's look-up key. Steps E3, E4, D4 and D5.

import Encap

/// A MAC address inside one bridge domain, as one 64-bit word: the domain index in the high 16 bits, the address in
/// the low 48.
@frozen public struct MACKey: Hashable, Sendable {
  public var raw: UInt64

  /// - Parameter domain: bridge-domain index, below the table's `domainCount`.
  @inlinable public init(domain: DomainIndex, mac: MACAddress) {
    raw = UInt64(domain.rawValue) << 48 | (mac.bits & 0xffff_ffff_ffff)
  }

  /// The key of another address in the domain of `other`, whose own address is zero.
  @inlinable @inline(__always) public init(in other: MACKey, mac: MACAddress) { raw = other.raw | mac.bits }

  @usableFromInline @inline(__always) init(raw: UInt64) { self.raw = raw }

  @inlinable public var domain: DomainIndex { DomainIndex(rawValue: UInt16(truncatingIfNeeded: raw >> 48)) }
  @inlinable public var mac: MACAddress { MACAddress(bits: raw & 0xffff_ffff_ffff) }

  /// Marks a free slot. No frame has this key: a table has at most 65535 domains, so the last index is never used.
  @inlinable static var freeSlot: UInt64 { 0xffff_ffff_ffff_ffff }
}
