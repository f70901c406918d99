// JSONValue+Text: conversion between a tree and its text (RFC 8259).

extension JSONReader {
  /// Consumes any value.
  mutating func value() throws(JSONError) -> JSONValue {
    switch try peek() {
    case UInt8(ascii: "{"):
      var members: [String: JSONValue] = [:]
      var count = 0
      try enterObject()
      while try moreMembers(&count) {
        let name = try name()
        members[try string(name)] = try value()
      }
      return .object(members)
    case UInt8(ascii: "["):
      var elements: [JSONValue] = []
      var count = 0
      try enterArray()
      while try moreElements(&count) { elements.append(try value()) }
      return .array(elements)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"):
      try literal("true")
      return .boolean(true)
    case UInt8(ascii: "f"):
      try literal("false")
      return .boolean(false)
    case UInt8(ascii: "n"):
      try literal("null")
      return .null
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
      switch try number() {
      case .integer(let value): return .integer(value)
      case .real(let value): return .real(value)
      }
    case let other: throw JSONError(.unexpected(other, expected: "a value"), offset: position)
    }
  }
}

extension JSONValue {
  /// Reads one complete JSON text.
  public init(parsing text: some Sequence<UInt8>, depth: Int = JSONLimits().depth) throws(JSONError) {
    let bytes = Array(text)
    var reader = JSONReader(bytes.span.bytes, depth: depth)
    self = try reader.value()
    try reader.end()
  }

  /// The text, in UTF-8 on one line, members sorted by name.
  public var encoded: [UInt8] {
    var bytes: [UInt8] = []
    append(to: &bytes)
    return bytes
  }

  /// Appends the text.
  func append(to bytes: inout [UInt8]) {
    switch self {
    case .null: bytes.append(contentsOf: "null".utf8)
    case .boolean(let value): bytes.append(contentsOf: (value ? "true" : "false").utf8)
    case .integer(let value): bytes.append(contentsOf: String(value).utf8)
    // JSON has no infinity; neither has OVSDB.
    case .real(let value): bytes.append(contentsOf: (value.isFinite ? "\(value)" : "null").utf8)
    case .string(let text): Self.append(text, to: &bytes)
    case .array(let elements):
      bytes.append(UInt8(ascii: "["))
      for (index, element) in elements.enumerated() {
        if index > 0 { bytes.append(UInt8(ascii: ",")) }
        element.append(to: &bytes)
      }
      bytes.append(UInt8(ascii: "]"))
    case .object(let members):
      bytes.append(UInt8(ascii: "{"))
      for (index, member) in members.sorted(by: { $0.key < $1.key }).enumerated() {
        if index > 0 { bytes.append(UInt8(ascii: ",")) }
        Self.append(member.key, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        member.value.append(to: &bytes)
      }
      bytes.append(UInt8(ascii: "}"))
    }
  }

  private static func append(_ text: String, to bytes: inout [UInt8]) {
    bytes.append(UInt8(ascii: "\""))
    for octet in text.utf8 {
      switch octet {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        bytes.append(UInt8(ascii: "\\"))
        bytes.append(octet)
      case 0..<0x20, 0x7f:
        bytes.append(contentsOf: "\\u00".utf8)
        bytes.append(hexadecimal(octet >> 4))
        bytes.append(hexadecimal(octet & 15))
      default: bytes.append(octet)
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }

  private static func hexadecimal(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
  }
}

extension JSONValue: CustomStringConvertible {
  public var description: String { String(decoding: encoded, as: UTF8.self) }
}
