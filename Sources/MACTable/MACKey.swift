// MACKey: the forwarding database's look-up key. Steps E3, E4, D4 and D5.

import Encap

/// A MAC address inside one bridge domain, as one 64-bit word: the domain index in the low 16 bits, above them the six octets of the
/// address, the last one highest. So a worker shifts the octets that it loads from a frame, and nothing else.
@frozen public struct MACKey: Hashable, Sendable {
  public var raw: UInt64

  /// - Parameter domain: bridge-domain index, below the table's `domainCount`.
  @inlinable public init(domain: DomainIndex, mac: MACAddress) {
    raw = mac.bits.byteSwapped | UInt64(domain.rawValue)
  }

  /// - Parameter octets: the address, as `WireEthernetHeader` has it.
  @inlinable @inline(__always) public init(domain: DomainIndex, octets: UInt64) { raw = octets | UInt64(domain.rawValue) }

  /// The same with the domain's index in a word, as a loop over a burst keeps it.
  @inlinable @inline(__always) public init(domainWord: UInt64, octets: UInt64) { raw = octets | domainWord }

  @usableFromInline @inline(__always) init(raw: UInt64) { self.raw = raw }

  @inlinable public var domain: DomainIndex { DomainIndex(rawValue: UInt16(truncatingIfNeeded: raw)) }
  @inlinable public var mac: MACAddress { MACAddress(bits: raw.byteSwapped) }

  /// For lists: by domain, then by address.
  static func isOrdered(_ left: MACKey, _ right: MACKey) -> Bool { (left.domain, left.mac) < (right.domain, right.mac) }

  /// Marks a free slot. No frame has this key: a table has at most 65535 domains, so the last index is never used.
  @inlinable static var freeSlot: UInt64 { 0xffff_ffff_ffff_ffff }
}
