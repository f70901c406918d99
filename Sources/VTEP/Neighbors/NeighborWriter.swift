// NeighborWriter: what the neighbour table keeps of each address beyond what workers need, and the changes of its chains.

import Encap
import MACTable

/// What the sources say of one address. A MAC address of zero stands for none.
struct NeighborRecord {
  var key = InnerNeighborKey(domain: .absent, address: IPAddress(high: 0, low: 0))
  var isInUse = false
  /// As workers see it.
  var isContested = false
  /// A configured source named several MAC addresses.
  var ambiguous: NeighborSources = []
  /// `local` or `overlay`: where `learned` was seen.
  var learnedFrom: NeighborSources = []
  /// `otherSeconds` counts.
  var hasOther = false
  /// When the address was last seen with a MAC address other than `learned`.
  var otherSeconds: UInt32 = 0
  var file = MACAddress.zero
  var controller = MACAddress.zero
  var learned = MACAddress.zero
  /// What `learned` has told of itself.
  var role = NeighborRole.unknown

  var sources: NeighborSources {
    var sources = learnedFrom
    if !file.isZero { sources.insert(.file) }
    if !controller.isZero { sources.insert(.controller) }
    return sources
  }

  /// What workers get; nil: no source says anything.
  func neighbor(node: UInt32) -> InnerNeighbor? {
    var strongest = MACAddress.zero
    var isAmbiguous = !ambiguous.isEmpty
    for mac in [file, controller] where !mac.isZero {
      if strongest.isZero { strongest = mac }
      if mac != strongest { isAmbiguous = true }
    }
    if strongest.isZero { strongest = learned }
    guard !strongest.isZero else { return nil }
    let isClaimedByOther = hasOther || !learned.isZero && learned != strongest
    return InnerNeighbor(
      mac: strongest, sources: sources, isContested: isAmbiguous || isClaimedByOther, isAmbiguous: isAmbiguous,
      role: strongest == learned ? role : .unknown, node: node)
  }

  /// - Parameter source: `file` or `controller`.
  /// - Returns: zero: it states nothing.
  func stated(by source: NeighborSources) -> MACAddress { source == .file ? file : controller }

  mutating func set(_ mac: MACAddress, by source: NeighborSources) {
    if source == .file { file = mac }
    if source == .controller { controller = mac }
  }
}

/// The writer's state of a `NeighborTable`, which owns the memory.
struct NeighborWriter: @unchecked Sendable {
  let reader: NeighborReader
  let capacity: Int
  /// By node.
  let records: UnsafeMutablePointer<NeighborRecord>
  private(set) var count = 0
  private(set) var contestedCount = 0
  private(set) var refusedCount: UInt64 = 0
  /// Nodes below this have been used; node 0 is `NeighborReader.end`.
  private var usedNodes = 1
  private var freeNodes: [UInt32] = []
  private var cursor = 1
  /// Learned addresses, by station.
  private var learnedCounts: [MACKey: Int] = [:]

  init(reader: NeighborReader, capacity: Int, records: UnsafeMutablePointer<NeighborRecord>) {
    self.reader = reader
    self.capacity = capacity
    self.records = records
  }

  mutating func state(_ key: InnerNeighborKey, mac: MACAddress?, by source: NeighborSources, isAmbiguous: Bool) -> Bool {
    guard let node = node(key) ?? (mac == nil ? nil : add(key, isConfigured: true)) else { return mac == nil }
    let record = records + Int(node)
    record.pointee.set(mac ?? .zero, by: source)
    if mac != nil && isAmbiguous { record.pointee.ambiguous.insert(source) } else { record.pointee.ambiguous.remove(source) }
    publish(node)
    return true
  }

  mutating func observe(
    _ key: InnerNeighborKey, mac: MACAddress, by source: NeighborSources, role: NeighborRole, nowSeconds: UInt32
  ) {
    let station = MACKey(domain: key.domain, mac: mac)
    let known = node(key)
    let isNewOfStation = known.map { records[Int($0)].learned != mac } ?? true
    guard !isNewOfStation || learnedCounts[station, default: 0] < NeighborTable.addressesPerStation,
      let node = known ?? add(key, isConfigured: false)
    else {
      refusedCount += 1
      return
    }
    let record = records + Int(node)
    if isNewOfStation {
      if !record.pointee.learned.isZero {
        record.pointee.hasOther = true
        record.pointee.otherSeconds = nowSeconds
        countLearned(record, -1)
      }
      record.pointee.learned = mac
      record.pointee.role = .unknown
      countLearned(record, 1)
    }
    if role != .unknown { record.pointee.role = role }
    record.pointee.learnedFrom = source
    reader.lastSeen[Int(node)].store(nowSeconds, ordering: .relaxed)
    publish(node)
  }

  mutating func sweep(nodes: Int, nowSeconds: UInt32) {
    for _ in 0..<min(nodes, usedNodes - 1) {
      if cursor >= usedNodes { cursor = 1 }
      let record = records + cursor
      let node = UInt32(cursor)
      cursor += 1
      guard record.pointee.isInUse else { continue }
      var isChanged = false
      if record.pointee.hasOther, Self.isOver(record.pointee.otherSeconds, NeighborTable.contestSeconds, nowSeconds) {
        record.pointee.hasOther = false
        isChanged = true
      }
      if !record.pointee.learned.isZero,
        Self.isOver(reader.lastSeen[Int(node)].load(ordering: .relaxed), NeighborTable.learnedSeconds, nowSeconds)
      {
        dropLearned(record)
        isChanged = true
      }
      if isChanged { publish(node) }
    }
  }

  private static func isOver(_ since: UInt32, _ duration: UInt32, _ now: UInt32) -> Bool {
    Int32(truncatingIfNeeded: now &- since) >= Int32(duration)
  }

  mutating func forgetLearned(_ domain: DomainIndex?) {
    for node in 1..<usedNodes where records[node].isInUse && (domain == nil || records[node].key.domain == domain) {
      guard !records[node].learned.isZero else { continue }
      dropLearned(records + node)
      publish(UInt32(node))
    }
  }

  mutating func remove(where isMeant: (NeighborRecord) -> Bool) {
    for node in 1..<usedNodes where records[node].isInUse && isMeant(records[node]) { remove(UInt32(node)) }
  }

  func page(from first: Int, limit: Int) -> (entries: [NeighborEntry], nextCursor: Int?) {
    var entries: [NeighborEntry] = []
    var node = max(first, 1)
    while node < usedNodes, entries.count < limit {
      let record = records[node]
      if record.isInUse, let neighbor = record.neighbor(node: UInt32(node)) {
        let seen = record.learned.isZero ? nil : reader.lastSeen[node].load(ordering: .relaxed)
        entries.append(NeighborEntry(key: record.key, neighbor: neighbor, seenSeconds: seen))
      }
      node += 1
    }
    return (entries, node < usedNodes ? node : nil)
  }
}

// MARK: - Verification

extension NeighborWriter {
  /// - Parameter stated: all that these sources ought to state.
  func differences(_ stated: [NeighborSources: [InnerNeighborKey: MACAddress]]) -> [NeighborDifference] {
    var found: [NeighborDifference] = []
    for (source, macs) in stated {
      for (key, mac) in macs {
        let actual = node(key).map { records[Int($0)].stated(by: source) } ?? .zero
        if actual != mac { found.append(NeighborDifference(key: key, source: source, intended: mac, actual: actual)) }
      }
      for node in 1..<usedNodes where records[node].isInUse && macs[records[node].key] == nil {
        let actual = records[node].stated(by: source)
        if !actual.isZero { found.append(NeighborDifference(key: records[node].key, source: source, intended: .zero, actual: actual)) }
      }
    }
    return found.sorted { ($0.key.address, $0.source.rawValue) < ($1.key.address, $1.source.rawValue) }
  }
}

// MARK: - Nodes and chains

extension NeighborWriter {
  private func node(_ key: InnerNeighborKey) -> UInt32? {
    var node = reader.heads[reader.chain(of: key.domain, key.address)].load(ordering: .relaxed)
    while node != NeighborReader.end {
      if records[Int(node)].key == key { return node }
      node = reader.next[Int(node)].load(ordering: .relaxed)
    }
    return nil
  }

  /// A node for an address that has none; nil: there is no room.
  private mutating func add(_ key: InnerNeighborKey, isConfigured: Bool) -> UInt32? {
    if freeNodes.isEmpty, usedNodes > capacity {
      guard isConfigured, let victim = learnedOnly() else { return nil }
      remove(victim)
    }
    let node = freeNodes.popLast() ?? UInt32(usedNodes)
    if Int(node) == usedNodes { usedNodes += 1 }
    count += 1
    records[Int(node)] = NeighborRecord()
    records[Int(node)].key = key
    records[Int(node)].isInUse = true
    let head = reader.heads + reader.chain(of: key.domain, key.address)
    changeChains {
      // Without content until `publish`: a sequence number that is odd.
      let word = reader.words + Int(node) * 4
      word[0].store(word[0].load(ordering: .relaxed) | NeighborReader.isChanging, ordering: .releasing)
      reader.next[Int(node)].store(head.pointee.load(ordering: .relaxed), ordering: .releasing)
      head.pointee.store(node, ordering: .releasing)
    }
    return node
  }

  /// Makes a node's record visible, or removes one about which no source says anything.
  private mutating func publish(_ node: UInt32) {
    let record = records[Int(node)]
    guard let neighbor = record.neighbor(node: node) else { return remove(node) }
    setContested(node, neighbor.isContested)
    let word = reader.words + Int(node) * 4
    let old = word[0].load(ordering: .relaxed)
    // Readers that see any of the new words see the odd number, too.
    word[0].store(old | NeighborReader.isChanging, ordering: .relaxed)
    word[1].store(record.key.address.high, ordering: .releasing)
    word[2].store(record.key.address.low, ordering: .releasing)
    word[3].store(neighbor.word, ordering: .releasing)
    let sequence = (old >> 17) &+ 1
    word[0].store(sequence << 17 | UInt64(record.key.domain.rawValue), ordering: .releasing)
  }

  private mutating func remove(_ node: UInt32) {
    let record = records + Int(node)
    if !record.pointee.learned.isZero { dropLearned(record) }
    setContested(node, false)
    let following = reader.next[Int(node)].load(ordering: .relaxed)
    var link = reader.heads + reader.chain(of: record.pointee.key.domain, record.pointee.key.address)
    while link.pointee.load(ordering: .relaxed) != node {
      link = reader.next + Int(link.pointee.load(ordering: .relaxed))
    }
    changeChains {
      let word = reader.words + Int(node) * 4
      word[0].store(word[0].load(ordering: .relaxed) | NeighborReader.isChanging, ordering: .releasing)
      link.pointee.store(following, ordering: .releasing)
    }
    record.pointee = NeighborRecord()
    freeNodes.append(node)
    count -= 1
  }

  private mutating func setContested(_ node: UInt32, _ isContested: Bool) {
    let record = records + Int(node)
    guard record.pointee.isContested != isContested else { return }
    record.pointee.isContested = isContested
    contestedCount += isContested ? 1 : -1
  }

  private func changeChains(_ change: () -> Void) {
    let before = reader.changes.pointee.load(ordering: .relaxed)
    reader.changes.pointee.store(before &+ 1, ordering: .releasing)
    change()
    reader.changes.pointee.store(before &+ 2, ordering: .releasing)
  }

  /// An entry that nobody has configured.
  private mutating func learnedOnly() -> UInt32? {
    for _ in 1..<usedNodes {
      if cursor >= usedNodes { cursor = 1 }
      let node = cursor
      cursor += 1
      if records[node].isInUse, records[node].sources.isSubset(of: .learned) { return UInt32(node) }
    }
    return nil
  }

  private mutating func dropLearned(_ record: UnsafeMutablePointer<NeighborRecord>) {
    countLearned(record, -1)
    record.pointee.learned = .zero
    record.pointee.role = .unknown
    record.pointee.learnedFrom = []
    record.pointee.hasOther = false
  }

  private mutating func countLearned(_ record: UnsafeMutablePointer<NeighborRecord>, _ step: Int) {
    let station = MACKey(domain: record.pointee.key.domain, mac: record.pointee.learned)
    let count = learnedCounts[station, default: 0] + step
    learnedCounts[station] = count == 0 ? nil : count
  }
}
