// ControllerAgent+Verify: compares the controller's database with the replica, with what the data plane has of it, and with what we ought to
// have published.

import Encap
import OVSDBClient
import VTEP

extension ControllerAgent {
  /// What differs now. Empty while a transaction is on its way.
  ///
  /// - Parameter lastError: why there is no connection.
  func discrepancies(_ lastError: String?) async -> [Discrepancy] {
    guard !isWithdrawn, !isPublishing else { return [] }
    guard let client, mapping.replica != nil else {
      return [
        Discrepancy(
          .database, "controller's database", intended: "connected", actual: lastError.map { "not connected: \($0)" } ?? "not connected")
      ]
    }
    return await unpublished() + unapplied() + stale(client)
  }

  /// Writes what is missing, and applies the whole database, without waiting for a change.
  func republish() async {
    (compared, described, stations) = (nil, nil, nil)
    hasNews = true
    if client != nil, let reconciler { await applyAll(reconciler) }
  }

  /// A remote address as the database and as the data plane have it.
  private struct Station: Equatable {
    var destination: TunnelDestination?
    var addresses: [IPAddress]
  }

  /// What of the replica the data plane has otherwise.
  private func unapplied() async -> [Discrepancy] {
    guard let reconciler else { return [] }
    var trial = mapping
    let wanted = hold.soften(trial.everything(), mapping)
    let actual = await reconciler.controllerState()
    func stations(_ addresses: [ControllerEdit.Address]) -> [MACKeyOfVNI: Station] {
      let known = addresses.filter { wanted.complete.contains($0.vni) && $0.destination != nil }
      return Dictionary(
        known.map { (MACKeyOfVNI(vni: $0.vni, mac: $0.mac), Station(destination: $0.destination, addresses: $0.addresses)) }
      ) { $1 }
    }
    let layer = (wanted.layer ?? actual.layer).discrepancies(actual.layer)
    return layer
      + ControllerLayer.differences(stations(wanted.addresses), stations(actual.addresses(of: wanted.complete))) { key, _ in
        "address \(key.mac) in VNI \(key.vni)"
      }
  }

  private struct MACKeyOfVNI: Hashable {
    var vni: VNI
    var mac: MACAddress
  }

  /// The operations that would bring the database in line.
  private func unpublished() async -> [Discrepancy] {
    guard let state = await currentState() else { return [] }
    var trial = publisher
    return trial.operations(state, mapping, now: now).map { operation in
      let table = operation.table ?? "database"
      return switch operation {
      case .insert: Discrepancy(.database, table, intended: "a row \(operation.content)", actual: "there is none")
      case .delete: Discrepancy(.database, table, intended: "no row \(operation.content)", actual: "there is one")
      default: Discrepancy(.database, table, intended: "\(operation.content)", actual: "the row differs")
      }
    }
  }

  /// Tables of the replica that are not as in the database.
  private func stale(_ client: OVSDBClient) async -> [Discrepancy] {
    let tables = mapping.replica?.tables.keys.sorted() ?? []
    let operations = tables.map { OVSDBOperation.select(table: $0, where: [], columns: ["_uuid"]) }
    guard let results = try? await client.transact(operations), let replica = mapping.replica else { return [] }
    return zip(tables, results).compactMap { table, result in
      guard case .rows(let rows) = result else { return nil }
      let (there, here) = (Set(rows.compactMap(\.id)), Set(replica.rows(table).keys))
      guard there != here else { return nil }
      return Discrepancy(
        .database, table, intended: "the \(there.count) rows of the database",
        actual: "\(there.subtracting(here).count) are not known, \(here.subtracting(there).count) are gone")
    }
  }
}

extension OVSDBOperation {
  /// What it writes, or to which rows, as JSON.
  fileprivate var content: String {
    guard case .object(var members) = json else { return "" }
    for key in ["op", "table", "uuid-name"] { members[key] = nil }
    let text = members.count == 1 ? "\(members.values.first.map(\.description) ?? "")" : JSONValue.object(members).description
    return text.count > 300 ? text.prefix(300) + "…" : text
  }
}
