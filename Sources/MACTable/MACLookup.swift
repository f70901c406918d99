// MACLookup: a worker's answer from the forwarding database.

/// What a lookup found. Plain data; a copy of the entry as it was.
@frozen public struct MACLookup: Sendable {
  @usableFromInline let value: MACValue
  /// Slot number, for `MACTableReader.touch`; meaningless on a miss.
  public let slot: UInt32

  @usableFromInline @inline(__always) init(value: MACValue, slot: UInt32) {
    self.value = value
    self.slot = slot
  }

  @inlinable public static var miss: MACLookup { MACLookup(value: MACValue(raw: 0), slot: noSlot) }
  /// The entry changed under the reader's eyes; it must look again.
  @usableFromInline static var torn: MACLookup { MACLookup(value: MACValue(raw: 0), slot: tornSlot) }

  @usableFromInline static let noSlot = UInt32.max
  @usableFromInline static let tornSlot = UInt32.max - 1

  @inlinable public var isHit: Bool { slot < MACLookup.tornSlot }
  /// Meaningful on a hit only, as is `type`.
  @inlinable public var location: MACLocation { value.location }
  @inlinable public var type: MACEntryType { value.type }
}
