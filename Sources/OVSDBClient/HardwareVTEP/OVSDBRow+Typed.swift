// OVSDBRow+Typed: columns as the types used in rows of hardware_vtep. Missing columns read as empty.

extension OVSDBRow {
  /// A string; empty when missing.
  func text(_ column: String) -> String { self[column]?.text ?? "" }

  /// An optional string.
  func optionalText(_ column: String) -> String? { self[column]?.text }

  /// An optional whole number.
  func optionalInteger(_ column: String) -> Int64? { self[column]?.scalar?.integer }

  /// A whole number; 0 when missing.
  func integer(_ column: String) -> Int64 { optionalInteger(column) ?? 0 }

  /// A set of strings.
  func texts(_ column: String) -> Set<String> { Set(self[column]?.texts ?? []) }

  /// A reference to exactly one row; nil when missing.
  func reference(_ column: String) -> RowID? { self[column]?.scalar?.rowID }

  /// References to rows.
  func references(_ column: String) -> Set<RowID> { Set(self[column]?.rowIDs ?? []) }

  /// A map of strings.
  func strings(_ column: String) -> [String: String] { self[column]?.strings ?? [:] }

  /// A map from VLAN identifiers to rows.
  func vlanMap(_ column: String) -> [UInt16: RowID] {
    var map: [UInt16: RowID] = [:]
    for pair in self[column]?.pairs ?? [] {
      if let vlan = pair.key.integer.flatMap(UInt16.init(exactly:)), let id = pair.value.rowID { map[vlan] = id }
    }
    return map
  }

  /// A map from names to rows.
  func rowMap(_ column: String) -> [String: RowID] {
    var map: [String: RowID] = [:]
    for pair in self[column]?.pairs ?? [] {
      if let key = pair.key.text, let id = pair.value.rowID { map[key] = id }
    }
    return map
  }
}

extension OVSDBDatum {
  /// A set of strings.
  public init(_ texts: Set<String>) { self.init(set: texts.map(OVSDBAtom.string)) }

  /// A reference to one row.
  public init(_ id: RowID) { self.init(.uuid(id)) }

  /// References to rows.
  public init(_ ids: Set<RowID>) { self.init(set: ids.map(OVSDBAtom.uuid)) }

  /// A map from VLAN identifiers to rows.
  public init(_ map: [UInt16: RowID]) { self.init(map: map.map { Pair(key: .integer(Int64($0.key)), value: .uuid($0.value)) }) }

  /// A map from names to rows.
  public init(_ map: [String: RowID]) { self.init(map: map.map { Pair(key: .string($0.key), value: .uuid($0.value)) }) }

  /// A whole number.
  public init(_ value: some SignedInteger & FixedWidthInteger) { self.init(.integer(Int64(value))) }

  /// A whole number or nothing.
  public init(optional value: Int64?) { self.init(optional: value.map(OVSDBAtom.integer)) }

  /// A string or nothing.
  public init(optional text: String?) { self.init(optional: text.map(OVSDBAtom.string)) }
}
