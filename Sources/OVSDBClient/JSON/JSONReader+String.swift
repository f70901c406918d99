// JSONReader+String: strings, RFC 8259 §7. Most have no escapes and are copied (or only compared) as they are.

extension JSONReader {
  /// Consumes a string without decoding it.
  mutating func text() throws(JSONError) -> Text {
    try expect(UInt8(ascii: "\""), "a string")
    let start = position
    var hasEscapes = false
    while position < bytes.byteCount {
      let octet = bytes.unsafeLoad(fromByteOffset: position, as: UInt8.self)
      switch octet {
      case UInt8(ascii: "\""):
        position += 1
        return Text(range: start..<position - 1, hasEscapes: hasEscapes)
      case UInt8(ascii: "\\"):
        hasEscapes = true
        position += 2
      case 0..<0x20: throw JSONError(.controlCharacter(octet), offset: position)
      default: position += 1
      }
    }
    throw JSONError(.truncated, offset: bytes.byteCount)
  }

  /// Consumes a string.
  mutating func string() throws(JSONError) -> String {
    let text = try text()
    return try string(text)
  }

  /// The value of a consumed string.
  func string(_ text: Text) throws(JSONError) -> String {
    let octets = bytes.extracting(text.range)
    guard text.hasEscapes else {
      guard let string = octets.withUnsafeBytes({ String(validating: $0, as: UTF8.self) }) else {
        throw JSONError(.notUTF8, offset: text.range.lowerBound)
      }
      return string
    }
    let decoded = try unescaped(octets, at: text.range.lowerBound)
    guard let string = String(validating: decoded, as: UTF8.self) else { throw JSONError(.notUTF8, offset: text.range.lowerBound) }
    return string
  }

  /// Whether a consumed string equals `name`.
  @inline(__always)
  func equals(_ text: Text, _ name: StaticString) -> Bool {
    guard !text.hasEscapes else { return (try? string(text)) == "\(name)" }
    return equals(text.range, Span(_unsafeStart: name.utf8Start, count: name.utf8CodeUnitCount))
  }

  /// Whether a consumed string equals `name`, in UTF-8.
  @inline(__always)
  func equals(_ text: Text, _ name: [UInt8]) -> Bool {
    guard !text.hasEscapes else { return (try? string(text)).map { Array($0.utf8) } == name }
    return equals(text.range, name.span)
  }

  @inline(__always)
  private func equals(_ range: Range<Int>, _ name: Span<UInt8>) -> Bool {
    guard range.count == name.count else { return false }
    for index in 0..<name.count where bytes.unsafeLoad(fromByteOffset: range.lowerBound + index, as: UInt8.self) != name[index] {
      return false
    }
    return true
  }

  /// The UUID in a consumed string.
  func rowID(_ text: Text) throws(JSONError) -> RowID {
    guard !text.hasEscapes, let id = RowID(octets: bytes.extracting(text.range)) else {
      throw JSONError(.mismatch(expected: "a UUID"), offset: text.range.lowerBound)
    }
    return id
  }

  private func unescaped(_ octets: RawSpan, at offset: Int) throws(JSONError) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(octets.byteCount)
    var index = 0
    while index < octets.byteCount {
      let octet = octets.unsafeLoad(fromByteOffset: index, as: UInt8.self)
      index += 1
      guard octet == UInt8(ascii: "\\") else {
        result.append(octet)
        continue
      }
      // text() has made sure that a byte follows each backslash.
      let kind = octets.unsafeLoad(fromByteOffset: index, as: UInt8.self)
      index += 1
      switch kind {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): result.append(kind)
      case UInt8(ascii: "b"): result.append(0x08)
      case UInt8(ascii: "f"): result.append(0x0c)
      case UInt8(ascii: "n"): result.append(0x0a)
      case UInt8(ascii: "r"): result.append(0x0d)
      case UInt8(ascii: "t"): result.append(0x09)
      case UInt8(ascii: "u"):
        guard let scalar = escapedScalar(octets, &index) else { throw JSONError(.escape, offset: offset + index) }
        result.append(contentsOf: UTF8.encode(scalar).map(Array.init) ?? [])
      default: throw JSONError(.escape, offset: offset + index - 1)
      }
    }
    return result
  }

  /// The character of `uXXXX` or of a surrogate pair; `index` is behind the `u` and moves to the end of the escape.
  private func escapedScalar(_ octets: RawSpan, _ index: inout Int) -> Unicode.Scalar? {
    guard let first = hexadecimal(octets, &index) else { return nil }
    guard first & 0xf800 == 0xd800 else { return Unicode.Scalar(first) }
    guard first < 0xdc00, index + 2 <= octets.byteCount,
      octets.unsafeLoad(fromByteOffset: index, as: UInt8.self) == UInt8(ascii: "\\"),
      octets.unsafeLoad(fromByteOffset: index + 1, as: UInt8.self) == UInt8(ascii: "u")
    else { return nil }
    index += 2
    guard let second = hexadecimal(octets, &index), second & 0xfc00 == 0xdc00 else { return nil }
    return Unicode.Scalar(0x10000 + (first & 0x3ff) << 10 + second & 0x3ff)
  }

  /// Four hexadecimal digits.
  private func hexadecimal(_ octets: RawSpan, _ index: inout Int) -> UInt32? {
    guard index + 4 <= octets.byteCount else { return nil }
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let digit = RowID.hexadecimalDigit(octets.unsafeLoad(fromByteOffset: index, as: UInt8.self)) else { return nil }
      value = value << 4 | UInt32(digit)
      index += 1
    }
    return value
  }
}
