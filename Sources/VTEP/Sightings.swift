// Sightings: which source addresses a worker has just found known at the place they come from. Frames come in rows from
// the same stations: each station is looked up, and marked as seen, once a second and after every change of the table,
// not with every frame. Pass 2 of the walk from a VM to the wire.

import MACTable

/// A small lossy set of (source, place) pairs, each known by 32 bits of its hash, which depends on the table's secret, the
/// second and the table's change count: older pairs are no longer found, so nothing is ever removed. A pair mistaken for
/// another costs one look-up until the second is over.
struct Sightings {
  private static let capacity = 4096
  private let words: UnsafeMutablePointer<UInt32>
  private var salt: UInt64 = 0

  init() {
    words = .allocate(capacity: Self.capacity)
    words.initialize(repeating: 0, count: Self.capacity)
  }

  func deallocate() {
    words.deallocate()
  }

  /// Before each burst.
  @inline(always)
  mutating func begin(changeCount: UInt64, nowSeconds: UInt32) {
    salt = (changeCount &<< 32 ^ changeCount &>> 32 ^ UInt64(nowSeconds)) &* 0x9e37_79b9_7f4a_7c15
  }

  @inline(always)
  func contains(sourceHash: UInt64, _ place: MACLocation) -> Bool {
    words[Self.index(sourceHash)] == word(sourceHash, place)
  }

  @inline(always)
  func insert(sourceHash: UInt64, _ place: MACLocation) {
    words[Self.index(sourceHash)] = word(sourceHash, place)
  }

  @inline(always)
  private static func index(_ sourceHash: UInt64) -> Int {
    Int(truncatingIfNeeded: sourceHash) & (capacity - 1)
  }

  @inline(always)
  private func word(_ sourceHash: UInt64, _ place: MACLocation) -> UInt32 {
    UInt32(truncatingIfNeeded: ((sourceHash ^ salt) &+ UInt64(place.raw) &* 0xff51_afd7_ed55_8ccd) &>> 32)
  }
}
