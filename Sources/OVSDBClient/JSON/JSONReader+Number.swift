// JSONReader+Number: numbers, RFC 8259 §6; integers and reals are kept apart.

extension JSONReader {
  /// A number.
  enum Number {
    case integer(Int64)
    case real(Double)
  }

  /// Consumes a number.
  mutating func number() throws(JSONError) -> Number {
    let first = try peek()
    let start = position
    let isNegative = first == UInt8(ascii: "-")
    if isNegative { position += 1 }
    guard let digit = current, Self.isDigit(digit) else { throw JSONError(.number, offset: start) }
    var magnitude: UInt64 = 0
    var isExact = true
    if digit == UInt8(ascii: "0") {
      position += 1
      if let next = current, Self.isDigit(next) { throw JSONError(.number, offset: start) }
    } else {
      while let digit = current, Self.isDigit(digit) {
        let (tens, isTooLarge) = magnitude.multipliedReportingOverflow(by: 10)
        let (sum, isAlsoTooLarge) = tens.addingReportingOverflow(UInt64(digit - UInt8(ascii: "0")))
        if isTooLarge || isAlsoTooLarge { isExact = false }
        magnitude = sum
        position += 1
      }
    }
    var isWhole = true
    if current == UInt8(ascii: ".") {
      isWhole = false
      position += 1
      try digits(start)
    }
    if current == UInt8(ascii: "e") || current == UInt8(ascii: "E") {
      isWhole = false
      position += 1
      if current == UInt8(ascii: "+") || current == UInt8(ascii: "-") { position += 1 }
      try digits(start)
    }
    if isWhole && isExact {
      if !isNegative, let value = Int64(exactly: magnitude) { return .integer(value) }
      if isNegative, magnitude <= UInt64(Int64.max) + 1 { return .integer(Int64(truncatingIfNeeded: 0 &- magnitude)) }
    }
    let text = bytes.extracting(start..<position).withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
    guard let value = Double(text), value.isFinite else { throw JSONError(.number, offset: start) }
    return .real(value)
  }

  private var current: UInt8? {
    position < bytes.byteCount ? bytes.unsafeLoad(fromByteOffset: position, as: UInt8.self) : nil
  }

  private static func isDigit(_ octet: UInt8) -> Bool {
    octet &- UInt8(ascii: "0") < 10
  }

  /// One or more digits.
  private mutating func digits(_ start: Int) throws(JSONError) {
    guard let first = current, Self.isDigit(first) else { throw JSONError(.number, offset: start) }
    while let digit = current, Self.isDigit(digit) { position += 1 }
  }
}
