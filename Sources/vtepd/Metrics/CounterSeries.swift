// CounterSeries: counters of many objects as Prometheus wants them: they never go back, and only so many have a series of their own.

/// Counters by object, from one scrape to the next.
///
/// What an object counted before it was removed and made again stays in its series. Objects beyond the busiest share one series, to which each
/// adds what it counts meanwhile; its own series goes on, without that, when it becomes one of the busiest. So no series ever decreases, and
/// the sum of all is what was counted.
struct CounterSeries<Key: Hashable & Comparable & Sendable>: Sendable {
  private struct Entry: Sendable {
    /// As reported last.
    var last: [UInt64]
    /// The value of its own series.
    var own: [UInt64]
    /// What it has counted lately: halved with each scrape.
    var activity: UInt64
    var isPresent = true
  }

  /// Objects that are gone are remembered up to this number of entries.
  static var entryLimit: Int { 1 << 17 }

  private let width: Int
  private var entries: [Key: Entry] = [:]
  /// The value of the series that the others share.
  private(set) var others: [UInt64]
  /// Of the last scrape, in ascending order.
  private(set) var busiest: [Key] = []

  /// - Parameter width: counters per object. The first two are those that an object's activity is judged by.
  init(width: Int) {
    self.width = width
    others = Array(repeating: 0, count: width)
  }

  /// All series after a scrape, with their labels.
  ///
  /// - Parameter hasOthers: more objects than have series of their own.
  func series(hasOthers: Bool) -> [(labels: [String], values: [UInt64])] {
    busiest.map { (["\($0)"], own($0)) } + (hasOthers ? [(["other"], others)] : [])
  }

  /// The value of an object's own series.
  func own(_ key: Key) -> [UInt64] { entries[key]?.own ?? Array(repeating: 0, count: width) }

  /// Takes a scrape's reports.
  ///
  /// - Parameters:
  ///   - reports: all objects that exist, with their counters. A counter that is less than in the last report has started anew.
  ///   - limit: how many have a series of their own.
  mutating func update(_ reports: [(key: Key, counters: [UInt64])], limit: Int = .max) {
    var grown: [(key: Key, growth: [UInt64])] = []
    grown.reserveCapacity(reports.count)
    for key in entries.keys { entries[key]?.isPresent = false }
    let zero = [UInt64](repeating: 0, count: width)
    for (key, counters) in reports {
      var entry = entries[key] ?? Entry(last: zero, own: zero, activity: 0)
      let isNew = zip(counters, entry.last).contains { $0 < $1 }
      let growth = isNew ? counters : zip(counters, entry.last).map { $0 &- $1 }
      entry.last = counters
      entry.activity = entry.activity / 2 + growth[0] + (width > 1 ? growth[1] : 0)
      entry.isPresent = true
      entries[key] = entry
      grown.append((key, growth))
    }
    let chosen = chosen(grown.map(\.key), limit)
    for (key, growth) in grown {
      let isOwn = chosen?.contains(key) ?? true
      for position in 0..<width {
        if isOwn { entries[key]?.own[position] &+= growth[position] } else { others[position] &+= growth[position] }
      }
    }
    busiest = chosen?.sorted() ?? grown.map(\.key).sorted()
    if entries.count > Self.entryLimit { entries = entries.filter(\.value.isPresent) }
  }

  /// The objects with most activity; nil: there is room for all.
  private func chosen(_ keys: [Key], _ limit: Int) -> Set<Key>? {
    guard keys.count > limit else { return nil }
    func activity(_ key: Key) -> UInt64 { entries[key]?.activity ?? 0 }
    return Set(keys.sorted { (activity($1), $0) < (activity($0), $1) }.prefix(limit))
  }
}
