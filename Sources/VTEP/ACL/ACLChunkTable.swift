// ACLChunkTable: which entries agree with each value of one 16-bit chunk of a FlowKey: a part of `CompiledACL`. Values between two
// places where some entry begins or ends to agree have the same set; sets that are alike are kept once.

import Encap

/// What an entry asks of a chunk: one range of values, or the values that have certain bits.
enum ACLCondition: Hashable {
  case range(ClosedRange<UInt16>)
  case bits(UInt16, mask: UInt16)

  /// The ranges of values that fulfil it, ascending.
  ///
  /// - Parameter limit: more are of no use.
  func ranges(limit: Int) -> [ClosedRange<UInt16>] {
    guard case .bits(let value, let mask) = self else {
      guard case .range(let range) = self else { return [] }
      return [range]
    }
    // The free bits below the lowest fixed one make a range; the others, all combinations.
    let low = mask == 0 ? UInt16.max : UInt16(truncatingIfNeeded: (1 << mask.trailingZeroBitCount) - 1)
    let free = ~mask & ~low
    guard 1 << free.nonzeroBitCount <= limit else { return [] }
    var ranges: [ClosedRange<UInt16>] = []
    var part: UInt16 = 0
    repeat {
      ranges.append((value & mask | part)...(value & mask | part | low))
      part = (part &- free) & free
    } while part != 0
    return ranges
  }
}

/// The table of one chunk, before it is laid out for the workers.
struct ACLChunkTable {
  /// As `ACLChunk.table`.
  private(set) var table: [UInt32] = []
  /// The part of `ACLProgram.sets`.
  private(set) var sets: [UInt64] = []

  /// Places at which sets change, of all entries; more take too long to build.
  static let maximumChanges = 4 << 20

  /// - Parameters:
  ///   - conditions: of each entry; nil: it agrees with every value.
  ///   - wordCount: of a set, without its summary.
  ///   - isSwapped: values are looked up in wire order.
  ///   - setOffset: words of the sets of other chunks, which are in front.
  ///   - maximumWords: of all sets.
  ///   - marks: random numbers, two for each entry.
  /// - Returns: nil: it is too large.
  init?(_ conditions: [ACLCondition?], wordCount: Int, isSwapped: Bool, setOffset: Int, maximumWords: Int, marks: [(UInt64, UInt64)]) {
    var groups: [ACLCondition: [Int]] = [:]
    for (entry, condition) in conditions.enumerated() {
      if let condition { groups[condition, default: []].append(entry) }
    }
    // (value, group) where a group begins or ceases to agree.
    let all = Array(groups)
    var changes: [(at: UInt32, group: Int)] = []
    for (number, group) in all.enumerated() {
      let ranges = group.key.ranges(limit: 1 << 16)
      guard changes.count + 2 * ranges.count <= Self.maximumChanges else { return nil }
      for range in ranges {
        changes.append((UInt32(range.lowerBound), number))
        changes.append((UInt32(range.upperBound) + 1, number))
      }
    }
    changes.sort { $0.at < $1.at }

    // A set is known by the exclusive or of its entries' marks.
    struct Mark: Hashable {
      var high: UInt64 = 0
      var low: UInt64 = 0
    }
    var mark = Mark()
    var current = [UInt64](repeating: 0, count: wordCount)
    func toggle(_ entry: Int) {
      mark.high ^= marks[entry].0
      mark.low ^= marks[entry].1
      current[entry >> 6] ^= 1 << UInt64(entry & 63)
    }
    for (entry, condition) in conditions.enumerated() where condition == nil { toggle(entry) }
    var known: [Mark: UInt32] = [:]
    var values = [UInt32](repeating: 0, count: 1 << 16)
    var next = 0
    var start = 0
    while start < 1 << 16 {
      while next < changes.count, Int(changes[next].at) == start {
        for entry in all[changes[next].group].value { toggle(entry) }
        next += 1
      }
      let end = next < changes.count ? min(Int(changes[next].at), 1 << 16) : 1 << 16
      let place: UInt32
      if let found = known[mark] {
        place = found
      } else {
        guard sets.count + wordCount + 1 <= maximumWords else { return nil }
        place = UInt32(setOffset + sets.count)
        known[mark] = place
        sets.append(current.enumerated().reduce(0) { $1.element != 0 ? $0 | 1 << UInt64($1.offset) : $0 })
        sets += current
      }
      for value in start..<end { values[isSwapped ? Int(UInt16(value).byteSwapped) : value] = place }
      start = end
    }
    lay(values)
  }

  /// Blocks of 256 values that are alike are kept once.
  private mutating func lay(_ values: [UInt32]) {
    var blocks: [ArraySlice<UInt32>: UInt32] = [:]
    table = [UInt32](repeating: 0, count: 256)
    for high in 0..<256 {
      let block = values[(high << 8)..<(high + 1) << 8]
      if let place = blocks[block] {
        table[high] = place
      } else {
        table[high] = UInt32(table.count)
        blocks[block] = UInt32(table.count)
        table += block
      }
    }
  }
}
