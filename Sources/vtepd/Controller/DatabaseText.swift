// DatabaseText: addresses, prefixes, numbers and truth values as they stand in the database, where they are unchecked text. What can only
// mean one thing is taken for that; the rest is reported with its row. For `LayerReader`, `LocatorReader`, `ACLReader`, `ControllerMapping`.

import Encap
import VTEP

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
  /// Reads all spellings of an IPv4 or IPv6 address, also with its network's prefix length or mask behind it; blanks around it. A network
  /// (`10.0.0.0/24`), which OpenStack's allowed address pairs may be, is no address.
  init?(database text: String) {
    if let address = IPAddress(text.trimmed) {
      self = address
    } else {
      guard let near = RouterAddress(database: text) else { return nil }
      let isWhole = near.prefix.length == (near.address.isIPv4 ? 32 : 128)
      guard isWhole || near.address != near.prefix.address else { return nil }
      self = near.address
    }
  }
}

extension RouterAddress {
  /// Reads an address with the length or the IPv4 mask of its network's prefix behind it: `192.0.2.1/24`, `192.0.2.1/255.255.255.0`.
  init?(database text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false).map { String($0).trimmed }
    guard parts.count == 2, let address = IPAddress(parts[0]) else { return nil }
    if let mask = IPAddress(parts[1]) {
      let hostBits = ~mask.ipv4
      guard mask.isIPv4, address.isIPv4, hostBits & (hostBits &+ 1) == 0 else { return nil }
      self.init(address, length: hostBits.leadingZeroBitCount)
    } else {
      self.init("\(address)/\(parts[1])")
    }
  }
}

extension IPPrefix {
  /// Reads a network; bits behind the prefix do not count. An address alone is that one host's.
  init?(database text: String) {
    if let near = RouterAddress(database: text) {
      self = near.prefix
    } else {
      guard let host = IPAddress(text.trimmed) else { return nil }
      self.init(address: host, length: host.isIPv4 ? 32 : 128)
    }
  }
}

extension Bool {
  /// Reads `true` and `false`, upper or lower case.
  init?(database text: String) { self.init(text.trimmed.lowercased()) }
}

extension String {
  /// Without blanks and line ends around it.
  var trimmed: String {
    guard let first = firstIndex(where: { !$0.isWhitespace }), let last = lastIndex(where: { !$0.isWhitespace }) else { return "" }
    return String(self[first...last])
  }
}
