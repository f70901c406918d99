// DomainTable: the bridge domain of each VNI, and the index that the data plane knows it by. A value; see PortTable.

import Encap
import MACTable

/// One bridge domain.
struct DomainRecord {
  var index: DomainIndex
  /// The table has what the controller's store has for it.
  var hasControllerEntries = false
}

struct DomainTable {
  private(set) var records: [VNI: DomainRecord] = [:]
  /// VNIs with static remote addresses: all others need not be asked for some.
  private(set) var withStatics: Set<VNI> = []
  private var vnis: [DomainIndex: VNI] = [:]
  private var indexes = IndexPool<DomainIndex>(limit: Limits.domains)

  subscript(vni: VNI) -> DomainRecord? { records[vni] }

  func vni(at index: DomainIndex) -> VNI? { vnis[index] }

  /// Whether there is room for the VNIs that `new` has and this table has not.
  func hasRoom(for changed: Set<VNI>, in new: [VNI: VNISettings]) -> Bool {
    records.count + changed.count { records[$0] == nil && new[$0] != nil } <= Limits.domains
  }

  /// What `update` did.
  struct Replacement {
    /// Their indexes are in use until `giveBack`.
    var gone: [DomainIndex] = []
    var added: [DomainIndex] = []
    var isEmpty: Bool { gone.isEmpty && added.isEmpty }
  }

  /// Follows other settings.
  ///
  /// - Parameter changed: the VNIs that differ from the settings before. No others are looked at.
  mutating func update(_ changed: Set<VNI>, to new: [VNI: VNISettings], stale: inout StaleState) -> Replacement {
    var replacement = Replacement()
    stale.vnis.formUnion(changed)
    withStatics.subtract(changed)
    for vni in changed {
      if let settings = new[vni] {
        if !settings.macs.isEmpty { withStatics.insert(vni) }
      } else if let record = records.removeValue(forKey: vni) {
        vnis[record.index] = nil
        replacement.gone.append(record.index)
      }
    }
    // The limit was checked before anything changed.
    for vni in changed where new[vni] != nil && records[vni] == nil {
      guard let index = indexes.take() else { continue }
      records[vni] = DomainRecord(index: index)
      vnis[index] = vni
      replacement.added.append(index)
    }
    stale.goneDomains.formUnion(replacement.gone)
    if !replacement.added.isEmpty { stale.hasNewIndexes = true }
    return replacement
  }

  /// Nobody knows what the table has of the controller's addresses.
  mutating func forgetControllerEntries() {
    for vni in records.keys { records[vni]?.hasControllerEntries = false }
  }

  mutating func markControllerEntries(of vni: VNI) { records[vni]?.hasControllerEntries = true }

  /// No worker and no entry of the MAC table names the index any more.
  mutating func giveBack(_ index: DomainIndex) { indexes.giveBack(index) }
}
