// MonitoredTable: RFC 7047 §4.1.5 `<monitor-request>`: what is replicated of a table.

/// A table to be monitored.
public struct MonitoredTable: Sendable, Equatable {
  public var table: String
  public var columns: [String]
  /// Only rows that match any of these; empty means all. `monitor` does not know conditions.
  public var conditions: [OVSDBCondition]

  public init(table: String, columns: [String], conditions: [OVSDBCondition] = []) {
    self.table = table
    self.columns = columns
    self.conditions = conditions
  }

  static func json(_ tables: [MonitoredTable], hasConditions: Bool) -> JSONValue {
    var members: [String: JSONValue] = [:]
    for table in tables {
      var request: [String: JSONValue] = ["columns": .array(table.columns.map(JSONValue.string))]
      if hasConditions && !table.conditions.isEmpty { request["where"] = .array(table.conditions.map(\.json)) }
      members[table.table] = [.object(request)]
    }
    return .object(members)
  }
}
