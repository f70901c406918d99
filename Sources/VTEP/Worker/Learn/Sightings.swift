// Sightings: which source addresses a worker has just found known at the place they come from. Frames come in rows from
// the same stations: each station is looked up, and marked as seen, once a second and after every change of the table,
// not with every frame. Step E3.

import Glibc
import MACTable

/// A small lossy set of (source, place) pairs, each represented by 45 bits or more of a hash over secret multipliers, the second and the
/// table's change count. Two pairs with one index have room. Older pairs no longer match, so nothing is ever removed. If a pair
/// is mistaken for another, its source is not looked up until the second is over. The index depends on the source alone: a worker that
/// still waits for the source's VTEP fetches the row meanwhile.
///
/// With many stations all rows are in use. They do not stay near the processor, so they are asked in a later pass (`Worker.findPlaces`).
struct Sightings {
  /// Of a thousand stations one in two thousand shares one of so many rows with two others: they would take each other's place all the time.
  private static let rowBits = 15
  private static let manyRowBits = 18
  /// Of more stations than rows: the few that have just spoken.
  private static let vastRowBits = 13
  /// The pairs with one index.
  fileprivate struct Row {
    var latest: UInt32 = 0
    var other: UInt32 = 0
  }

  /// A row that nothing is entered in.
  private let nowhere: UnsafeMutablePointer<Row>
  private var rows: UnsafeMutablePointer<Row>
  /// Bits of a hash that are a row's offset in bytes.
  private var rowMask: UInt64
  /// There are many stations: their places in the table are found out before they are looked up.
  private(set) var isCrowded = false
  /// And not so many that these rows would not help.
  private(set) var isLarge = false
  private let keyMultiplier: UInt64
  private var salt: UInt64 = 0

  init(secrets: HashSecrets = HashSecrets()) {
    keyMultiplier = secrets.multiplier
    rows = Self.empty(1 << Self.manyRowBits)
    nowhere = Self.empty(1)
    rowMask = 0
  }

  func deallocate() {
    rows.deallocate()
    nowhere.deallocate()
  }

  /// Written at once: the kernel would provide each page at its first use, and keep a burst waiting for as many as it has frames. On a large
  /// page, if the kernel has one.
  private static func empty(_ count: Int) -> UnsafeMutablePointer<Row> {
    let byteCount = count * MemoryLayout<Row>.stride
    let largePage = 2 << 20
    let memory = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: byteCount >= largePage ? largePage : 64)
    if byteCount >= largePage { _ = madvise(memory, byteCount / largePage * largePage, MADV_HUGEPAGE) }
    return memory.initializeMemory(as: Row.self, repeating: Row(), count: count)
  }

  /// Forgets all pairs.
  func forget() {
    rows.update(repeating: Row(), count: 1 << Self.manyRowBits)
  }

  /// Before each burst.
  @inline(always)
  mutating func begin(changeCount: UInt64, nowSeconds: UInt32, isCrowded: Bool, isVast: Bool) {
    self.isCrowded = isCrowded
    isLarge = isCrowded && !isVast
    let rowBits = isLarge ? Self.manyRowBits : isCrowded ? Self.vastRowBits : Self.rowBits
    rowMask = UInt64(((1 << rowBits) - 1) * MemoryLayout<Row>.stride)
    salt = (changeCount &<< 32 ^ changeCount &>> 32 ^ UInt64(nowSeconds)) &* 0x9e37_79b9_7f4a_7c15
  }

  /// A source at a place.
  struct Pair {
    fileprivate let row: UnsafeMutablePointer<Row>
    fileprivate let word: UInt32

    @inline(always)
    var isPresent: Bool { _fastPath(row.pointee.latest == word) || row.pointee.other == word }
    /// What `isPresent` reads.
    var address: UnsafeRawPointer { UnsafeRawPointer(row) }
  }

  /// For packets from VTEPs, behind which there may be many stations: in a large set nothing is present, so that a later pass asks
  /// (`Worker.findPlaces`), once the rows are at hand. There is no other test for each packet.
  @inline(always)
  func deferred() -> Sightings {
    guard isLarge else { return self }
    var none = self
    none.rows = nowhere
    none.rowMask = 0
    return none
  }

  /// What the sources at one place are compared with.
  struct Place {
    fileprivate let rows: UnsafeMutablePointer<Row>
    fileprivate let rowMask: UInt64
    fileprivate let keyMultiplier: UInt64
    fileprivate let salt: UInt64
    /// Its `raw`.
    fileprivate let word: UInt32

    @inline(always)
    func pair(_ source: MACKey) -> Pair { pair(salted: source.raw ^ salt) }

    /// A source's octets (as in `MACKey`) combined with its domain's `Sightings.salted`.
    @inline(always)
    func pair(salted source: UInt64) -> Pair {
      let hash = Sightings.hash(source, keyMultiplier)
      return Pair(row: Sightings.row(hash, rows, rowMask), word: Sightings.word(hash) ^ word)
    }
  }

  @inline(always)
  func at(_ place: MACLocation) -> Place {
    Place(rows: rows, rowMask: rowMask, keyMultiplier: keyMultiplier, salt: salt, word: place.raw)
  }

  @inline(always)
  func contains(_ source: MACKey, _ place: MACLocation) -> Bool { at(place).pair(source).isPresent }

  @inline(always)
  func insert(_ source: MACKey, _ place: MACLocation) {
    let pair = at(place).pair(source)
    // The one before keeps a place, so that two take turns without loss.
    pair.row.pointee = Row(latest: pair.word, other: pair.row.pointee.latest)
  }

  /// A domain's word of a `MACKey`, for packets of one domain.
  @inline(always)
  func salted(_ domainWord: UInt64) -> UInt64 { domainWord ^ salt }

  /// Both halves of one product: for a set that may err, as good as the table's hash.
  @inline(always)
  fileprivate static func hash(_ saltedSource: UInt64, _ multiplier: UInt64) -> UInt64 {
    let product = saltedSource.multipliedFullWidth(by: multiplier)
    return product.high ^ product.low
  }

  @inline(always)
  fileprivate static func row(_ hash: UInt64, _ rows: UnsafeMutablePointer<Row>, _ mask: UInt64) -> UnsafeMutablePointer<Row> {
    let address = UnsafeMutableRawPointer(rows) + Int(truncatingIfNeeded: hash & mask)
    return address.assumingMemoryBound(to: Row.self)
  }

  @inline(always)
  fileprivate static func word(_ hash: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: hash &>> 32) }
}
