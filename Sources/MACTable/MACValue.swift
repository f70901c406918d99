// MACValue: all that a worker reads of an entry, in one 64-bit word, so that an entry is always seen whole.

/// Bit 0 entry class (1: configured), bits 1-29 location, bit 30 controller or (when learned) frozen, 31-38 moves, 39-43 slot version, 44-63
/// generation.
///
/// The slot version changes with every key that the slot holds, so that a reader notices a slot that changed hands
/// while it looked. The generation is compared with those of the entry's domain and owner: see `MACTable+Flush.swift`.
/// The class and the location's low bits are where they are because together they index the owners' generations.
@frozen @usableFromInline struct MACValue: Equatable, Sendable {
  @usableFromInline var raw: UInt64

  @usableFromInline @inline(__always) init(raw: UInt64) { self.raw = raw }

  init(location: MACLocation, type: MACEntryType, moves: UInt8) {
    raw =
      UInt64(type.entryClass) | UInt64(location.raw) << 1 | (type == .controller ? Self.controllerBit : 0)
      | UInt64(moves) << Self.movesShift
  }

  @inlinable static var controllerBit: UInt64 { 1 << 30 }
  @inlinable static var frozenBit: UInt64 { 1 << 30 }
  static let movesShift: UInt64 = 31
  static let versionShift: UInt64 = 39
  static let versionMask: UInt64 = 0x1f << versionShift
  @inlinable static var generationShift: UInt64 { 44 }
  /// Generations are kept modulo this.
  static let generationCount: UInt32 = 1 << 20

  @usableFromInline @inline(__always) var location: MACLocation {
    MACLocation(raw: UInt32(truncatingIfNeeded: raw >> 1) & 0x1fff_ffff)
  }
  @usableFromInline @inline(__always) var type: MACEntryType {
    if raw & 1 == 0 { return .learned }
    return raw & Self.controllerBit == 0 ? .static : .controller
  }
  /// Learned, and held where it is.
  @usableFromInline @inline(__always) var isFrozen: Bool { raw & (Self.frozenBit | 1) == Self.frozenBit }
  /// 0 for a learned entry, 1 for a configured one (static or controller).
  @usableFromInline @inline(__always) var entryClass: Int { Int(truncatingIfNeeded: raw & 1) }
  /// Owner index (16 bits), VTEP bit, class bit: the owner's place among the owners' generations.
  @usableFromInline @inline(__always) var ownerGenerationIndex: Int { Int(truncatingIfNeeded: raw & 0x3_ffff) }
  var moves: UInt8 { UInt8(truncatingIfNeeded: raw >> Self.movesShift) }

  /// Whether the entry was made in this generation (modulo 2^20).
  @usableFromInline @inline(__always) func isOfGeneration(_ generation: UInt32) -> Bool {
    (UInt32(truncatingIfNeeded: raw >> Self.generationShift) &- generation) << 12 == 0
  }

  /// The same (learned) entry, held where it is.
  var frozen: MACValue { MACValue(raw: raw | Self.frozenBit) }

  /// The same entry, made in another generation.
  func ofGeneration(_ generation: UInt32) -> MACValue {
    let below = raw & (1 << Self.generationShift - 1)
    return MACValue(raw: below | UInt64(generation) << Self.generationShift)
  }

  /// The same entry with the version of the slot that holds `previous`, for a change in place.
  func keepingVersion(of previous: MACValue) -> MACValue {
    MACValue(raw: raw & ~Self.versionMask | previous.raw & Self.versionMask)
  }

  /// The same entry with the version that follows `previous`, for a slot that gets another key.
  func followingVersion(of previous: MACValue) -> MACValue {
    let next = (previous.raw &+ 1 << Self.versionShift) & Self.versionMask
    return MACValue(raw: raw & ~Self.versionMask | next)
  }
}
