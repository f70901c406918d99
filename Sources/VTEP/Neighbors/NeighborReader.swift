// NeighborReader: the workers' side of the neighbour table: look up and touch, without a lock. Step E6, and routers' next hops.
//
// Entries are nodes of chains, one chain for each value of a hash. A node is four words: a sequence number with the domain, the address in
// two, and what `InnerNeighbor.word` says. The sequence number is odd while the writer changes the node, and different afterwards, so a reader
// that finds it even and unchanged has read words that belong together. A reader that finds nothing while the chains were changed looks
// again, a few times; then it takes the address as unknown, which costs a request that is flooded.

import Encap
import MACTable
import Synchronization

/// A view of a `NeighborTable` for workers: pointers and sizes, copied freely. Valid as long as the table lives.
struct NeighborReader: @unchecked Sendable {
  /// In place of a node: the end of a chain. Zero, so that memory that nobody has written is empty chains.
  static let end: UInt32 = 0

  /// By hash: the first node of the chain.
  let heads: UnsafeMutablePointer<Atomic<UInt32>>
  /// By node: the next one of its chain.
  let next: UnsafeMutablePointer<Atomic<UInt32>>
  /// By node, four words.
  let words: UnsafeMutablePointer<Atomic<UInt64>>
  /// By node: when a station last claimed the address, in seconds of the monotonic clock.
  let lastSeen: UnsafeMutablePointer<Atomic<UInt32>>
  /// Odd while the writer changes a chain.
  let changes: UnsafeMutablePointer<Atomic<UInt64>>
  let headMask: UInt64
  let secrets: HashSecrets

  @inline(always)
  func chain(of domain: DomainIndex, _ address: IPAddress) -> Int {
    let first = (address.low ^ secrets.mask).multipliedFullWidth(by: 0x9e37_79b9_7f4a_7c15)
    let second = (address.high ^ UInt64(domain.rawValue) ^ first.high ^ first.low).multipliedFullWidth(by: secrets.multiplier)
    return Int(truncatingIfNeeded: (second.high ^ second.low) & headMask)
  }

  /// The MAC address that an IP address has in a domain; nil: unknown.
  ///
  /// That of a contested entry, too: the one of its strongest source.
  func lookup(_ domain: DomainIndex, _ address: IPAddress) -> MACAddress? { find(domain, address)?.mac }

  /// What is known of an IP address in a domain; nil: nothing.
  @inline(never)
  func find(_ domain: DomainIndex, _ address: IPAddress) -> InnerNeighbor? {
    let head = heads + chain(of: domain, address)
    for _ in 0..<4 {
      let before = changes.pointee.load(ordering: .acquiring)
      var node = head.pointee.load(ordering: .acquiring)
      // Bounded, since a chain may lead into another one while it is changed.
      for _ in 0..<64 where node != Self.end {
        if let found = read(node, domain, address) { return found }
        node = next[Int(node)].load(ordering: .acquiring)
      }
      if before & 1 == 0, changes.pointee.load(ordering: .acquiring) == before { return nil }
    }
    return nil
  }

  /// Notes that a station has claimed an entry's address again.
  @inline(always)
  func touch(_ neighbor: InnerNeighbor, nowSeconds: UInt32) {
    let seen = lastSeen + Int(neighbor.node)
    if seen.pointee.load(ordering: .relaxed) != nowSeconds { seen.pointee.store(nowSeconds, ordering: .relaxed) }
  }

  @inline(always)
  private func read(_ node: UInt32, _ domain: DomainIndex, _ address: IPAddress) -> InnerNeighbor? {
    let word = words + Int(node) &* 4
    let sequence = word[0].load(ordering: .acquiring)
    guard UInt16(truncatingIfNeeded: sequence) == domain.rawValue, sequence & Self.isChanging == 0 else { return nil }
    let high = word[1].load(ordering: .acquiring)
    let low = word[2].load(ordering: .acquiring)
    let content = word[3].load(ordering: .acquiring)
    guard word[0].load(ordering: .relaxed) == sequence, high == address.high, low == address.low else { return nil }
    return InnerNeighbor(word: content, node: node)
  }

  /// Of a node's first word; above the domain.
  static let isChanging: UInt64 = 1 << 16
}
