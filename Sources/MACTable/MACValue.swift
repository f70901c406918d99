// MACValue: all that a worker reads of an entry, in one 64-bit word, so that an entry is always seen whole.

/// Bits 0-28 location, 29-30 type, 31-38 moves, 39-43 slot version, 44-63 generation.
///
/// The slot version changes with every key that the slot holds, so that a reader notices a slot that changed hands
/// while it looked. The generation is compared with those of the entry's domain and owner: see `MACTable+Flush.swift`.
@frozen @usableFromInline struct MACValue: Equatable, Sendable {
  @usableFromInline var raw: UInt64

  @usableFromInline @inline(__always) init(raw: UInt64) { self.raw = raw }

  init(location: MACLocation, type: MACEntryType, moves: UInt8, generation: UInt32) {
    raw =
      UInt64(location.raw) | UInt64(type.rawValue) << Self.typeShift | UInt64(moves) << Self.movesShift
      | UInt64(generation) << Self.generationShift
  }

  @usableFromInline static let typeShift: UInt64 = 29
  static let movesShift: UInt64 = 31
  static let versionShift: UInt64 = 39
  @usableFromInline static let generationShift: UInt64 = 44
  static let versionMask: UInt64 = 0x1f << versionShift
  /// Generations are compared modulo this.
  static let generationCount: UInt32 = 1 << 20

  @usableFromInline @inline(__always) var location: MACLocation {
    MACLocation(raw: UInt32(truncatingIfNeeded: raw) & 0x1fff_ffff)
  }
  @usableFromInline @inline(__always) var type: MACEntryType { MACEntryType(bits: raw >> Self.typeShift) }
  /// 0 for a learned entry, 1 for a configured one (static or controller).
  @usableFromInline @inline(__always) var entryClass: Int { Int(truncatingIfNeeded: raw >> Self.typeShift) & 1 }
  @usableFromInline @inline(__always) var moves: UInt8 { UInt8(truncatingIfNeeded: raw >> 31) }

  /// Whether the entry was made in this generation (modulo 2^20).
  @usableFromInline @inline(__always) func isOfGeneration(_ generation: UInt32) -> Bool {
    (UInt32(truncatingIfNeeded: raw >> Self.generationShift) &- generation) << 12 == 0
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
