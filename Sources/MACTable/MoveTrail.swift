// MoveTrail: where addresses were before, for `vtepctl explain`. `MoveHistory` counts moves within a window, to find addresses that keep
// moving, and forgets them then; this one keeps the latest moves of an address whatever became of them.

/// A place that an address has left.
public struct PastPlace: Equatable, Sendable {
  public var place: MACLocation
  /// When it left, in seconds since 1970.
  public var endSeconds: UInt32
  /// The sequence number of the event: tells which port or VTEP the index stood for then.
  public var sequence: UInt64
}

/// The latest moves of as many addresses as there is room for: the table's secret hash selects a bucket of records, and in a full bucket
/// the address that has not moved for longest is replaced. For the table's writer.
struct MoveTrail {
  private struct Record {
    var key = MACKey(raw: MACKey.freeSlot)
    var latestSequence: UInt64 = 0
    /// Moves since the record began.
    var count = 0
  }

  /// Moves that are kept of an address.
  static let depth = 16
  private static let ways = 8
  private static let maximumRecords = 8192

  private var records: [Record]
  /// `depth` for each record, a ring.
  private var places: [PastPlace]

  /// - Parameter capacity: of the table.
  init(capacity: Int) {
    let count = min(max(capacity / 8, 64), Self.maximumRecords) / Self.ways * Self.ways
    records = Array(repeating: Record(), count: count)
    places = Array(
      repeating: PastPlace(place: MACLocation(raw: 0), endSeconds: 0, sequence: 0), count: count * Self.depth)
  }

  mutating func record(_ key: MACKey, hash: UInt64, _ place: PastPlace) {
    let bucket = bucket(hash)
    var index = bucket
    for candidate in bucket..<bucket + Self.ways {
      if records[candidate].key == key {
        index = candidate
        break
      }
      if records[candidate].latestSequence < records[index].latestSequence { index = candidate }
    }
    if records[index].key != key { records[index] = Record(key: key) }
    places[index * Self.depth + records[index].count % Self.depth] = place
    records[index].count += 1
    records[index].latestSequence = place.sequence
  }

  /// The latest first.
  func places(of key: MACKey, hash: UInt64) -> [PastPlace] {
    let bucket = bucket(hash)
    guard let index = (bucket..<bucket + Self.ways).first(where: { records[$0].key == key }) else { return [] }
    let count = records[index].count
    return (1...min(max(count, 1), Self.depth)).compactMap { back in
      count >= back ? places[index * Self.depth + (count - back) % Self.depth] : nil
    }
  }

  /// A domain's index is about to be another's.
  mutating func forget(domain: DomainIndex) {
    for index in records.indices where records[index].key.domain == domain { records[index] = Record() }
  }

  private func bucket(_ hash: UInt64) -> Int { Int(truncatingIfNeeded: hash % UInt64(records.count / Self.ways)) * Self.ways }
}
