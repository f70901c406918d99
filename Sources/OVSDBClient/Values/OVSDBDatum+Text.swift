// OVSDBDatum+Text: conversion between values and their text in messages, RFC 7047 §5.1. Reading needs the column's type: the text
// alone does not tell a set of one from a scalar, or 1 from a real.

extension JSONReader {
  /// Consumes the value of a column of this type.
  mutating func datum(_ type: ColumnType) throws(JSONError) -> OVSDBDatum {
    guard let valueType = type.value else {
      guard try peek() == UInt8(ascii: "[") else { return OVSDBDatum(try atom(type.key)) }
      return try set(of: type.key)
    }
    let start = position
    try enterArray()
    guard equals(try text(), "map") else { throw JSONError(.mismatch(expected: "a map"), offset: start) }
    try comma()
    let datum = try map(of: type.key, valueType)
    try endArray()
    return datum
  }

  /// Consumes a set, or a single UUID, which also begins like a set.
  private mutating func set(of type: BaseType) throws(JSONError) -> OVSDBDatum {
    let start = position
    try enterArray()
    let tag = try text()
    try comma()
    if equals(tag, "set") {
      var atoms: [OVSDBAtom] = []
      var count = 0
      try enterArray()
      while try moreElements(&count) { atoms.append(try atom(type)) }
      try endArray()
      return atoms.isEmpty ? .emptySet : OVSDBDatum(storage: OVSDBDatum.normalized(atoms))
    }
    guard equals(tag, "uuid"), type.kind == .uuid else { throw JSONError(.mismatch(expected: "a set of \(type.kind)"), offset: start) }
    let id = try rowID(text())
    try endArray()
    return OVSDBDatum(.uuid(id))
  }

  /// Consumes the pairs of a map.
  private mutating func map(of key: BaseType, _ value: BaseType) throws(JSONError) -> OVSDBDatum {
    var pairs: [OVSDBDatum.Pair] = []
    var count = 0
    try enterArray()
    while try moreElements(&count) {
      try enterArray()
      let key = try atom(key)
      try comma()
      pairs.append(OVSDBDatum.Pair(key: key, value: try atom(value)))
      try endArray()
    }
    return pairs.isEmpty ? .emptyMap : OVSDBDatum(storage: .map(OVSDBDatum.normalized(pairs)))
  }

  /// Consumes an atom of this type.
  mutating func atom(_ type: BaseType) throws(JSONError) -> OVSDBAtom {
    let first = try peek()
    let start = position
    switch type.kind {
    case .string where first == UInt8(ascii: "\""): return .string(try string())
    case .uuid where first == UInt8(ascii: "["):
      try enterArray()
      guard equals(try text(), "uuid") else { throw JSONError(.mismatch(expected: "a UUID"), offset: start) }
      try comma()
      let id = try rowID(text())
      try endArray()
      return .uuid(id)
    case .integer where Self.beginsNumber(first):
      switch try number() {
      case .integer(let value): return .integer(value)
      // "1e3" is an integer too, as Open vSwitch reads it.
      case .real(let value):
        if let value = Int64(exactly: value) { return .integer(value) }
      }
    case .real where Self.beginsNumber(first):
      switch try number() {
      case .integer(let value): return .real(Double(value))
      case .real(let value): return .real(value)
      }
    case .boolean where first == UInt8(ascii: "t"):
      try literal("true")
      return .boolean(true)
    case .boolean where first == UInt8(ascii: "f"):
      try literal("false")
      return .boolean(false)
    default: break
    }
    throw JSONError(.mismatch(expected: "a value of type \(type.kind)"), offset: start)
  }

  private static func beginsNumber(_ octet: UInt8) -> Bool {
    octet == UInt8(ascii: "-") || octet &- UInt8(ascii: "0") < 10
  }
}

extension OVSDBAtom {
  /// The wire format.
  public var json: JSONValue {
    switch self {
    case .integer(let value): .integer(value)
    case .real(let value): .real(value)
    case .boolean(let value): .boolean(value)
    case .string(let value): .string(value)
    case .uuid(let value): ["uuid", .string(value.description)]
    case .named(let value): ["named-uuid", .string(value)]
    }
  }
}

extension OVSDBDatum {
  /// The wire format.
  public var json: JSONValue {
    switch storage {
    case .one(let atom): atom.json
    case .set(let atoms): ["set", .array(atoms.map(\.json))]
    case .map(let pairs): ["map", .array(pairs.map { [$0.key.json, $0.value.json] })]
    }
  }
}
