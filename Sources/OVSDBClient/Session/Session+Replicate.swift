// Session+Replicate: from the new connection to the replica, and the updates that keep it current.

extension Session {
  /// The answer to `get_schema _Server`; nil: the server is too old for it, and therefore not clustered.
  mutating func handleServerSchema(_ text: RawSpan, _ result: Int?, _ events: inout [SessionEvent]) throws {
    guard let result else { return requestSchema() }
    let schema = try DatabaseSchema(try value(text, result))
    let database = Replica(schema: schema, columns: [ServerDatabase.table: ServerDatabase.columns])
    guard let layout = database.layouts[ServerDatabase.table] else { return requestSchema() }
    server = database
    request(.setDBChangeAware(true), .ignored)
    let condition = OVSDBCondition("name", .equal, OVSDBDatum(configuration.database))
    request(
      .monitorCond(
        database: ServerDatabase.database, id: Self.serverMonitorID,
        tables: [MonitoredTable(table: ServerDatabase.table, columns: layout.columns, conditions: [condition])]), .serverMonitor)
  }

  /// The database's first row in `_Server`; nil if the server does not provide it.
  mutating func handleServerMonitor(_ text: RawSpan, _ result: Int?, _ events: inout [SessionEvent]) throws {
    guard let result, let layouts = server?.layouts else {
      server = nil
      return requestSchema()
    }
    var reader = JSONReader(text, at: result, depth: configuration.limits.depth)
    let updates = try reader.tableUpdates(.differences, layouts: layouts)
    server?.load(updates)
    phase = .waiting
    events.append(.server(serverDatabase))
    proceed(&events)
  }

  /// Continues if the server is suitable.
  mutating func proceed(_ events: inout [SessionEvent]) {
    guard case .waiting = phase else { return }
    if server != nil {
      guard let database = serverDatabase, database.isConnected else { return }
      if configuration.requiresLeader && database.model == .clustered && !database.isLeader { return }
    }
    requestSchema()
  }

  private mutating func requestSchema() {
    phase = .schema
    request(.getSchema(database: configuration.database), .schema)
  }

  /// The schema. The previous replica stays the base if its layout is the same.
  mutating func handleSchema(_ json: JSONValue) throws {
    let schema = try DatabaseSchema(json)
    if replica?.schema != schema { next = Replica(schema: schema, columns: configuration.columns) } else { next = replica }
    requestMonitor(.condSince)
  }

  private mutating func requestMonitor(_ method: MonitorMethod) {
    guard let next else { return }
    let database = configuration.database
    let tables = next.layouts.values.sorted { $0.table < $1.table }.map { MonitoredTable(table: $0.table, columns: $0.columns) }
    phase = .monitor(method)
    let monitor: OVSDBRequest =
      switch method {
      case .condSince:
        .monitorCondSince(database: database, id: Self.monitorID, tables: tables, lastTransaction: next.lastTransaction)
      case .cond: .monitorCond(database: database, id: Self.monitorID, tables: tables)
      case .plain: .monitor(database: database, id: Self.monitorID, tables: tables)
      }
    request(monitor, .monitor(method))
  }

  /// A server that does not support the method supports an older one.
  mutating func handleRefusedMonitor(_ method: MonitorMethod, _ error: JSONValue) throws {
    guard let next = method.next else { throw Self.refused("monitor \(configuration.database)", error) }
    requestMonitor(next)
  }

  /// The first contents, or what changed since the last connection.
  mutating func handleMonitor(_ method: MonitorMethod, _ text: RawSpan, _ result: Int, _ events: inout [SessionEvent]) throws {
    guard var next else { return }
    var reader = JSONReader(text, at: result, depth: configuration.limits.depth)
    var isDifference = false
    var lastTransaction = RowID.zero
    if method == .condSince {
      try reader.enterArray()
      isDifference = try reader.atom(BaseType(.boolean)).boolean ?? false
      try reader.comma()
      lastTransaction = try reader.rowID(reader.text())
      try reader.comma()
    }
    let updates = try reader.tableUpdates(method.format, layouts: next.layouts)
    if isDifference {
      _ = try applying(updates, to: &next)
    } else {
      next.empty()
      next.load(updates)
    }
    next.lastTransaction = lastTransaction
    replica = next
    self.next = nil
    phase = .ready(method)
    events.append(.connected(next))
  }

  /// `update`, `update2`, `update3`.
  mutating func handleUpdate(_ method: String, _ text: RawSpan, _ parameters: Int, _ events: inout [SessionEvent]) throws {
    var reader = JSONReader(text, at: parameters, depth: configuration.limits.depth)
    try reader.enterArray()
    let id = try reader.value()
    try reader.comma()
    let format = method == "update" ? TableUpdates.Format.oldAndNew : .differences
    if id == Self.serverMonitorID, var server {
      let changes = try server.apply(try reader.tableUpdates(format, layouts: server.layouts))
      self.server = server
      if !changes.isEmpty { events.append(.server(serverDatabase)) }
      proceed(&events)
    } else if id == Self.monitorID, case .ready = phase, var replica {
      var lastTransaction = RowID.zero
      if method == "update3" {
        lastTransaction = try reader.rowID(reader.text())
        try reader.comma()
      }
      let changes = try applying(try reader.tableUpdates(format, layouts: replica.layouts), to: &replica)
      replica.lastTransaction = lastTransaction
      self.replica = replica
      if !changes.isEmpty { events.append(.changed(changes, replica)) }
    } else if id != Self.monitorID {
      events.append(.notification(method: method, try value(text, parameters)))
    }
  }

  /// Applies a difference. If it does not fit, our replica is not what the server assumes: the next connection fetches everything.
  private mutating func applying(_ updates: TableUpdates, to replica: inout Replica) throws(OVSDBError) -> [TableChange] {
    do {
      return try replica.apply(updates)
    } catch {
      self.replica?.lastTransaction = .zero
      throw error
    }
  }
}
