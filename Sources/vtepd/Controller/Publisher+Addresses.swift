// Publisher+Addresses: Ucast_Macs_Local, the stations behind our ports, and Mcast_Macs_Local, which tells other VTEPs to flood a
// logical switch to us. Rows with our locator are ours.

import Encap
import OVSDBClient
import VTEP

extension Publisher {
  mutating func publishAddresses(_ plan: inout Plan, now: Double) {
    let (own, extra) = ownAddresses(&plan)
    for row in extra { plan.add(row.deletion(from: .ucastMacsLocal)) }
    var present: Set<ControllerMapping.AddressKey> = []
    for station in plan.state.stations.sorted(by: { ($0.vni, $0.mac) < ($1.vni, $1.mac) }) {
      guard let logicalSwitch = plan.logicalSwitches[station.vni] else { continue }
      let place = ControllerMapping.AddressKey(logicalSwitch: logicalSwitch, mac: station.mac)
      present.insert(place)
      let address = station.address?.description ?? ""
      if let row = own[place] {
        var new = row
        // A station that has not claimed its address since our start may have claimed it before.
        if !address.isEmpty { new.ipAddress = address }
        plan.add(row.update(to: new, in: .ucastMacsLocal))
      } else if plan.operations.count < Self.batch, let locator = plan.ownLocator(for: logicalSwitch) {
        let row = HardwareVTEP.UcastMAC(mac: "\(station.mac)", logicalSwitch: logicalSwitch, locator: .zero, ipAddress: address)
        plan.add(row.insertion(into: .ucastMacsLocal, references: ["locator": OVSDBDatum(locator)]))
      }
    }
    for (place, row) in own where !present.contains(place) && !isAdopted(place, plan, now: now) && plan.operations.count < Self.batch {
      plan.add(row.deletion(from: .ucastMacsLocal))
    }
    known.formUnion(present)
    // Rows that somebody else deleted from the database stay deleted.
    known.formIntersection(present.union(own.keys))
  }

  /// Removes all of our addresses and flood sets.
  func withdrawAddresses(_ plan: inout Plan) {
    let (own, extra) = ownAddresses(&plan)
    for row in own.values.sorted(by: { $0.id < $1.id }) + extra { plan.add(row.deletion(from: .ucastMacsLocal)) }
    publishFloodSets(&plan)
  }

  /// An address published before our start, in a logical switch that is still bound here, and not claimed by anyone else.
  private func isAdopted(_ place: ControllerMapping.AddressKey, _ plan: Plan, now: Double) -> Bool {
    guard now < adoptionEndSeconds, !known.contains(place), !plan.isRemote(place) else { return false }
    return plan.state.boundVNIs.contains { plan.logicalSwitches[$0] == place.logicalSwitch }
  }

  /// Our rows by key, plus duplicates and rows without a valid key.
  private func ownAddresses(_ plan: inout Plan) -> (
    own: [ControllerMapping.AddressKey: HardwareVTEP.UcastMAC], extra: [HardwareVTEP.UcastMAC]
  ) {
    var own: [ControllerMapping.AddressKey: HardwareVTEP.UcastMAC] = [:]
    var extra: [HardwareVTEP.UcastMAC] = []
    let (locators, former) = (plan.ownLocatorIDs, plan.formerLocatorIDs)
    guard !locators.isEmpty || !former.isEmpty else { return ([:], []) }
    for (id, row) in plan.replica.rows(HardwareVTEP.Table.ucastMacsLocal.rawValue) {
      guard let row = HardwareVTEP.UcastMAC(id, row) else { continue }
      if former.contains(row.locator) { extra.append(row) }
      guard locators.contains(row.locator) else { continue }
      guard let mac = MACAddress(database: row.mac), plan.isOurs(row.locator, for: row.logicalSwitch) else {
        extra.append(row)
        continue
      }
      let place = ControllerMapping.AddressKey(logicalSwitch: row.logicalSwitch, mac: mac)
      if let other = own[place] {
        own[place] = other.id < row.id ? other : row
        extra.append(other.id < row.id ? row : other)
      } else {
        own[place] = row
      }
    }
    return (own, extra)
  }

  /// One row `unknown-dst` for each logical switch that is bound here, with a set of only our locator.
  func publishFloodSets(_ plan: inout Plan) {
    let all = plan.replica.all(HardwareVTEP.LocatorSet.self, in: .locatorSet).values
    func sets(of locators: Set<RowID>) -> [RowID: Set<RowID>] {
      let fitting = all.filter { !$0.locators.isEmpty && $0.locators.isSubset(of: locators) }
      return Dictionary(uniqueKeysWithValues: fitting.map { ($0.id, $0.locators) })
    }
    let ownSets = sets(of: plan.ownLocatorIDs)
    let formerSets = sets(of: plan.formerLocatorIDs)
    func isOurs(_ set: RowID, for logicalSwitch: RowID) -> Bool {
      ownSets[set]?.allSatisfy { plan.isOurs($0, for: logicalSwitch) } ?? false
    }
    var missing = Set(plan.state.boundVNIs.compactMap { plan.logicalSwitches[$0] })
    var deletions: [OVSDBOperation?] = []
    for row in plan.replica.all(HardwareVTEP.McastMAC.self, in: .mcastMacsLocal).values.sorted(by: { $0.id < $1.id })
    where ownSets[row.locatorSet] != nil || formerSets[row.locatorSet] != nil {
      let isWanted =
        isOurs(row.locatorSet, for: row.logicalSwitch) && row.isUnknownDestination && missing.remove(row.logicalSwitch) != nil
      if !isWanted { deletions.append(row.deletion(from: .mcastMacsLocal)) }
    }
    for deletion in deletions { plan.add(deletion) }
    var new: [UInt32: OVSDBAtom] = [:]
    for logicalSwitch in missing.sorted() {
      let key = plan.ownKeys[logicalSwitch]?.rawValue ?? 0
      var reference = ownSets.keys.filter { isOurs($0, for: logicalSwitch) }.min().map(OVSDBAtom.uuid) ?? new[key]
      if reference == nil, let locator = plan.ownLocator(for: logicalSwitch) {
        let name = key == 0 ? "own_set" : "own_set\(key)"
        plan.add(.insert(table: HardwareVTEP.Table.locatorSet.rawValue, row: ["locators": OVSDBDatum(locator)], name: name))
        reference = .named(name)
        new[key] = reference
      }
      guard let reference else { return }
      let row = HardwareVTEP.McastMAC(
        mac: HardwareVTEP.McastMAC.unknownDestination, logicalSwitch: logicalSwitch, locatorSet: .zero)
      plan.add(row.insertion(into: .mcastMacsLocal, references: ["locator_set": OVSDBDatum(reference)]))
    }
  }
}
