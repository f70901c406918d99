// IndexPool: indexes into the arrays of a snapshot. An index is returned only when no worker and no MAC table entry can refer
// to it any more.

import MACTable

struct IndexPool<Index: TypedIndex> {
  private var free: [Index] = []
  private var next: UInt16 = 0
  private let limit: UInt16

  init(limit: Int) {
    self.limit = UInt16(limit)
  }

  /// Nil when all are in use.
  mutating func take() -> Index? {
    if let index = free.popLast() { return index }
    guard next < limit else { return nil }
    defer { next += 1 }
    return Index(next)
  }

  mutating func giveBack(_ index: Index) {
    free.append(index)
  }
}
