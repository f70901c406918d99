// MACTableModel: the expected behaviour of the table, written with dictionaries and without regard for speed, for comparison.

import Encap
import MACTable

struct MACTableModel {
  struct Entry: Equatable {
    var location: MACLocation
    var type: MACEntryType
    var moves: UInt8
    var lastSeenSeconds: UInt32
  }

  var entries: [MACKey: Entry] = [:]
  var ageSeconds: [DomainIndex: UInt32] = [:]
  var limits: [DomainIndex: UInt32] = [:]
  var refused: [DomainIndex: UInt64] = [:]

  func learnedCount(domain: DomainIndex) -> Int {
    entries.count { $0.key.domain == domain && $0.value.type == .learned }
  }

  func learnedCount(at owner: MACLocation) -> Int {
    entries.count { isAt(owner, $0.value.location) && $0.value.type == .learned }
  }

  func count(at owner: MACLocation) -> Int { entries.count { isAt(owner, $0.value.location) } }

  func domains(at owner: MACLocation) -> Set<DomainIndex> {
    Set(entries.filter { isAt(owner, $0.value.location) }.map(\.key.domain))
  }

  func count(domain: DomainIndex) -> Int { entries.count { $0.key.domain == domain } }

  /// The outcome in a table with free space.
  mutating func learn(_ key: MACKey, at location: MACLocation, nowSeconds: UInt32) -> MACTable.LearnOutcome {
    if var entry = entries[key] {
      if entry.location == location {
        entries[key]?.lastSeenSeconds = nowSeconds
        return .refreshed
      }
      if entry.type != .learned { return .refusedByPrecedence }
      entry.location = location
      entry.moves = entry.moves == 255 ? 255 : entry.moves + 1
      entry.lastSeenSeconds = nowSeconds
      entries[key] = entry
      return .moved
    }
    if let limit = limits[key.domain], limit > 0, learnedCount(domain: key.domain) >= limit {
      refused[key.domain, default: 0] += 1
      return .refusedByLimit
    }
    entries[key] = Entry(location: location, type: .learned, moves: 0, lastSeenSeconds: nowSeconds)
    return .added
  }

  mutating func setStatic(_ key: MACKey, at location: MACLocation, type: MACEntryType) -> MACTableError.Code? {
    guard var entry = entries[key] else {
      entries[key] = Entry(location: location, type: type, moves: 0, lastSeenSeconds: 0)
      return nil
    }
    if entry.type == .static, type == .controller { return .outranked }
    if entry.location != location { entry.moves = entry.moves == 255 ? 255 : entry.moves + 1 }
    entry.location = location
    entry.type = type
    entries[key] = entry
    return nil
  }

  mutating func remove(where isRemoved: (MACKey, Entry) -> Bool) {
    entries = entries.filter { !isRemoved($0.key, $0.value) }
  }

  mutating func age(nowSeconds: UInt32) {
    let ages = ageSeconds
    remove { key, entry in
      let age = ages[key.domain] ?? 0
      return entry.type == .learned && age > 0 && nowSeconds - entry.lastSeenSeconds >= age
    }
  }

  func isAt(_ owner: MACLocation, _ location: MACLocation) -> Bool {
    location.isVTEP == owner.isVTEP && (location.isVTEP ? location.vtep == owner.vtep : location.port == owner.port)
  }
}
