// OVSDBOperation+JSON: operations on the wire, RFC 7047 §5.2.

extension OVSDBOperation {
  /// The wire format.
  public var json: JSONValue {
    var members: [String: JSONValue] = ["op": .string(name)]
    members["table"] = table.map(JSONValue.string)
    switch self {
    case .insert(_, let row, let name):
      members["row"] = Self.json(row)
      members["uuid-name"] = name.map(JSONValue.string)
    case .select(_, let conditions, let columns):
      members["where"] = .array(conditions.map(\.json))
      members["columns"] = columns.map { .array($0.map(JSONValue.string)) }
    case .update(_, let conditions, let row):
      members["where"] = .array(conditions.map(\.json))
      members["row"] = Self.json(row)
    case .mutate(_, let conditions, let mutations):
      members["where"] = .array(conditions.map(\.json))
      members["mutations"] = .array(mutations.map { [.string($0.column), .string($0.mutator.rawValue), $0.value.json] })
    case .delete(_, let conditions):
      members["where"] = .array(conditions.map(\.json))
    case .wait(_, let conditions, let columns, let isEqual, let rows, let timeout):
      members["where"] = .array(conditions.map(\.json))
      members["columns"] = .array(columns.map(JSONValue.string))
      members["until"] = isEqual ? "==" : "!="
      members["rows"] = .array(rows.map(Self.json))
      members["timeout"] = timeout.map { .integer(Int64($0)) }
    case .commit(let isDurable): members["durable"] = .boolean(isDurable)
    case .abort: break
    case .comment(let text): members["comment"] = .string(text)
    case .assert(let lock): members["lock"] = .string(lock)
    }
    return .object(members)
  }

  private static func json(_ row: [String: OVSDBDatum]) -> JSONValue {
    .object(row.mapValues(\.json))
  }
}

extension OVSDBCondition {
  /// The wire format.
  var json: JSONValue { [.string(column), .string(function.rawValue), value.json] }
}
