// MACTable: learning from traffic, and entries from the operator and the controller. Steps E3 and D4 end here, through the
// workers' event rings.

import Encap
import Synchronization

extension MACTable {
  /// The outcome of learning an address.
  public enum LearnOutcome: Equatable, Sendable {
    case added
    /// The address was known at another place.
    case moved
    /// The same, but too often: it is frozen at its first place.
    case frozen
    /// The same, but it is followed: a virtual router's address, or moves are only reported. Once per window.
    case movedTooOften(MACMove)
    /// The address is frozen at another place.
    case refusedFrozen
    /// The address was known at this place.
    case refreshed
    /// A static or controller entry places the address elsewhere.
    case refusedByPrecedence
    /// The domain has reached its limit of learned entries.
    case refusedByLimit
    /// The table is full of static and controller entries.
    case refusedFull
    /// Added, after evicting a learned entry.
    case evictedOther
  }

  /// Learns that frames come from an address at a place. Readers know at once.
  ///
  /// - Precondition: domain and location are within the table's index spaces.
  public func learn(_ key: MACKey, at location: MACLocation, nowSeconds: UInt32) -> LearnOutcome {
    checkIndex(domain: key.domain)
    _ = ownerIndex(location)
    if let slot = find(key) {
      if isGhost(slot) {
        release(slot, wasGhost: true)
      } else {
        return relearn(slot, key, at: location, nowSeconds: nowSeconds)
      }
    }
    let policy = memory.policies[Int(key.domain)]
    if policy.limit > 0, memory.domainCounts[Int(key.domain) * 2] >= policy.limit {
      memory.policies[Int(key.domain)].refusedByLimit += 1
      return .refusedByLimit
    }
    let value = makeValue(key, location, .learned, moves: 0)
    switch insert(key, value, nowSeconds: nowSeconds) {
    case .added:
      events.append(.learned, key, to: location)
      return .added
    case .addedAfterEviction:
      events.append(.learned, key, to: location)
      return .evictedOther
    case .full: return .refusedFull
    }
  }

  private func relearn(
    _ slot: UInt32, _ key: MACKey, at location: MACLocation, nowSeconds: UInt32
  ) -> LearnOutcome {
    let old = value(slot)
    if old.location == location {
      memory.lastSeen[Int(slot)].store(nowSeconds, ordering: .relaxed)
      return .refreshed
    }
    if old.type != .learned { return .refusedByPrecedence }
    if old.isFrozen { return .refusedFrozen }
    moves &+= 1
    leave(old.location, key)
    events.append(.moved, key, from: old.location, to: location)
    replace(slot, with: makeValue(key, location, .learned, moves: old.moves.oneMore))
    memory.lastSeen[Int(slot)].store(nowSeconds, ordering: .relaxed)
    return noteMove(slot, from: old.location, to: location, nowSeconds: nowSeconds)
  }

  /// Adds or changes a static or controller entry; it replaces a learned one.
  ///
  /// - Parameter type: `.static` or `.controller`; a controller entry does not replace a static one.
  /// - Throws: `MACTableError` with code `learnedNotConfigurable`, `indexOutOfRange`, `outranked` or `tableFull`.
  public func setStatic(_ key: MACKey, at location: MACLocation, type: MACEntryType) throws(MACTableError) {
    guard type != .learned else { throw error(key, .learnedNotConfigurable) }
    guard Int(key.domain) < domainCount, isInRange(location) else { throw error(key, .indexOutOfRange) }
    if let slot = find(key) {
      if isGhost(slot) {
        release(slot, wasGhost: true)
      } else {
        let old = value(slot)
        if old.type == .static, type == .controller { throw error(key, .outranked) }
        let isMove = old.location != location
        if isMove {
          moves &+= 1
          leave(old.location, key)
        }
        if isMove || old.type != type {
          events.append(.placed, key, from: old.location, to: location, type: type)
        }
        replace(slot, with: makeValue(key, location, type, moves: isMove ? old.moves.oneMore : old.moves))
        return
      }
    }
    // No frame was seen, and there is no clock here: candidates for eviction are judged by their order alone.
    if insert(key, makeValue(key, location, type, moves: 0), nowSeconds: 0) == .full {
      throw error(key, .tableFull)
    }
    events.append(.placed, key, from: location, to: location, type: type)
  }

  /// Removes an entry of any type. False when there is none.
  @discardableResult public func remove(_ key: MACKey) -> Bool {
    guard let slot = find(key) else { return false }
    let wasGhost = isGhost(slot)
    if !wasGhost { events.append(.removed, key, from: value(slot).location, type: value(slot).type) }
    release(slot, wasGhost: wasGhost)
    return !wasGhost
  }

  /// An entry is about to have another place.
  private func leave(_ place: MACLocation, _ key: MACKey) {
    trail.record(key, hash: reader.hash(key), PastPlace(place: place, endSeconds: nowOnTheClock, sequence: events.next))
  }

  /// Seconds since 1970, as events have them.
  var nowOnTheClock: UInt32 { UInt32(truncatingIfNeeded: events.milliseconds / 1000) }

  func makeValue(_ key: MACKey, _ location: MACLocation, _ type: MACEntryType, moves: UInt8) -> MACValue {
    let value = MACValue(location: location, type: type, moves: moves)
    return value.ofGeneration(reader.generation(key, value))
  }

  private func error(_ key: MACKey, _ code: MACTableError.Code) -> MACTableError {
    MACTableError(.setStatic, subject: "\(key.mac) in domain \(key.domain)", code: code)
  }
}

extension UInt8 {
  /// Saturating increment.
  fileprivate var oneMore: UInt8 { self == .max ? .max : self + 1 }
}
