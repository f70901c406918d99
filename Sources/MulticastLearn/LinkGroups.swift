// LinkGroups: the link-layer groups of an interface, whoever joined them: IP groups, and those of daemons such as LLDP's. What a NIC's
// filter has to let pass.

import Encap

/// Reads /proc/net/dev_mcast.
public enum LinkGroups {
  /// The groups of an interface of the calling thread's namespace; nil if the kernel's list cannot be read.
  public static func read(interfaceIndex: Int32) -> Set<MACAddress>? {
    KernelGroups.contents("/proc/thread-self/net/dev_mcast").map { parse($0, interfaceIndex: interfaceIndex) }
  }

  /// One line per group: index, name, users, global users, twelve hexadecimal digits.
  static func parse(_ text: String, interfaceIndex: Int32) -> Set<MACAddress> {
    var groups: Set<MACAddress> = []
    for line in text.split(separator: "\n") {
      let words = line.split(whereSeparator: \.isWhitespace)
      guard words.count == 5, Int32(words[0]) == interfaceIndex, words[4].utf8.count == 12, let bits = UInt64(words[4], radix: 16)
      else { continue }
      groups.insert(MACAddress(bits: bits))
    }
    return groups
  }
}
