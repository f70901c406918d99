// Sightings: which source addresses a worker has just found known at the place they come from. Frames come in rows from
// the same stations: each station is looked up, and marked as seen, once a second and after every change of the table,
// not with every frame. Step E3.

import MACTable

/// A small lossy set of (source, place) pairs, each represented by 45 bits of a hash over secret multipliers, the second and the
/// table's change count. Two pairs with one index have room. Older pairs no longer match, so nothing is ever removed. If a pair
/// is mistaken for another, its source is not looked up until the second is over.
struct Sightings {
  private static let indexBits: UInt64 = 13
  /// The pairs with one index.
  fileprivate struct Row {
    var latest: UInt32 = 0
    var other: UInt32 = 0
  }

  private let rows: UnsafeMutablePointer<Row>
  private let keyMultiplier: UInt64
  private let placeMultiplier: UInt64
  private var salt: UInt64 = 0

  init(secrets: HashSecrets = HashSecrets()) {
    keyMultiplier = secrets.multiplier
    placeMultiplier = secrets.mask | 1
    rows = .allocate(capacity: 1 << Self.indexBits)
    rows.initialize(repeating: Row(), count: 1 << Self.indexBits)
  }

  func deallocate() {
    rows.deallocate()
  }

  /// Forgets all pairs.
  func forget() { rows.update(repeating: Row(), count: 1 << Self.indexBits) }

  /// Before each burst.
  @inline(always)
  mutating func begin(changeCount: UInt64, nowSeconds: UInt32) {
    salt = (changeCount &<< 32 ^ changeCount &>> 32 ^ UInt64(nowSeconds)) &* 0x9e37_79b9_7f4a_7c15
  }

  /// What the sources at one place are compared with.
  struct Place {
    fileprivate let rows: UnsafeMutablePointer<Row>
    fileprivate let keyMultiplier: UInt64
    fileprivate let sum: UInt64

    @inline(always)
    func contains(_ source: MACKey) -> Bool {
      let hash = Sightings.hash(source, sum, keyMultiplier)
      let row = rows + Sightings.index(hash)
      let word = Sightings.word(hash)
      return _fastPath(row.pointee.latest == word) || row.pointee.other == word
    }
  }

  @inline(always)
  func at(_ place: MACLocation) -> Place {
    Place(rows: rows, keyMultiplier: keyMultiplier, sum: UInt64(place.raw) &* placeMultiplier &+ salt)
  }

  @inline(always)
  func contains(_ source: MACKey, _ place: MACLocation) -> Bool { at(place).contains(source) }

  @inline(always)
  func insert(_ source: MACKey, _ place: MACLocation) {
    let hash = Self.hash(source, at(place).sum, keyMultiplier)
    let row = rows + Self.index(hash)
    // The one before keeps a place, so that two take turns without loss.
    row.pointee = Row(latest: Self.word(hash), other: row.pointee.latest)
  }

  /// Both halves of one product: for a set that may err, as good as the table's hash.
  @inline(always)
  fileprivate static func hash(_ source: MACKey, _ sum: UInt64, _ multiplier: UInt64) -> UInt64 {
    let product = (source.raw ^ sum).multipliedFullWidth(by: multiplier)
    return product.high ^ product.low
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
