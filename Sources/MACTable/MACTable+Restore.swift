// MACTable: what an earlier run of the daemon knew, entered again before the first frame is forwarded. Nothing is learned here: what stands in
// the table already wins, and no entry makes another one go (docs/decisions/0042).

import Synchronization

/// The moves of an address within the window.
public struct MACMoveRecord: Equatable, Sendable {
  public struct Move: Equatable, Sendable {
    /// On the caller's clock.
    public var seconds: UInt32
    public var from: MACLocation

    public init(seconds: UInt32, from: MACLocation) {
      self.seconds = seconds
      self.from = from
    }
  }

  public var key: MACKey
  /// The oldest first.
  public var moves: [Move]
  /// Where the latest one led.
  public var place: MACLocation

  public init(key: MACKey, moves: [Move], place: MACLocation) {
    self.key = key
    self.moves = moves
    self.place = place
  }
}

extension MACTable {
  /// What became of an entry.
  public enum RestoreOutcome: Equatable, Sendable {
    case restored
    /// It was not seen for its domain's age.
    case expired
    /// The table has the address.
    case known
    /// The domain is at its limit, or the table is full.
    case noRoom
  }

  /// Enters an address that was learned earlier, as it was. Readers know at once.
  ///
  /// - Parameter since: when it came to its place, in seconds since 1970; 0: not known.
  /// - Precondition: domain and location are within the table's index spaces.
  public func restore(
    _ key: MACKey, at location: MACLocation, moves: UInt8, lastSeenSeconds: UInt32, since: UInt32 = 0, nowSeconds: UInt32
  ) -> RestoreOutcome {
    checkIndex(domain: key.domain)
    _ = ownerIndex(location)
    if let slot = find(key) {
      guard isGhost(slot) else { return .known }
      release(slot, wasGhost: true)
    }
    let policy = memory.policies[Int(key.domain)]
    let idle = Int32(truncatingIfNeeded: nowSeconds &- lastSeenSeconds)
    if policy.ageSeconds > 0, Int(idle) >= Int(policy.ageSeconds) { return .expired }
    if policy.limit > 0, memory.domainCounts[Int(key.domain) * 2] >= policy.limit { return .noRoom }
    guard usedCount < capacity, let slot = makeFreeSlot(reader.hash(key)) else { return .noRoom }
    occupy(slot, key, makeValue(key, location, .learned, moves: moves), lastSeenSeconds: lastSeenSeconds, since: since)
    return .restored
  }

  /// Freezes an address again, for what is left of its time.
  ///
  /// - Parameter move: frozen since a time on the caller's clock.
  /// - Returns: false: its entry is not at `first`, or addresses are no longer frozen here.
  public func restoreFrozen(_ move: MACMove) -> Bool {
    guard let slot = find(move.key), !isGhost(slot), moveHistory != nil, move.frozenSinceSeconds != nil, frozen.count < Self.frozenLimit,
      value(slot).type == .learned, value(slot).location == move.first, freezes(move.key)
    else { return false }
    replace(slot, with: makeValue(move.key, move.first, .learned, moves: value(slot).moves).frozen)
    frozen[move.key] = move
    return true
  }

  /// The moves of addresses within the window, without those that are frozen.
  public func moveRecords(nowSeconds: UInt32) -> [MACMoveRecord] { moveHistory?.movesWithinWindow(nowSeconds: nowSeconds) ?? [] }

  /// Notes earlier moves. They freeze nothing: the next one may.
  public func restoreMoves(_ record: MACMoveRecord) {
    let hash = reader.hash(record.key)
    for (index, move) in record.moves.enumerated() {
      let place = index + 1 < record.moves.count ? record.moves[index + 1].from : record.place
      _ = moveHistory?.record(record.key, hash: hash, from: move.from, to: place, nowSeconds: move.seconds, goesOn: true)
    }
  }

  /// Continues the counts of an earlier run.
  public func continueCounts(inserts: UInt64, moves: UInt64, evictions: UInt64) {
    self.inserts &+= inserts
    self.moves &+= moves
    self.evictions &+= evictions
  }

  /// The same of a domain's refusals (`refusedByLimit`).
  public func continueRefusals(domain: DomainIndex, _ count: UInt64) {
    checkIndex(domain: domain)
    memory.policies[Int(domain)].refusedByLimit &+= count
  }
}
