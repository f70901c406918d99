// Sightings: which source addresses a worker has just found known at the place they come from. Frames come in rows from
// the same stations: each station is looked up, and marked as seen, once a second and after every change of the table,
// not with every frame. Step E3.

import MACTable

/// A small lossy set of (source, place) pairs, each represented by 44 bits of a hash over secret multipliers, the second and the
/// table's change count. Older pairs no longer match, so nothing is ever removed. If a pair is mistaken for another, its source
/// is not looked up until the second is over.
struct Sightings {
  private static let indexBits: UInt64 = 12
  private let words: UnsafeMutablePointer<UInt32>
  private let keyMultiplier: UInt64
  private let placeMultiplier: UInt64
  private var salt: UInt64 = 0

  init(secrets: HashSecrets = HashSecrets()) {
    keyMultiplier = secrets.multiplier
    placeMultiplier = secrets.mask | 1
    words = .allocate(capacity: 1 << Self.indexBits)
    words.initialize(repeating: 0, count: 1 << Self.indexBits)
  }

  func deallocate() {
    words.deallocate()
  }

  /// Before each burst.
  @inline(always)
  mutating func begin(changeCount: UInt64, nowSeconds: UInt32) {
    salt = (changeCount &<< 32 ^ changeCount &>> 32 ^ UInt64(nowSeconds)) &* 0x9e37_79b9_7f4a_7c15
  }

  /// What the sources at one place are compared with.
  struct Place {
    fileprivate let words: UnsafeMutablePointer<UInt32>
    fileprivate let keyMultiplier: UInt64
    fileprivate let sum: UInt64

    @inline(always)
    func contains(_ source: MACKey) -> Bool {
      let hash = source.raw &* keyMultiplier &+ sum
      return words[Sightings.index(hash)] == Sightings.word(hash)
    }
  }

  @inline(always)
  func at(_ place: MACLocation) -> Place {
    Place(words: words, keyMultiplier: keyMultiplier, sum: UInt64(place.raw) &* placeMultiplier &+ salt)
  }

  @inline(always)
  func contains(_ source: MACKey, _ place: MACLocation) -> Bool { at(place).contains(source) }

  @inline(always)
  func insert(_ source: MACKey, _ place: MACLocation) {
    // For a set that may err, the upper bits of products are as good as the table's hash.
    let hash = source.raw &* keyMultiplier &+ at(place).sum
    words[Self.index(hash)] = Self.word(hash)
  }

  @inline(always)
  fileprivate static func index(_ hash: UInt64) -> Int {
    Int(truncatingIfNeeded: hash &>> (64 - indexBits))
  }

  @inline(always)
  fileprivate static func word(_ hash: UInt64) -> UInt32 {
    UInt32(truncatingIfNeeded: hash &>> (32 - indexBits))
  }
}
