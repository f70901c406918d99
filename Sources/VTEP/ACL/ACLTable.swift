// ACLTable: the access control lists that are in force, as the control side keeps them: their indexes in the snapshot, and the counters of
// their entries. A value: a change is tried on a copy, which is dropped if the list cannot be made.

import Encap

struct ACLTable {
  struct Record {
    var settings: ACLSettings
    var index: ACLIndex
    var compiled: CompiledACL
    /// The counters of each direction, in the order of `ACLSettings.ordered`, and one more for frames that no entry matches.
    var slots: [ACLEntry.Direction: [UInt32]]

    /// By direction, in the order in which they are asked.
    var entries: [Entry] {
      ACLEntry.Direction.allCases.flatMap { direction in
        let all: [ACLEntry?] = settings.ordered(direction) + [nil]
        return zip(all, slots[direction] ?? []).map { Entry(entry: $0, direction: direction, slot: $1) }
      }
    }
  }

  /// An entry, or (nil) what no entry of the direction has matched, with its counter.
  struct Entry {
    var entry: ACLEntry?
    var direction: ACLEntry.Direction
    var slot: UInt32

    /// By which a later run of the daemon knows the entry again: all that it says, with its direction and sequence.
    var identity: String { "\(direction.rawValue) " + (entry.map { "\($0.sequence) \($0.text)" } ?? "rest") }
  }

  private(set) var records: [String: Record] = [:]
  private var indexes = IndexPool<ACLIndex>(limit: ACLSettings.maximumLists)
  private var freeSlots: [UInt32] = []
  /// Counters below this one are or were in use.
  private(set) var slotCount: UInt32 = 0
  /// Counters that have a new owner since `takeNews`.
  private var newSlots: [UInt32] = []
  /// Counters and indexes that workers may still use.
  private var goneSlots: [UInt32] = []
  private var goneIndexes: [ACLIndex] = []
  /// Lists that could not be made, and why: they are not tried again until they change.
  private var failed: [String: (settings: ACLSettings, reason: String)] = [:]

  subscript(name: String) -> Record? { records[name] }

  /// By index, for the model.
  var compiled: [CompiledACL?] {
    guard let last = records.values.map(\.index).max() else { return [] }
    var all = [CompiledACL?](repeating: nil, count: Int(last) + 1)
    for record in records.values { all[Int(record.index)] = record.compiled }
    return all
  }

  /// Makes the lists these.
  ///
  /// - Returns: the lists that could not be made, and why; where there was one of the same name, that stays.
  mutating func update(to wanted: [String: ACLSettings]) -> [String: String] {
    for (name, record) in records where wanted[name] == nil {
      records[name] = nil
      goneIndexes.append(record.index)
      goneSlots += record.slots.values.joined()
    }
    failed = failed.filter { wanted[$0.key] == $0.value.settings }
    var failures: [String: String] = [:]
    for (name, settings) in wanted.sorted(by: { $0.key < $1.key }) where records[name]?.settings != settings {
      if let known = failed[name] {
        failures[name] = known.reason
        continue
      }
      if let reason = set(name, settings) {
        failed[name] = (settings, reason)
        failures[name] = reason
      }
    }
    return failures
  }

  /// - Returns: why it could not be made; nil: it was.
  private mutating func set(_ name: String, _ settings: ACLSettings) -> String? {
    var new = self
    guard let index = records[name]?.index ?? new.indexes.take() else { return "all \(ACLSettings.maximumLists) lists are in use" }
    guard let slots = new.takeSlots(for: settings, insteadOf: records[name]) else {
      return "all \(Limits.aclEntries) entries are in use; delete lists, or make them shorter"
    }
    do throws(CompiledACL.TooLarge) {
      let compiled = try CompiledACL(settings) { slots[$0] ?? [] }
      new.records[name] = Record(settings: settings, index: index, compiled: compiled, slots: slots)
    } catch {
      return error.reason
    }
    self = new
    return nil
  }

  /// Counters for all entries. Those that were there before keep theirs.
  private mutating func takeSlots(for settings: ACLSettings, insteadOf old: Record?) -> [ACLEntry.Direction: [UInt32]]? {
    var all: [ACLEntry.Direction: [UInt32]] = [:]
    for direction in ACLEntry.Direction.allCases {
      var kept: [ACLEntry?: [UInt32]] = [:]
      if let old {
        let entries: [ACLEntry?] = old.settings.ordered(direction) + [nil]
        for (entry, slot) in zip(entries, old.slots[direction] ?? []) { kept[entry, default: []].append(slot) }
      }
      let entries: [ACLEntry?] = settings.ordered(direction)
      var slots: [UInt32] = []
      for entry in entries.isEmpty ? [] : entries + [nil] {
        if let slot = kept[entry]?.popLast() {
          slots.append(slot)
        } else if let slot = takeSlot() {
          slots.append(slot)
        } else {
          return nil
        }
      }
      goneSlots += kept.values.joined()
      all[direction] = slots
    }
    return all
  }

  private mutating func takeSlot() -> UInt32? {
    var slot = freeSlots.popLast()
    if slot == nil, slotCount < Limits.aclEntries {
      slot = slotCount
      slotCount += 1
    }
    if let slot { newSlots.append(slot) }
    return slot
  }

  /// Counters that have a new owner since the last call.
  mutating func takeNews() -> [UInt32] {
    defer { newSlots = [] }
    return newSlots
  }

  /// Something waits until no worker uses it any more.
  var hasLeftovers: Bool { !goneSlots.isEmpty || !goneIndexes.isEmpty }

  /// No worker uses any more what was there before the last update.
  mutating func giveBackLeftovers() {
    freeSlots += goneSlots
    goneIndexes.forEach { indexes.giveBack($0) }
    (goneSlots, goneIndexes) = ([], [])
  }
}
