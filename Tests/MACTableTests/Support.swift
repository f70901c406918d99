// Helpers of the MAC table's tests.

import Encap
import MACTable

func key(_ domain: DomainIndex, _ address: UInt64) -> MACKey {
  MACKey(domain: domain, mac: MACAddress(bits: address))
}

extension MACTableReader {
  /// In one of the two ways of workers: by the hash alone, or, as in a crowded table, from where the key is likely to be.
  func find(_ key: MACKey) -> MACLookup {
    let hash = hash(key)
    return hash & 1 == 0 ? lookup(key, hash: hash) : lookup(key, in: likelyPlace(of: key, in: bucket(of: hash)))
  }
}

extension MACTable {
  func all(pageSize: Int = 100) -> [Entry] {
    var cursor = 0
    var entries: [Entry] = []
    while cursor < slotCount { entries += self.entries(from: &cursor, limit: pageSize) }
    return entries.map(\.withoutDate)
  }

  /// Sweeps every slot once, in slices.
  @discardableResult func sweepAll(nowSeconds: UInt32, slice: Int = 4096) -> Int {
    var reclaimed = 0
    var remaining = slotCount
    while remaining > 0 {
      reclaimed += sweep(slots: min(slice, remaining), nowSeconds: nowSeconds)
      remaining -= slice
    }
    return reclaimed
  }
}

/// xorshift64*: the same operations in every run with the same seed.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 | 1 }

  mutating func next() -> UInt64 {
    state ^= state >> 12
    state ^= state << 25
    state ^= state >> 27
    return state &* 0x2545_f491_4f6c_dd1d
  }
}

extension TypedIndex {
  static func first(_ count: Int) -> [Self] { (0..<count).map { Self($0) } }
}

extension MACTable.Entry {
  /// Since when it has been there depends on the clock; `RestoreTests` look at that.
  var withoutDate: MACTable.Entry {
    var entry = self
    entry.sinceSeconds = 0
    return entry
  }
}
