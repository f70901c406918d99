// ControllerAgent+Verify: compares the controller's database with the replica, and with what we ought to have published.

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
    return await unpublished() + stale(client)
  }

  /// Writes what is missing, without waiting for a change.
  func republish() {
    (compared, described, stations) = (nil, nil, nil)
    hasNews = true
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
