// The text form of Ethernet addresses: configuration, command line, logs.

extension MACAddress: LosslessStringConvertible {
  /// Parses six pairs of hexadecimal digits, separated by `:` or throughout by `-`; upper or lower case.
  /// Anything else gives nil, including a missing leading zero.
  public init?(_ text: String) {
    let octets = Array(text.utf8)
    guard octets.count == 17 else { return nil }
    let separator = octets[2]
    guard separator == UInt8(ascii: ":") || separator == UInt8(ascii: "-") else { return nil }
    var value: UInt64 = 0
    for position in 0..<17 {
      if position % 3 == 2 {
        guard octets[position] == separator else { return nil }
      } else {
        guard let digit = hexDigitValue(octets[position]) else { return nil }
        value = value << 4 | UInt64(digit)
      }
    }
    self.init(bits: value)
  }

  /// `aa:bb:cc:dd:ee:ff`, lower case.
  public var description: String {
    var text = ""
    text.reserveCapacity(17)
    for shift in stride(from: 40, through: 0, by: -8) {
      let octet = UInt8(truncatingIfNeeded: bits >> UInt64(shift))
      if shift != 40 { text += ":" }
      if octet < 16 { text += "0" }
      text += String(octet, radix: 16)
    }
    return text
  }
}

/// The value of one hexadecimal digit in ASCII; nil for anything else.
func hexDigitValue(_ character: UInt8) -> UInt8? {
  switch character {
  case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0")
  case UInt8(ascii: "a")...UInt8(ascii: "f"): character - UInt8(ascii: "a") + 10
  case UInt8(ascii: "A")...UInt8(ascii: "F"): character - UInt8(ascii: "A") + 10
  default: nil
  }
}
