// JSONScanner: finds values in JSON text that is known to be valid, without decoding them: vtepctl passes rows on as the daemon wrote them.

/// A position in valid JSON text (RFC 8259).
struct JSONScanner {
  private let text: UnsafeRawBufferPointer
  private(set) var position = 0

  /// - Parameter text: valid JSON; anything else yields wrong ranges, which lie within the text.
  init(_ text: UnsafeRawBufferPointer) {
    self.text = text
  }

  private var next: UInt8? { position < text.count ? text[position] : nil }

  private mutating func skipSpace() {
    while let byte = next, byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d { position += 1 }
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    skipSpace()
    guard next == byte else { return false }
    position += 1
    return true
  }

  /// From its opening quotation mark.
  private mutating func skipString() {
    position += 1
    while let byte = next, byte != UInt8(ascii: "\"") { position += byte == UInt8(ascii: "\\") ? 2 : 1 }
    position = min(position + 1, text.count)
  }

  mutating func skipValue() {
    var depth = 0
    while let byte = next {
      switch byte {
      case UInt8(ascii: "\""):
        skipString()
        continue
      case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        if depth == 0 { return }
        depth -= 1
      case UInt8(ascii: ","): if depth == 0 { return }
      default: break
      }
      position += 1
    }
  }

  /// Goes to the value of an object's member.
  ///
  /// - Returns: false when there is no object here, or none with this member.
  mutating func enterMember(_ name: StaticString) -> Bool {
    guard take(UInt8(ascii: "{")) else { return false }
    repeat {
      skipSpace()
      let start = position + 1
      skipString()
      let isFound =
        position > start
        && text[start..<(position - 1)].elementsEqual(UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
      guard take(UInt8(ascii: ":")) else { return false }
      skipSpace()
      if isFound { return true }
      skipValue()
    } while take(UInt8(ascii: ","))
    return false
  }

  /// The elements of the array here, each as its place in the text; nil: there is no array.
  mutating func elements() -> [Range<Int>]? {
    var found: [Range<Int>] = []
    guard take(UInt8(ascii: "[")) else { return nil }
    if take(UInt8(ascii: "]")) { return found }
    repeat {
      skipSpace()
      let start = position
      skipValue()
      found.append(start..<position)
    } while take(UInt8(ascii: ","))
    return found
  }
}
