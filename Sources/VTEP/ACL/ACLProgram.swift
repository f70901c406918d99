// ACLProgram: one direction of an access control list as workers see it: for each 16-bit chunk of a FlowKey that an entry looks at, a table
// from the chunk's value to the set of entries that agree with it. Of the intersection of the sets, the entry that is first in the list
// decides. A summary of each set, a bit for each word of 64 entries, says which words are worth a look, and entries of one kind share words,
// so that the cost hardly depends on how many entries there are (docs/decisions/0043). Plain data in memory of a `CompiledACL`; asked in
// steps E2, E6 and D6.

import Encap
import MACTable

/// An access control list in the snapshot.
struct ACLIndex: TypedIndex {
  var rawValue: UInt16
}

/// What becomes of a frame that an entry, or none, has matched.
struct ACLVerdict {
  private let word: UInt32

  init(isDenied: Bool, slot: UInt32) { word = slot | (isDenied ? Self.denied : 0) }

  private static let denied: UInt32 = 1 << 31

  var isDenied: Bool { word & Self.denied != 0 }
  /// Of the entry's counters.
  var slot: Int { Int(word & ~Self.denied) }
}

/// One chunk of the key.
struct ACLChunk {
  /// In the key.
  var position: Int
  /// For each high octet the place, in this table, of a block; then the blocks of 256 values each: where a set is in `ACLProgram.sets`.
  var table: UnsafePointer<UInt32>
}

/// The chunks to ask for one kind of frame.
struct ACLChunkList {
  var count = 0
  var chunks: UnsafePointer<ACLChunk>?
}

struct ACLProgram {
  /// For frames with an IPv6 header, and for all others: what only entries for the other kind ask of is left out.
  var ofIPv6 = ACLChunkList()
  var ofOthers = ACLChunkList()
  /// Sets of entries: of each the summary, then a bit for each entry. The first one is that of all entries.
  var sets: UnsafePointer<UInt64>?
  /// The place in the list of the entry at each position; at the end one more, behind all.
  var ranks: UnsafePointer<UInt16>?
  /// By position of the entry; the last one is of frames that none matches.
  var verdicts: UnsafePointer<ACLVerdict>?
  /// 0: nothing is asked.
  var entryCount = 0

  var isEmpty: Bool { entryCount == 0 }

  /// - Precondition: it is not empty.
  func verdict(on key: FlowKey) -> ACLVerdict {
    verdicts.unsafelyUnwrapped[position(of: key)]
  }

  /// The position of the entry that matches and is first in the list; `entryCount`: none does.
  private func position(of key: FlowKey) -> Int {
    let allSets = self.sets.unsafelyUnwrapped
    let list = key.isIPv6 ? ofIPv6 : ofOthers
    guard list.count != 0, let chunks = list.chunks else { return 0 }
    // The sets, for the second pass. At most as many as there are chunks.
    return withUnsafeTemporaryAllocation(of: UnsafePointer<UInt64>.self, capacity: FlowKey.chunkCount) { buffer in
      let sets = buffer.baseAddress.unsafelyUnwrapped
      var summary = allSets[0]
      // To the end, also when the summary is empty: to ask each time would cost more than it saves.
      for index in 0..<list.count {
        let chunk = chunks + index
        let value = Int(key.chunks[chunk.pointee.position])
        let block = Int(chunk.pointee.table[value &>> 8])
        let set = allSets + Int(chunk.pointee.table[block &+ (value & 0xff)])
        sets[index] = set
        summary &= set[0]
      }
      let ranks = self.ranks.unsafelyUnwrapped
      var first = entryCount
      while summary != 0 {
        let word = summary.trailingZeroBitCount
        var entries = UInt64.max
        for index in 0..<list.count { entries &= sets[index][word &+ 1] }
        let found = word &* 64 &+ entries.trailingZeroBitCount
        if entries != 0, ranks[found] < ranks[first] { first = found }
        summary &= summary &- 1
      }
      return first
    }
  }
}

/// Both directions of an access control list.
struct ACLPrograms {
  var ingress = ACLProgram()
  var egress = ACLProgram()
}
