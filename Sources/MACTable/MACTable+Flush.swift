// MACTable: forgetting many entries at once. Workers notice at once and at no cost: an entry carries the sum of its
// domain's and its owner's generation, and raising either makes it invisible. Learned and configured (static and
// controller) entries have generations of their own.
//
// The slots are freed afterwards: those of an owner right away, along its list; those of a domain by the sweep, or when
// their room is needed. Until then they are ghosts.

import Encap
import Synchronization

extension MACTable {
  /// Forgets what was learned in a domain.
  public func flush(domain: DomainIndex) { retire(domain: domain, entryClass: 0) }

  /// Forgets what was learned from a port.
  public func flush(port: PortIndex) { retire(owner: ownerIndex(.port(port, vlan: 0)), entryClass: 0) }

  /// Forgets what was learned from a VTEP.
  public func flush(vtep: VTEPIndex) { retire(owner: ownerIndex(.vtep(vtep)), entryClass: 0) }

  /// Forgets what was learned in a domain from a port.
  public func flush(domain: DomainIndex, port: PortIndex) {
    flush(domain: domain, owner: ownerIndex(.port(port, vlan: 0)))
  }

  /// Forgets what was learned at the places of a port that the caller selects.
  public func flush(port: PortIndex, where isGone: (_ domain: DomainIndex, _ place: MACLocation) -> Bool) {
    var slot = memory.lists[ownerIndex(.port(port, vlan: 0)) * 2].head
    while slot != SlotList.end {
      let next = memory.next[Int(slot)]
      if isGone(key(slot).domain, value(slot).location) {
        let isGhost = isGhost(slot)
        if !isGhost { events.append(.removed, key(slot), from: value(slot).location) }
        release(slot, wasGhost: isGhost)
      }
      slot = next
    }
  }

  /// Forgets what was learned in a domain from a VTEP.
  public func flush(domain: DomainIndex, vtep: VTEPIndex) { flush(domain: domain, owner: ownerIndex(.vtep(vtep))) }

  /// Frees the slots of flushed entries behind a port, so that the readers' count of them is exact.
  public func reclaim(port: PortIndex) { _ = count(port: port) }

  /// Forgets a learned address; false when it is not known or not learned.
  @discardableResult public func flush(_ key: MACKey) -> Bool {
    guard let slot = find(key), value(slot).type == .learned else { return false }
    return remove(key)
  }

  /// Forgets all that was learned.
  public func flushAll() {
    for domain in 0..<domainCount { flush(domain: DomainIndex(domain)) }
  }

  /// Removes every entry of a domain and its counter of refusals. The index can be used again at once.
  public func removeAll(domain: DomainIndex) {
    retire(domain: domain, entryClass: 0)
    retire(domain: domain, entryClass: 1)
    memory.policies[Int(domain)].refusedByLimit = 0
    moveHistory?.forget { key, _ in key.domain == domain }
    trail.forget(domain: domain)
  }

  /// Removes every entry behind a port. The index can be used again at once.
  public func removeAll(port: PortIndex) { removeAll(owner: ownerIndex(.port(port, vlan: 0))) }

  /// Removes every entry behind a VTEP. The index can be used again at once.
  public func removeAll(vtep: VTEPIndex) { removeAll(owner: ownerIndex(.vtep(vtep))) }
}

extension MACTable {
  /// How many flushes may pass while ghosts exist, well before a generation could wrap around to a ghost's.
  static let generationStepLimit = MACValue.generationCount / 2

  private func retire(domain: DomainIndex, entryClass: Int) {
    checkIndex(domain: domain)
    let index = Int(domain) * 2 + entryClass
    let count = memory.domainCounts[index]
    guard count > 0 else { return }
    prepareGenerationStep()
    raise(memory.domainGenerations + index)
    noteFlush(.flushedDomain, domain, count: Int(count))
    ghostCount += Int(count)
    memory.domainCounts[index] = 0
  }

  private func retire(owner: Int, entryClass: Int) {
    let list = owner * 2 + entryClass
    guard memory.lists[list].count > 0 else { return }
    prepareGenerationStep()
    let head = memory.lists[list].head
    let place = value(head).location
    let liveBefore = count
    raise(memory.ownerGenerations + value(head).ownerGenerationIndex)
    while memory.lists[list].head != SlotList.end {
      let slot = memory.lists[list].head
      // Whether it was a ghost before this flush.
      let previousGeneration = reader.generation(key(slot), value(slot)) &- 1
      release(slot, wasGhost: !value(slot).isOfGeneration(previousGeneration))
    }
    noteFlush(.flushedPlace, 0, at: place, count: liveBefore - count)
  }

  private func noteFlush(_ kind: EventRecord.Kind, _ domain: DomainIndex, at place: MACLocation? = nil, count: Int) {
    guard count > 0 else { return }
    // All VLANs of a port.
    let owner = place.map { $0.isVTEP ? $0 : .port($0.port, vlan: 0) } ?? MACLocation(raw: 0)
    events.append(kind, MACKey(domain: domain, octets: 0), from: owner, to: MACLocation(raw: UInt32(clamping: count)))
  }

  private func removeAll(owner: Int) {
    retire(owner: owner, entryClass: 0)
    retire(owner: owner, entryClass: 1)
    moveHistory?.forget { ownerIndex($1) == owner }
  }

  private func flush(domain: DomainIndex, owner: Int) {
    checkIndex(domain: domain)
    let liveBefore = count
    var place: MACLocation?
    var slot = memory.lists[owner * 2].head
    while slot != SlotList.end {
      let next = memory.next[Int(slot)]
      if key(slot).domain == domain {
        place = value(slot).location
        release(slot, wasGhost: isGhost(slot))
      }
      slot = next
    }
    if let place { noteFlush(.flushedDomainAtPlace, domain, at: place, count: liveBefore - count) }
  }

  private func raise(_ generation: UnsafeMutablePointer<Atomic<UInt32>>) {
    // Readers compare generations from now on, until the sweep finds no ghost left.
    memory.ghosts.pointee.store(1, ordering: .releasing)
    generation.pointee.store(generation.pointee.load(ordering: .relaxed) &+ 1, ordering: .releasing)
    noteChange()
  }

  /// Makes sure that no ghost exists long enough for its generation to recur.
  private func prepareGenerationStep() {
    if generationSteps >= Self.generationStepLimit { reclaimGhosts(downTo: 0) }
    generationSteps = ghostCount == 0 ? 1 : generationSteps + 1
  }

  /// Frees ghosts' slots until only this many are left.
  func reclaimGhosts(downTo remaining: Int) {
    while ghostCount > remaining {
      let slot = UInt32(ghostCursor)
      if !isFree(slot), isGhost(slot) { release(slot, wasGhost: true) }
      ghostCursor = ghostCursor + 1 == slotCount ? 0 : ghostCursor + 1
    }
  }

  func reclaimGhosts(inList list: Int) {
    var slot = memory.lists[list].head
    while slot != SlotList.end, ghostCount > 0 {
      let next = memory.next[Int(slot)]
      if isGhost(slot) { release(slot, wasGhost: true) }
      slot = next
    }
  }
}
