// DatabaseText: MAC and IP addresses as they stand in the database, where they are unchecked text. What can only mean one thing is taken
// for that; the rest is reported with its row. For `LayerReader`, `LocatorReader` and `ControllerMapping`.

import Encap

extension MACAddress {
  /// Reads six groups of one or two hexadecimal digits with `:` or `-` between them, `aabb.ccdd.eeff`, or twelve digits; upper or lower case,
  /// blanks around it.
  init?(database text: String) {
    let text = text.trimmed
    if let mac = MACAddress(text) {
      self = mac
      return
    }
    let digits: [String.SubSequence]
    if text.contains(".") {
      let groups = text.split(separator: ".", omittingEmptySubsequences: false)
      guard groups.count == 3, groups.allSatisfy({ $0.utf8.count == 4 }) else { return nil }
      digits = [groups.joined()[...]]
    } else if let separator = text.first(where: { $0 == ":" || $0 == "-" }) {
      let groups = text.split(separator: separator, omittingEmptySubsequences: false)
      guard groups.count == 6, groups.allSatisfy({ (1...2).contains($0.utf8.count) }) else { return nil }
      digits = groups
    } else {
      digits = [text[...]]
    }
    let padded = digits.count == 6 ? digits.map { $0.utf8.count == 1 ? "0" + $0 : String($0) }.joined() : digits.joined()
    // UInt64 would also read a sign.
    guard padded.utf8.count == 12, padded.allSatisfy(\.isHexDigit), let bits = UInt64(padded, radix: 16) else { return nil }
    self.init(bits: bits)
  }
}

extension IPAddress {
  /// Reads all spellings of an IPv4 or IPv6 address, also with the length of its network's prefix behind it; blanks around it. A network
  /// (`10.0.0.0/24`), which OpenStack's allowed address pairs may be, is no address.
  init?(database text: String) {
    let parts = text.trimmed.split(separator: "/", omittingEmptySubsequences: false)
    guard let first = parts.first, parts.count <= 2, let address = IPAddress(String(first)) else { return nil }
    if parts.count == 2 {
      guard let length = Int(parts[1]), (0...(address.isIPv4 ? 32 : 128)).contains(length),
        address.hasBits(after: length + (address.isIPv4 ? 96 : 0))
      else { return nil }
    }
    self = address
  }

  /// Whether any bit after the first `count` is set, or there is none after them.
  private func hasBits(after count: Int) -> Bool {
    if count == 128 { return true }
    return count >= 64 ? low << UInt64(count - 64) != 0 : high << UInt64(count) | low != 0
  }
}

extension String {
  /// Without blanks and line ends around it.
  var trimmed: String {
    guard let first = firstIndex(where: { !$0.isWhitespace }), let last = lastIndex(where: { !$0.isWhitespace }) else { return "" }
    return String(self[first...last])
  }
}
