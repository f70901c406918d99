// JSONReader: reads one complete JSON text from left to right (RFC 8259). The caller drives it, so only what is needed is built.
// Column and table names are compared as bytes.

/// A position in a JSON text.
struct JSONReader: ~Escapable {
  let bytes: RawSpan
  /// The next byte to read.
  var position = 0
  /// How much deeper arrays and objects may still nest.
  private var depthLeft: Int
  private let depthLimit: Int

  /// Reads `bytes`, which must be one complete JSON text, from `position` on.
  @_lifetime(copy bytes)
  init(_ bytes: RawSpan, at position: Int = 0, depth: Int = JSONLimits().depth) {
    self.bytes = bytes
    self.position = position
    depthLeft = depth
    depthLimit = depth
  }

  /// A string in its encoded form.
  struct Text {
    /// Its range, without the quotation marks.
    var range: Range<Int>
    /// Whether it contains escapes.
    var hasEscapes: Bool
  }

  /// The next byte that is not white space, without consuming it.
  @inline(__always)
  mutating func peek() throws(JSONError) -> UInt8 {
    while position < bytes.byteCount {
      let octet = bytes.unsafeLoad(fromByteOffset: position, as: UInt8.self)
      if octet > 0x20 { return octet }
      guard octet == 0x20 || octet == 0x0a || octet == 0x0d || octet == 0x09 else {
        throw JSONError(.unexpected(octet, expected: "a value"), offset: position)
      }
      position += 1
    }
    throw JSONError(.truncated, offset: position)
  }

  /// Consumes the next byte that is not white space, which must be this one.
  @inline(__always)
  mutating func expect(_ octet: UInt8, _ name: StaticString) throws(JSONError) {
    let found = try peek()
    guard found == octet else { throw JSONError(.unexpected(found, expected: "\(name)"), offset: position) }
    position += 1
  }

  /// Enters an array. Call `more(_:)` before each element.
  mutating func enterArray() throws(JSONError) {
    try expect(UInt8(ascii: "["), "an array")
    try goDeeper()
  }

  /// Enters an object. Call `more(_:)` before each member; `name()` reads its name.
  mutating func enterObject() throws(JSONError) {
    try expect(UInt8(ascii: "{"), "an object")
    try goDeeper()
  }

  private mutating func goDeeper() throws(JSONError) {
    depthLeft -= 1
    if depthLeft < 0 { throw JSONError(.tooDeep(limit: depthLimit), offset: position - 1) }
  }

  /// Whether an element follows. `count` counts them; pass 0 at first.
  mutating func moreElements(_ count: inout Int) throws(JSONError) -> Bool {
    try more(until: UInt8(ascii: "]"), &count)
  }

  /// Whether a member follows. `count` counts them; pass 0 at first.
  mutating func moreMembers(_ count: inout Int) throws(JSONError) -> Bool {
    try more(until: UInt8(ascii: "}"), &count)
  }

  @inline(__always)
  private mutating func more(until close: UInt8, _ count: inout Int) throws(JSONError) -> Bool {
    let octet = try peek()
    if octet == close {
      position += 1
      depthLeft += 1
      return false
    }
    if count > 0 {
      guard octet == UInt8(ascii: ",") else { throw JSONError(.unexpected(octet, expected: "',' or the end"), offset: position) }
      position += 1
    }
    count += 1
    return true
  }

  /// The end of an array that must have no more elements.
  mutating func endArray() throws(JSONError) {
    try expect(UInt8(ascii: "]"), "the end of the array")
    depthLeft += 1
  }

  /// The end of an object that must have no more members.
  mutating func endObject() throws(JSONError) {
    try expect(UInt8(ascii: "}"), "the end of the object")
    depthLeft += 1
  }

  /// The comma between two elements.
  mutating func comma() throws(JSONError) {
    try expect(UInt8(ascii: ","), "','")
  }

  /// A member's name, with the colon.
  mutating func name() throws(JSONError) -> Text {
    let text = try text()
    try expect(UInt8(ascii: ":"), "':'")
    return text
  }

  /// Whether only white space remains.
  mutating func end() throws(JSONError) {
    while position < bytes.byteCount {
      let octet = bytes.unsafeLoad(fromByteOffset: position, as: UInt8.self)
      guard octet == 0x20 || octet == 0x0a || octet == 0x0d || octet == 0x09 else { throw JSONError(.trailing, offset: position) }
      position += 1
    }
  }

  /// Skips the next value: counts brackets and skips strings, without further checks.
  mutating func skip() throws(JSONError) {
    var depth = 0
    repeat {
      let octet = try peek()
      switch octet {
      case UInt8(ascii: "\""): _ = try text()
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        depth += 1
        position += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        depth -= 1
        position += 1
        if depth < 0 { throw JSONError(.unexpected(octet, expected: "a value"), offset: position - 1) }
      case UInt8(ascii: ","), UInt8(ascii: ":"):
        position += 1
        if depth == 0 { throw JSONError(.unexpected(octet, expected: "a value"), offset: position - 1) }
      default: skipWord()
      }
    } while depth > 0
  }

  /// Skips a number or a word.
  private mutating func skipWord() {
    while position < bytes.byteCount {
      switch bytes.unsafeLoad(fromByteOffset: position, as: UInt8.self) {
      case 0...0x20, UInt8(ascii: ","), UInt8(ascii: ":"), UInt8(ascii: "\""), UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: "{"),
        UInt8(ascii: "}"):
        return
      default: position += 1
      }
    }
  }

  /// Consumes `word` ("true", "false", "null").
  mutating func literal(_ word: StaticString) throws(JSONError) {
    _ = try peek()
    let octets = UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)
    for octet in octets {
      guard position < bytes.byteCount else { throw JSONError(.truncated, offset: position) }
      let found = bytes.unsafeLoad(fromByteOffset: position, as: UInt8.self)
      guard found == octet else { throw JSONError(.unexpected(found, expected: "\(word)"), offset: position) }
      position += 1
    }
  }
}
