// DatabaseSchema+JSON: reads the answer to `get_schema`, RFC 7047 §3.2. Unknown members are ignored: later servers may describe a
// column in more detail.

extension DatabaseSchema {
  /// Reads a schema.
  ///
  /// - Throws: `malformed`, with the table and column.
  public init(_ json: JSONValue) throws(OVSDBError) {
    guard let name = json["name"]?.text, let tables = json["tables"]?.members else {
      throw .malformed("the schema has no 'name' or no 'tables'")
    }
    self.name = name
    version = json["version"]?.text ?? ""
    self.tables = [:]
    for (name, table) in tables { self.tables[name] = try TableSchema(name, table) }
  }
}

extension TableSchema {
  fileprivate init(_ name: String, _ json: JSONValue) throws(OVSDBError) {
    guard let columns = json["columns"]?.members else { throw .malformed("schema: table \(name) has no 'columns'") }
    self.name = name
    self.columns = [:]
    for (column, definition) in columns { self.columns[column] = try ColumnSchema(column, definition, table: name) }
    isRoot = json["isRoot"] == .boolean(true)
    maximumRows = json["maxRows"]?.integer ?? .max
    indexes = (json["indexes"]?.elements ?? []).map { ($0.elements ?? []).compactMap(\.text) }
  }
}

extension ColumnSchema {
  fileprivate init(_ name: String, _ json: JSONValue, table: String) throws(OVSDBError) {
    guard let type = json["type"].flatMap(ColumnType.init(json:)) else {
      throw .malformed("schema: table \(table), column \(name): a type that RFC 7047 does not define")
    }
    self.name = name
    self.type = type
    isEphemeral = json["ephemeral"] == .boolean(true)
    isMutable = json["mutable"] != .boolean(false)
  }
}

extension ColumnType {
  fileprivate init?(json: JSONValue) {
    guard case .object(let members) = json else {
      guard let key = BaseType(json: json) else { return nil }
      self.init(key: key)
      return
    }
    guard let key = members["key"].flatMap(BaseType.init(json:)) else { return nil }
    var value: BaseType?
    if let json = members["value"] {
      guard let type = BaseType(json: json) else { return nil }
      value = type
    }
    let maximum = members["max"] == "unlimited" ? Int.max : members["max"]?.integer ?? 1
    let minimum = members["min"]?.integer ?? 1
    guard minimum == 0 || minimum == 1, maximum >= 1 else { return nil }
    self.init(key: key, value: value, minimum: minimum, maximum: maximum)
  }
}

extension BaseType {
  fileprivate init?(json: JSONValue) {
    if let kind = json.text.flatMap(Kind.init) {
      self.init(kind)
      return
    }
    guard let kind = json["type"]?.text.flatMap(Kind.init) else { return nil }
    self.init(
      kind, enumeration: json["enum"].map(Self.enumeration), referencedTable: json["refTable"]?.text,
      isWeakReference: json["refType"] == "weak")
  }

  private static func enumeration(_ json: JSONValue) -> OVSDBDatum {
    let values = json.elements.map { $0.first == "set" ? $0.last?.elements ?? [] : [] } ?? [json]
    return OVSDBDatum(set: values.compactMap(OVSDBAtom.init(enumerated:)))
  }
}

extension OVSDBAtom {
  /// A value that an enumeration allows; UUIDs are never enumerated.
  fileprivate init?(enumerated json: JSONValue) {
    switch json {
    case .integer(let value): self = .integer(value)
    case .real(let value): self = .real(value)
    case .boolean(let value): self = .boolean(value)
    case .string(let value): self = .string(value)
    case .null, .array, .object: return nil
    }
  }
}
