// MonitoredTable: RFC 7047 §4.1.5 `<monitor-request>`: what to replicate from a table.

/// A table to monitor.
public struct MonitoredTable: Sendable, Equatable {
  public var table: String
  public var columns: [String]
  /// Only rows that match any of these; empty: all. `monitor` does not support conditions.
  public var conditions: [OVSDBCondition]

  public init(table: String, columns: [String], conditions: [OVSDBCondition] = []) {
    self.table = table
    self.columns = columns
    self.conditions = conditions
  }

  /// `<monitor-requests>`.
  static func json(_ tables: [MonitoredTable], hasConditions: Bool) -> JSONValue {
    json(tables) { table in
      var request: [String: JSONValue] = ["columns": .array(table.columns.map(JSONValue.string))]
      if hasConditions && !table.conditions.isEmpty { request["where"] = .array(table.conditions.map(\.json)) }
      return request
    }
  }

  /// `<monitor-cond-update-requests>`: the columns stay the same; no condition: all rows match.
  static func conditionsJSON(_ tables: [MonitoredTable]) -> JSONValue {
    json(tables) { ["where": $0.conditions.isEmpty ? [true] : .array($0.conditions.map(\.json))] }
  }

  private static func json(_ tables: [MonitoredTable], _ request: (MonitoredTable) -> [String: JSONValue]) -> JSONValue {
    .object(Dictionary(tables.map { ($0.table, [.object(request($0))]) }, uniquingKeysWith: { $1 }))
  }
}
