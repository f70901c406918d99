// OVSDBRequest: requests to a server, RFC 7047 §4.1, with the extensions of ovsdb-server(7).

/// A request to a server.
public enum OVSDBRequest: Sendable, Equatable {
  /// §4.1.1: the names of the databases.
  case listDatabases
  /// §4.1.2
  case getSchema(database: String)
  /// §4.1.3
  case transact(database: String, [OVSDBOperation])
  /// §4.1.5. Updates come as `update`, with `id`.
  case monitor(database: String, id: JSONValue, tables: [MonitoredTable])
  /// ovsdb-server(7) §4.1.12: rows can be selected. Updates come as `update2`.
  case monitorCond(database: String, id: JSONValue, tables: [MonitoredTable])
  /// ovsdb-server(7) §4.1.15: only changes since a transaction, if the server still has them. Updates come as `update3`.
  case monitorCondSince(database: String, id: JSONValue, tables: [MonitoredTable], lastTransaction: RowID)
  /// ovsdb-server(7) §4.1.13: other conditions for an existing monitor; its columns stay the same.
  case monitorCondChange(id: JSONValue, newID: JSONValue, tables: [MonitoredTable])
  /// §4.1.7
  case monitorCancel(id: JSONValue)
  /// §4.1.8: queues for the lock.
  case lock(String)
  /// §4.1.8: takes the lock from its owner.
  case steal(String)
  /// §4.1.8
  case unlock(String)
  /// §4.1.11
  case echo([JSONValue])
  /// ovsdb-server(7) §4.1.16: be notified instead of disconnected when a database is added, removed or converted.
  case setDBChangeAware(Bool)
  /// ovsdb-server(7) §4.1.17
  case getServerID

  /// The `method` member.
  public var method: String {
    switch self {
    case .listDatabases: "list_dbs"
    case .getSchema: "get_schema"
    case .transact: "transact"
    case .monitor: "monitor"
    case .monitorCond: "monitor_cond"
    case .monitorCondSince: "monitor_cond_since"
    case .monitorCondChange: "monitor_cond_change"
    case .monitorCancel: "monitor_cancel"
    case .lock: "lock"
    case .steal: "steal"
    case .unlock: "unlock"
    case .echo: "echo"
    case .setDBChangeAware: "set_db_change_aware"
    case .getServerID: "get_server_id"
    }
  }

  /// The `params` member.
  public var parameters: JSONValue {
    switch self {
    case .listDatabases, .getServerID: []
    case .getSchema(let database): [.string(database)]
    case .transact(let database, let operations): .array([.string(database)] + operations.map(\.json))
    case .monitor(let database, let id, let tables):
      [.string(database), id, MonitoredTable.json(tables, hasConditions: false)]
    case .monitorCond(let database, let id, let tables):
      [.string(database), id, MonitoredTable.json(tables, hasConditions: true)]
    case .monitorCondSince(let database, let id, let tables, let lastTransaction):
      [.string(database), id, MonitoredTable.json(tables, hasConditions: true), .string(lastTransaction.description)]
    case .monitorCondChange(let id, let newID, let tables):
      [id, newID, MonitoredTable.conditionsJSON(tables)]
    case .monitorCancel(let id): [id]
    case .lock(let name), .steal(let name), .unlock(let name): [.string(name)]
    case .echo(let values): .array(values)
    case .setDBChangeAware(let isAware): [.boolean(isAware)]
    }
  }
}
