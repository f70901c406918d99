// KernelGroups: the kernel's list of groups for the interfaces of this network namespace. A socket keeps its memberships when an
// interface disappears and returns with its old index, but the new interface has none of them.

import Encap
import Glibc

/// Reads /proc/net/igmp and /proc/net/igmp6.
enum KernelGroups {
  /// A group on an interface, whoever joined it.
  struct Entry: Hashable {
    var group: IPAddress
    var interfaceIndex: Int32
  }

  /// The memberships in the calling thread's namespace; nil if the kernel's list cannot be read.
  static func read(isIPv4: Bool) -> Set<Entry>? {
    guard let text = contents("/proc/thread-self/net/\(isIPv4 ? "igmp" : "igmp6")") else { return nil }
    return isIPv4 ? ipv4(text) : ipv6(text)
  }

  /// Each interface has a line "2 u0 : 1 V3" and, indented below it, a line for each of its groups. A group's address is printed as
  /// one number, its four octets read in the machine's byte order.
  static func ipv4(_ text: String) -> Set<Entry> {
    var entries: Set<Entry> = []
    var interfaceIndex: Int32 = 0
    for line in text.split(separator: "\n") {
      guard let first = line.split(whereSeparator: \.isWhitespace).first else { continue }
      if line.first?.isWhitespace != true {
        interfaceIndex = Int32(first) ?? 0
      } else if interfaceIndex != 0, let value = UInt32(first, radix: 16) {
        entries.insert(Entry(group: IPAddress(ipv4: UInt32(bigEndian: value)), interfaceIndex: interfaceIndex))
      }
    }
    return entries
  }

  /// One line per group: index, name, 32 hexadecimal digits.
  static func ipv6(_ text: String) -> Set<Entry> {
    var entries: Set<Entry> = []
    for line in text.split(separator: "\n") {
      let words = line.split(whereSeparator: \.isWhitespace)
      guard words.count >= 3, let index = Int32(words[0]), words[2].utf8.count == 32,
        let high = UInt64(words[2].prefix(16), radix: 16), let low = UInt64(words[2].suffix(16), radix: 16)
      else { continue }
      entries.insert(Entry(group: IPAddress(high: high, low: low), interfaceIndex: index))
    }
    return entries
  }

  static func contents(_ path: String) -> String? {
    guard let file = fopen(path, "re") else { return nil }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16384)
    while true {
      let count = fread(&chunk, 1, chunk.count, file)
      if count == 0 { break }
      bytes += chunk[..<count]
    }
    return ferror(file) == 0 ? String(decoding: bytes, as: UTF8.self) : nil
  }
}
