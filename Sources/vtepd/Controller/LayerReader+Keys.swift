// LayerReader+Keys: logical switches without a tunnel key of their own (vtep(5), "Per Logical-Switch Tunnel Key"). If their locators have
// keys, each VTEP has a key of its own for the switch: frames to it carry that, and frames to us carry the key of our own locator. If there
// is no key at all yet, the switch is bridged between local ports only.

import Encap
import OVSDBClient
import VTEP

extension LayerReader {
  /// The keys of locators that one logical switch uses.
  struct Keys {
    /// Of locators with our address: in the controller's tables, and in what we have published.
    var own: Set<VNI> = []
    var published: Set<VNI> = []
    var others: Set<VNI> = []

    var isEmpty: Bool { own.isEmpty && published.isEmpty && others.isEmpty }
  }

  /// What logical switches without a key get instead.
  ///
  /// - Parameter bound: those that our ports are bound to.
  mutating func readKeyless(_ rows: [HardwareVTEP.LogicalSwitch], bound: Set<RowID>) {
    guard !rows.isEmpty else { return }
    let keys = keysOfLocators(in: withoutKey)
    let allKeys = keys.values.reduce(into: Set<VNI>()) { $0.formUnion($1.own.union($1.published).union($1.others)) }
    for row in rows {
      let used = keys[row.id] ?? Keys()
      if !used.isEmpty {
        if used.own.count > 1 {
          faults.messages.insert("logical switch '\(row.name)': our locators have several tunnel keys; using the lowest")
        }
        let wanted = used.own.min() ?? used.published.min() ?? (used.others.count == 1 ? used.others.first : nil)
        // Nobody has chosen: we do, and publish it.
        let vni = wanted ?? freeVNI(for: row.id, besides: allKeys)
        guard let vni else { continue }
        if let other = layer.switches[vni] {
          faults.report(network: row.id, "logical switch '\(row.name)': our key \(vni) is already used by '\(other.name)'")
          continue
        }
        add(row, vni)
        ownKeys[row.id] = vni
      } else {
        keyless[row.name] = row.id
        guard bound.contains(row.id), let vni = freeVNI(for: row.id, besides: allKeys) else { continue }
        layer.switches[vni] = LogicalSwitchSettings(name: row.name)
        layer.switches[vni]?.isLocal = true
        layer.switches[vni]?.neighborSuppression = .off
        localVNIs[row.id] = vni
      }
    }
  }

  private mutating func keysOfLocators(in switches: Set<RowID>) -> [RowID: Keys] {
    let keyed = replica.all(HardwareVTEP.Locator.self, in: .locator).compactMapValues { row -> (key: VNI, isOwn: Bool)? in
      guard let key = row.tunnelKey, key != 0, let vni = VNI(key) else { return nil }
      return (vni, IPAddress(database: row.destinationIP).map(ownAddresses.contains) ?? false)
    }
    guard !keyed.isEmpty else { return [:] }
    var found: [RowID: Keys] = [:]
    func note(_ locator: RowID, in logicalSwitch: RowID, isRemote: Bool) {
      guard let (key, isOwn) = keyed[locator] else { return }
      if isRemote && isOwn { found[logicalSwitch, default: Keys()].own.insert(key) }
      if isRemote && !isOwn { found[logicalSwitch, default: Keys()].others.insert(key) }
      if !isRemote && isOwn { found[logicalSwitch, default: Keys()].published.insert(key) }
    }
    for (id, row) in replica.rows(HardwareVTEP.Table.ucastMacsRemote.rawValue) {
      guard let row = HardwareVTEP.UcastMAC(id, row), switches.contains(row.logicalSwitch) else { continue }
      note(row.locator, in: row.logicalSwitch, isRemote: true)
    }
    for table in [HardwareVTEP.Table.mcastMacsRemote, .mcastMacsLocal] {
      for row in replica.all(HardwareVTEP.McastMAC.self, in: table).values where switches.contains(row.logicalSwitch) {
        let set = replica.one(HardwareVTEP.LocatorSet.self, in: .locatorSet, row.locatorSet)
        for locator in set?.locators ?? [] { note(locator, in: row.logicalSwitch, isRemote: table == .mcastMacsRemote) }
      }
    }
    return found
  }

  /// A VNI that nothing uses, the same one each time as far as possible: from the upper end of the range, by the row's number.
  private func freeVNI(for id: RowID, besides taken: Set<VNI>) -> VNI? {
    let start = UInt32(truncatingIfNeeded: (id.high ^ id.low) % 0x10_0000)
    for step in 0..<0x10_0000 as Range<UInt32> {
      let vni = VNI(truncating: 0xf0_0000 | (start &+ step) & 0xf_ffff)
      if layer.switches[vni] == nil, !taken.contains(vni) { return vni }
    }
    return nil
  }
}
