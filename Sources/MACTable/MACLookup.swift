// MACLookup: the result of a worker's look-up in the forwarding database.

/// What a look-up found. Plain data; a copy of the entry.
@frozen public struct MACLookup: Sendable {
  @frozen @usableFromInline enum Status: UInt8, Sendable {
    case miss, hit
    /// The entry changed during the read; look it up again.
    case torn
  }

  @usableFromInline let status: Status
  /// Slot number, for `MACTableReader.touch`. This and all following fields are only valid on a hit.
  public let slot: UInt32
  @usableFromInline let value: MACValue

  @usableFromInline @inline(__always) init(_ status: Status, slot: UInt32 = 0, value: MACValue = MACValue(raw: 0)) {
    self.status = status
    self.slot = slot
    self.value = value
  }

  /// For a caller without anything to look up.
  @inlinable @inline(__always) public static var miss: MACLookup { MACLookup(.miss) }

  @inlinable @inline(__always) public var isHit: Bool { status == .hit }
  @inlinable @inline(__always) public var location: MACLocation { value.location }
  @inlinable @inline(__always) public var type: MACEntryType { value.type }
  /// Moves since the entry was added; 255 means 255 or more.
  public var moves: UInt8 { value.moves }
  /// Learned, moved too often, and frozen for a while (`MACTable.configureMoveGuard`).
  @inlinable @inline(__always) public var isFrozen: Bool { value.isFrozen }
  /// Frozen at another place than the one a frame came from.
  @inlinable @inline(__always) public func isFrozen(elsewhereThan seenAt: MACLocation) -> Bool {
    isHit && isFrozen && location != seenAt
  }
  /// Learning does not move the entry: it is configured or frozen.
  @inlinable @inline(__always) public var isPinned: Bool { value.type != .learned || value.isFrozen }
}
