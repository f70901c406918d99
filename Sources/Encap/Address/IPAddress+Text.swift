// The text forms of IP addresses: a strict parser with the rules of inet_pton, and the canonical form of RFC 5952.

extension IPAddress: LosslessStringConvertible {
  /// Parses `a.b.c.d` (decimal, no leading zeros) or the IPv6 forms of RFC 4291 section 2.2, an embedded IPv4 tail
  /// included. No zone, no prefix length, no blanks. `::ffff:a.b.c.d` gives the IPv4 address.
  public init?(_ text: String) {
    let characters = Array(text.utf8)
    if characters.contains(UInt8(ascii: ":")) {
      guard let groups = IPAddress.parseGroups(characters) else { return nil }
      self.init(
        high: groups[..<4].reduce(0) { $0 << 16 | UInt64($1) },
        low: groups[4...].reduce(0) { $0 << 16 | UInt64($1) })
    } else {
      guard let value = IPAddress.parseDottedQuad(characters[...]) else { return nil }
      self.init(ipv4: value)
    }
  }

  /// `192.0.2.1`, or IPv6 as RFC 5952 wants it: lower case, no leading zeros, the longest run of zero groups as `::`.
  public var description: String {
    if isIPv4 {
      return bytes.map { String($0) }.joined(separator: ".")
    }
    let groups = (0..<8).map { index in
      UInt16(truncatingIfNeeded: (index < 4 ? high : low) >> UInt64(48 - 16 * (index % 4)))
    }
    func hex(_ part: ArraySlice<UInt16>) -> String {
      part.map { String($0, radix: 16) }.joined(separator: ":")
    }
    guard let run = IPAddress.longestZeroRun(groups) else { return hex(groups[...]) }
    return hex(groups[..<run.lowerBound]) + "::" + hex(groups[run.upperBound...])
  }

  /// The first of the longest runs of two or more zero groups (RFC 5952 section 4.2).
  private static func longestZeroRun(_ groups: [UInt16]) -> Range<Int>? {
    var best: Range<Int>?
    var start = 0
    while start < groups.count {
      var end = start
      while end < groups.count, groups[end] == 0 { end += 1 }
      if end - start >= 2, end - start > (best?.count ?? 0) { best = start..<end }
      start = end + 1
    }
    return best
  }

  private static func parseDottedQuad(_ text: ArraySlice<UInt8>) -> UInt32? {
    let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var value: UInt32 = 0
    for part in parts {
      guard (1...3).contains(part.count), part.count == 1 || part.first != UInt8(ascii: "0") else { return nil }
      var octet: UInt32 = 0
      for character in part {
        guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(character) else { return nil }
        octet = octet * 10 + UInt32(character - UInt8(ascii: "0"))
      }
      guard octet <= 255 else { return nil }
      value = value << 8 | octet
    }
    return value
  }

  /// Eight groups, with a `::` filled up; nil when the text is no IPv6 address.
  private static func parseGroups(_ text: [UInt8]) -> [UInt16]? {
    let colon = UInt8(ascii: ":")
    guard let gap = text.indices.first(where: { $0 + 1 < text.count && text[$0] == colon && text[$0 + 1] == colon })
    else {
      guard let groups = parseSide(text[...], mayEndInIPv4: true), groups.count == 8 else { return nil }
      return groups
    }
    // The embedded IPv4 address may only stand at the very end. "::" stands for at least one group.
    guard let left = parseSide(text[..<gap], mayEndInIPv4: false),
      let right = parseSide(text[(gap + 2)...], mayEndInIPv4: true),
      left.count + right.count <= 7
    else { return nil }
    return left + [UInt16](repeating: 0, count: 8 - left.count - right.count) + right
  }

  /// The groups on one side of `::`; an empty side has none.
  private static func parseSide(_ text: ArraySlice<UInt8>, mayEndInIPv4: Bool) -> [UInt16]? {
    guard !text.isEmpty else { return [] }
    let parts = text.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
    var groups: [UInt16] = []
    for (index, part) in parts.enumerated() {
      if mayEndInIPv4, index == parts.count - 1, part.contains(UInt8(ascii: ".")) {
        guard let ipv4 = parseDottedQuad(part) else { return nil }
        groups.append(UInt16(ipv4 >> 16))
        groups.append(UInt16(truncatingIfNeeded: ipv4))
        continue
      }
      guard (1...4).contains(part.count) else { return nil }
      var group: UInt16 = 0
      for character in part {
        guard let digit = hexDigitValue(character) else { return nil }
        group = group << 4 | UInt16(digit)
      }
      groups.append(group)
    }
    return groups.count <= 8 ? groups : nil
  }
}
