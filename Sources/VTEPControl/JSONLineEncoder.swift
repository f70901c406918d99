// JSONLineEncoder: compact JSON (RFC 8259) with keys in alphabetical order, written straight into bytes. The text is that of Foundation's
// JSONEncoder with `.sortedKeys` and `.withoutEscapingSlashes`; that one builds a tree first, and reports have 200,000 members.

import FoundationEssentials

/// Encodes values as one line of JSON.
public enum JSONLine {
  /// - Throws: `EncodingError` for numbers that JSON has no form for.
  public static func encode(_ value: some Encodable) throws -> Data {
    let encoder = JSONLineEncoder()
    try encoder.encode(value)
    return Data(encoder.bytes)
  }
}

private final class JSONLineEncoder: Encoder {
  /// An array or object whose end has not been written.
  private struct Open {
    var isObject: Bool
    var hasMembers = false
    /// Keys with the position of each in `bytes`.
    var members: [(key: String, start: Int)] = []
  }

  var bytes: [UInt8] = []
  private var open: [Open] = []
  /// How many were open when the current value began.
  private var base = 0

  let codingPath: [any CodingKey] = []
  let userInfo: [CodingUserInfoKey: Any] = [:]

  /// A value that asks again gets the object that it has begun: two parts of a row may make one object (`PortRow`).
  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
    guard open.count > base, open[base].isObject else { return object(keyedBy: type) }
    end(to: base + 1)
    return KeyedEncodingContainer(Members<Key>(encoder: self, depth: base + 1))
  }

  fileprivate func object<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
    KeyedEncodingContainer(Members<Key>(encoder: self, depth: begin(isObject: true)))
  }

  func unkeyedContainer() -> any UnkeyedEncodingContainer { Elements(encoder: self, depth: begin(isObject: false)) }

  func singleValueContainer() -> any SingleValueEncodingContainer { Single(encoder: self) }

  // -- arrays and objects --------------------------------------------------------------------------------------------------------

  private func begin(isObject: Bool) -> Int {
    bytes.append(UInt8(ascii: isObject ? "{" : "["))
    open.append(Open(isObject: isObject))
    return open.count
  }

  /// Ends what was begun inside the container at `depth`.
  private func end(to depth: Int) {
    while open.count > depth {
      let ended = open.removeLast()
      if ended.isObject { sort(ended.members) }
      bytes.append(UInt8(ascii: ended.isObject ? "}" : "]"))
    }
  }

  /// Puts the members at the end of `bytes` into the order of their keys.
  private func sort(_ members: [(key: String, start: Int)]) {
    let sorted = members.indices.sorted { members[$0].key < members[$1].key }
    guard let first = members.first, !sorted.elementsEqual(members.indices) else { return }
    // No slice may be alive when `bytes` changes: all of it would be copied.
    var text: [UInt8] = []
    text.reserveCapacity(bytes.count - first.start)
    for index in sorted {
      // Each but the first begins behind a comma.
      let end = index + 1 < members.count ? members[index + 1].start - 1 : bytes.count
      if !text.isEmpty { text.append(UInt8(ascii: ",")) }
      text += bytes[members[index].start..<end]
    }
    bytes.replaceSubrange(first.start..., with: text)
  }

  fileprivate func beginMember(_ key: String, depth: Int) {
    beginElement(depth: depth)
    open[depth - 1].members.append((key, bytes.count))
    write(key)
    bytes.append(UInt8(ascii: ":"))
  }

  fileprivate func beginElement(depth: Int) {
    end(to: depth)
    if open[depth - 1].hasMembers { bytes.append(UInt8(ascii: ",")) }
    open[depth - 1].hasMembers = true
  }

  // -- values --------------------------------------------------------------------------------------------------------------------

  func encode(_ value: some Encodable) throws {
    let (depth, outer) = (open.count, base)
    let start = bytes.count
    base = depth
    try value.encode(to: self)
    end(to: depth)
    base = outer
    if bytes.count == start { bytes += "{}".utf8 }
  }

  fileprivate func writeNull() { bytes += "null".utf8 }

  fileprivate func write(_ value: Bool) { bytes += (value ? "true" : "false").utf8 }

  fileprivate func write(_ value: some BinaryInteger) {
    if let small = UInt8(exactly: value), small < 10 {
      bytes.append(UInt8(ascii: "0") + small)
    } else {
      bytes += String(value).utf8
    }
  }

  fileprivate func write(_ value: some BinaryFloatingPoint & LosslessStringConvertible) throws {
    guard value.isFinite else {
      throw EncodingError.invalidValue(value, .init(codingPath: [], debugDescription: "JSON has no number \(value)"))
    }
    let text = value.description
    bytes += (text.hasSuffix(".0") ? text.dropLast(2) : text[...]).utf8
  }

  fileprivate func write(_ text: String) {
    bytes.append(UInt8(ascii: "\""))
    var text = text
    text.withUTF8 { utf8 in
      if utf8.allSatisfy({ $0 >= 0x20 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }) {
        bytes.append(contentsOf: utf8)
      } else {
        utf8.forEach(writeEscaped)
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }

  private func writeEscaped(_ byte: UInt8) {
    switch byte {
    case UInt8(ascii: "\""): bytes += #"\""#.utf8
    case UInt8(ascii: "\\"): bytes += #"\\"#.utf8
    case 0x08: bytes += #"\b"#.utf8
    case 0x09: bytes += #"\t"#.utf8
    case 0x0a: bytes += #"\n"#.utf8
    case 0x0c: bytes += #"\f"#.utf8
    case 0x0d: bytes += #"\r"#.utf8
    case ..<0x20:
      let digits = Array("0123456789abcdef".utf8)
      bytes += #"\u00"#.utf8
      bytes.append(digits[Int(byte >> 4)])
      bytes.append(digits[Int(byte & 0xf)])
    default: bytes.append(byte)
    }
  }
}

// -- the containers of Codable: each announces where its value goes, and writes it -----------------------------------------------------

/// For a superclass: its object is another than that of the value that is being encoded.
private struct Anew: Encoder {
  let encoder: JSONLineEncoder
  var codingPath: [any CodingKey] { [] }
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> { encoder.object(keyedBy: type) }
  func unkeyedContainer() -> any UnkeyedEncodingContainer { encoder.unkeyedContainer() }
  func singleValueContainer() -> any SingleValueEncodingContainer { encoder.singleValueContainer() }
}

private struct Members<Key: CodingKey>: KeyedEncodingContainerProtocol {
  let encoder: JSONLineEncoder
  let depth: Int
  var codingPath: [any CodingKey] { [] }

  private func begin(_ key: Key) { encoder.beginMember(key.stringValue, depth: depth) }

  func encodeNil(forKey key: Key) {
    begin(key)
    encoder.writeNull()
  }
  func encode(_ value: some Encodable, forKey key: Key) throws {
    begin(key)
    try encoder.encode(value)
  }

  func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type, forKey key: Key) -> KeyedEncodingContainer<Nested> {
    begin(key)
    return encoder.object(keyedBy: type)
  }
  func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
    begin(key)
    return encoder.unkeyedContainer()
  }
  func superEncoder() -> any Encoder {
    encoder.beginMember("super", depth: depth)
    return Anew(encoder: encoder)
  }
  func superEncoder(forKey key: Key) -> any Encoder {
    begin(key)
    return Anew(encoder: encoder)
  }
}

private struct Elements: UnkeyedEncodingContainer {
  let encoder: JSONLineEncoder
  let depth: Int
  private(set) var count = 0
  var codingPath: [any CodingKey] { [] }

  init(encoder: JSONLineEncoder, depth: Int) {
    self.encoder = encoder
    self.depth = depth
  }

  private mutating func begin() {
    encoder.beginElement(depth: depth)
    count += 1
  }

  mutating func encodeNil() {
    begin()
    encoder.writeNull()
  }
  mutating func encode(_ value: some Encodable) throws {
    begin()
    try encoder.encode(value)
  }

  mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
    begin()
    return encoder.object(keyedBy: type)
  }
  mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
    begin()
    return encoder.unkeyedContainer()
  }
  mutating func superEncoder() -> any Encoder {
    begin()
    return Anew(encoder: encoder)
  }
}

private struct Single: SingleValueEncodingContainer {
  let encoder: JSONLineEncoder
  var codingPath: [any CodingKey] { [] }

  func encodeNil() { encoder.writeNull() }
  func encode(_ value: Bool) { encoder.write(value) }
  func encode(_ value: String) { encoder.write(value) }
  func encode(_ value: some BinaryInteger & Encodable) { encoder.write(value) }
  func encode(_ value: some BinaryFloatingPoint & LosslessStringConvertible & Encodable) throws { try encoder.write(value) }
  func encode(_ value: some Encodable) throws { try encoder.encode(value) }
}
