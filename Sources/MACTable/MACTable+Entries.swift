// MACTable: the table as a list, page by page, for `vtepctl show mac-table`. Reads are lock-free, as in a worker.

import Encap
import Synchronization

extension MACTable {
  /// A copy of one entry.
  public struct Entry: Equatable, Sendable {
    public var key: MACKey
    public var location: MACLocation
    public var type: MACEntryType
    /// Moves since it was added; 255 means 255 or more.
    public var moves: UInt8
    /// On the caller's monotonic clock. 0 for a static or controller entry that has sent no frame yet.
    public var lastSeenSeconds: UInt32
    /// When it came to its place, in seconds since 1970; 0: not known.
    public var sinceSeconds: UInt32 = 0
  }

  /// The next live entries, in no particular order. Any thread may call this at any time. An entry that is displaced between two
  /// pages may be missed or listed twice.
  ///
  /// - Parameters:
  ///   - cursor: 0 to begin with; the next slot to look at afterwards, `slotCount` at the end.
  ///   - limit: most entries to return.
  public func entries(from cursor: inout Int, limit: Int) -> [Entry] {
    var found: [Entry] = []
    while found.count < limit, cursor < slotCount {
      if let entry = entry(UInt32(cursor)) { found.append(entry) }
      cursor += 1
    }
    return found
  }

  /// All that is known of one address. For the writer only.
  public struct Account: Sendable {
    /// Nil: the table does not have it.
    public var entry: Entry?
    /// Nil: it is not frozen.
    public var frozen: MACMove?
    /// Where it was before, the latest first, 16 at most.
    public var past: [PastPlace]
  }

  public func account(of key: MACKey) -> Account {
    let slot = find(key).flatMap { isGhost($0) ? nil : $0 }
    return Account(
      entry: slot.flatMap(entry), frozen: frozen[key], past: trail.places(of: key, hash: reader.hash(key)))
  }

  /// The live entries behind a port. For the writer only.
  public func entries(port: PortIndex) -> [Entry] {
    let owner = ownerIndex(.port(port, vlan: 0))
    var found: [Entry] = []
    for list in [owner * 2, owner * 2 + 1] {
      var slot = memory.lists[list].head
      while slot != SlotList.end {
        if let entry = entry(slot) { found.append(entry) }
        slot = memory.next[Int(slot)]
      }
    }
    return found
  }

  /// The live entry in a slot, if there is one.
  private func entry(_ slot: UInt32) -> Entry? {
    while true {
      let key = MACKey(raw: reader.keyWord(slot)[0].load(ordering: .acquiring))
      if key.raw == MACKey.freeSlot { return nil }
      let lookup = reader.read(reader.keyWord(slot), expecting: key)
      if lookup.status == .torn { continue }
      guard lookup.isHit else { return nil }
      return Entry(
        key: key, location: lookup.location, type: lookup.type, moves: lookup.value.moves,
        lastSeenSeconds: memory.lastSeen[Int(slot)].load(ordering: .relaxed),
        sinceSeconds: memory.since[Int(slot)].load(ordering: .relaxed))
    }
  }
}
