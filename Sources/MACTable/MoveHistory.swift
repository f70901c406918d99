// MoveHistory: which addresses moved recently, and between which places: this distinguishes a migrating station from an address
// claimed in two places. Only the table's writer uses it.

/// The latest moves of addresses, for as many addresses as there is room for.
///
/// A small associative memory: the table's secret hash selects an address's bucket of records. In a full bucket, the address with
/// the fewest moves is replaced. So many addresses that move once do not displace one that moves all the time, and no search or
/// clean-up is ever needed.
struct MoveHistory {
  /// Two places that claim an address.
  struct Claim: Equatable {
    /// Its first place.
    var first: MACLocation
    var second: MACLocation
    /// Moves within the window.
    var moves: Int
  }

  private struct Move {
    var seconds: UInt32
    var from: MACLocation
  }

  private struct Record {
    var key = MACKey(raw: MACKey.freeSlot)
    var latestSeconds: UInt32 = 0
    var latestPlace = MACLocation(raw: 0)
    /// Moves noted, the oldest first.
    var count = 0
    /// When a claim was last returned without clearing the history.
    var claimedSeconds: UInt32?
  }

  /// Moves that are allowed within the window.
  let limit: Int
  let windowSeconds: UInt32
  private var records: [Record]
  /// `limit + 1` for each record.
  private var moves: [Move]

  private static let ways = 8
  /// Addresses with recorded moves: one in eight, and no more than this.
  private static let maximumRecords = 8192

  /// - Parameter capacity: of the table.
  init(limit: Int, windowSeconds: UInt32, capacity: Int) {
    self.limit = limit
    self.windowSeconds = windowSeconds
    let count = min(max(capacity / 8, 64), Self.maximumRecords) / Self.ways * Self.ways
    records = Array(repeating: Record(), count: count)
    moves = Array(repeating: Move(seconds: 0, from: MACLocation(raw: 0)), count: count * (limit + 1))
  }

  /// Records a move.
  ///
  /// - Parameter hash: the table's, of `key`.
  /// - Parameter goesOn: the address keeps moving: a claim is returned once per window, and the history stays.
  /// - Returns: the claim, if there were more moves than allowed; unless `goesOn`, the address's history is then forgotten.
  mutating func record(
    _ key: MACKey, hash: UInt64, from: MACLocation, to: MACLocation, nowSeconds: UInt32, goesOn: Bool = false
  ) -> Claim? {
    let index = place(for: key, hash: hash, nowSeconds: nowSeconds)
    if records[index].key != key { records[index] = Record(key: key) }
    forgetOldMoves(index, nowSeconds: nowSeconds)
    let start = index * (limit + 1)
    if records[index].count > limit { forgetMoves(index, count: 1) }
    moves[start + records[index].count] = Move(seconds: nowSeconds, from: from)
    records[index].count += 1
    records[index].latestSeconds = nowSeconds
    records[index].latestPlace = to
    guard records[index].count > limit else { return nil }
    if goesOn {
      if let claimed = records[index].claimedSeconds, age(claimed, nowSeconds) <= windowSeconds { return nil }
      records[index].claimedSeconds = nowSeconds
      return claim(index)
    }
    defer { records[index] = Record() }
    return claim(index)
  }

  /// Of the two places of the latest move, the first is the one where the address was earlier in the window. A place that it left
  /// for good, in a genuine move before the conflict began, is neither.
  private func claim(_ index: Int) -> Claim {
    let record = records[index]
    let origins = moves[index * (limit + 1)..<index * (limit + 1) + record.count]
    let to = record.latestPlace
    let from = origins.last?.from ?? to
    let earliest = origins.first { $0.from == from || $0.from == to }?.from ?? from
    return Claim(first: earliest, second: earliest == from ? to : from, moves: record.count)
  }

  private mutating func forgetOldMoves(_ index: Int, nowSeconds: UInt32) {
    let start = index * (limit + 1)
    var old = 0
    while old < records[index].count, age(moves[start + old].seconds, nowSeconds) > windowSeconds { old += 1 }
    if old > 0 { forgetMoves(index, count: old) }
  }

  /// Forgets the oldest moves of an address.
  private mutating func forgetMoves(_ index: Int, count: Int) {
    let start = index * (limit + 1)
    for position in count..<records[index].count { moves[start + position - count] = moves[start + position] }
    records[index].count -= count
  }

  /// The record of an address, or the one that it may take.
  private func place(for key: MACKey, hash: UInt64, nowSeconds: UInt32) -> Int {
    let bucket = Int(truncatingIfNeeded: hash % UInt64(records.count / Self.ways)) * Self.ways
    var victim = bucket
    for index in bucket..<bucket + Self.ways {
      if records[index].key == key { return index }
      if weight(index, nowSeconds) < weight(victim, nowSeconds) { victim = index }
    }
    return victim
  }

  /// The value of a record: more moves first, then newer ones.
  private func weight(_ index: Int, _ nowSeconds: UInt32) -> Int {
    let record = records[index]
    guard record.key.raw != MACKey.freeSlot, age(record.latestSeconds, nowSeconds) <= windowSeconds else { return 0 }
    return (record.count << 32) + Int(UInt32.max - age(record.latestSeconds, nowSeconds))
  }

  private func age(_ seconds: UInt32, _ nowSeconds: UInt32) -> UInt32 {
    UInt32(max(Int32(truncatingIfNeeded: nowSeconds &- seconds), 0))
  }

  /// Forgets the addresses for which `isGone` returns true, given the address and its places.
  mutating func forget(where isGone: (MACKey, MACLocation) -> Bool) {
    for index in records.indices where records[index].count > 0 {
      let record = records[index]
      let places = moves[index * (limit + 1)..<index * (limit + 1) + record.count].map(\.from) + [record.latestPlace]
      if places.contains(where: { isGone(record.key, $0) }) { records[index] = Record() }
    }
  }

  /// Addresses that moved within the window, with their latest move.
  func recent(nowSeconds: UInt32) -> [(key: MACKey, claim: Claim)] {
    records.indices.compactMap { index in
      let record = records[index]
      guard record.count > 0, age(record.latestSeconds, nowSeconds) <= windowSeconds else { return nil }
      let origins = moves[index * (limit + 1)..<index * (limit + 1) + record.count]
      let recent = origins.count { age($0.seconds, nowSeconds) <= windowSeconds }
      guard let latest = origins.last else { return nil }
      return (record.key, Claim(first: latest.from, second: record.latestPlace, moves: recent))
    }
  }

  /// The same with all their moves.
  func movesWithinWindow(nowSeconds: UInt32) -> [MACMoveRecord] {
    records.indices.compactMap { index in
      let record = records[index]
      let moves = moves[index * (limit + 1)..<index * (limit + 1) + record.count]
      let recent = moves.filter { age($0.seconds, nowSeconds) <= windowSeconds }
      guard !recent.isEmpty else { return nil }
      return MACMoveRecord(
        key: record.key, moves: recent.map { MACMoveRecord.Move(seconds: $0.seconds, from: $0.from) }, place: record.latestPlace)
    }
  }
}
