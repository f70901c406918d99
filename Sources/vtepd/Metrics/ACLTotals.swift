// ACLTotals: what access control lists have permitted and denied, from one scrape to the next. Entries come and go, and what a deleted one has
// counted stays in its list's sums.

import VTEP

struct ACLTotals: Sendable {
  /// An entry as it is counted: another one that says the same takes its place.
  private struct Key: Hashable, Sendable {
    var acl: String
    var direction: ACLEntry.Direction
    var entry: ACLEntry?
  }

  /// Frames at the last scrape, without entries that have matched none.
  private var last: [Key: UInt64] = [:]
  private var totals: [String: [UInt64]] = [:]

  /// Takes a scrape's reports.
  ///
  /// - Returns: permitted and denied frames of each list.
  mutating func update(_ reports: [ACLReport]) -> [(key: String, counters: [UInt64])] {
    var latest: [Key: UInt64] = [:]
    var sums: [String: [UInt64]] = [:]
    for report in reports {
      var sum = totals[report.name] ?? [0, 0]
      for entry in report.entries where entry.packets > 0 {
        let key = Key(acl: report.name, direction: entry.direction, entry: entry.entry)
        let before = last[key] ?? 0
        latest[key] = entry.packets
        // A counter that is less has begun anew.
        sum[entry.entry?.action == .deny ? 1 : 0] &+= entry.packets < before ? entry.packets : entry.packets - before
      }
      sums[report.name] = sum
    }
    (last, totals) = (latest, sums)
    return sums.map { ($0.key, $0.value) }
  }
}
