// ACLProgram: one direction of an access control list as workers see it: for each 16-bit chunk of a FlowKey that an entry looks at, a table
// from the chunk's value to the set of entries that agree with it. The first entry in the intersection of the sets decides. A summary of
// each set, a bit for each word of 64 entries, says which words are worth a look, so that the cost hardly depends on how many entries
// there are (docs/decisions/0043-access-control-lists.md). Plain data in memory of a `CompiledACL`; asked in steps E2, E6 and D6.

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
  /// For each high octet the number of a block; then the blocks of 256 values each: the number of a set.
  var table: UnsafePointer<UInt16>
  /// Sets of entries: the summary, then a bit for each entry.
  var sets: UnsafePointer<UInt64>
}

struct ACLProgram {
  /// Words of a set, its summary among them.
  var setWordCount = 0
  var chunkCount = 0
  var chunks: UnsafePointer<ACLChunk>?
  /// The set of all entries.
  var everything: UnsafePointer<UInt64>?
  /// By position of the entry; the last one is of frames that none matches.
  var verdicts: UnsafePointer<ACLVerdict>?
  /// 0: nothing is asked.
  var entryCount = 0

  var isEmpty: Bool { entryCount == 0 }

  /// - Precondition: it is not empty.
  func verdict(on key: FlowKey) -> ACLVerdict {
    verdicts.unsafelyUnwrapped[position(of: key)]
  }

  /// The position of the first entry that matches; `entryCount`: none does.
  private func position(of key: FlowKey) -> Int {
    let everything = self.everything.unsafelyUnwrapped
    guard chunkCount != 0, let chunks else { return 0 }
    // The sets, for the second pass. At most as many as there are chunks.
    return withUnsafeTemporaryAllocation(of: UnsafePointer<UInt64>.self, capacity: FlowKey.chunkCount) { sets in
      var summary = everything[0]
      for index in 0..<chunkCount {
        let chunk = chunks + index
        let value = Int(key.chunks[chunk.pointee.position])
        let block = Int(chunk.pointee.table[value &>> 8])
        let set = chunk.pointee.sets + Int(chunk.pointee.table[256 &+ (block &<< 8) &+ (value & 0xff)]) &* setWordCount
        sets.baseAddress.unsafelyUnwrapped[index] = set
        summary &= set[0]
        if summary == 0 { return entryCount }
      }
      while summary != 0 {
        let word = summary.trailingZeroBitCount
        var entries = UInt64.max
        for index in 0..<chunkCount { entries &= sets.baseAddress.unsafelyUnwrapped[index][word &+ 1] }
        if entries != 0 { return word &* 64 &+ entries.trailingZeroBitCount }
        summary &= summary &- 1
      }
      return entryCount
    }
  }
}

/// Both directions of an access control list.
struct ACLPrograms {
  var ingress = ACLProgram()
  var egress = ACLProgram()
}
