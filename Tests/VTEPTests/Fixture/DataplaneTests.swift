// The root of all suites that share DPDK's one environment, its memory ports and its counters: they run one after the other.

import Testing

@Suite("Data plane", .serialized)
enum DataplaneTests {}

/// Address family of the underlay.
enum Family: String, CaseIterable, CustomTestStringConvertible {
  case ipv4 = "IPv4"
  case ipv6 = "IPv6"

  var testDescription: String { rawValue }
}

/// How the guests' ports are bound to the VNI.
enum Attachment: String, CaseIterable, CustomTestStringConvertible {
  case untagged, tagged

  var testDescription: String { rawValue }
  /// VLAN of the binding; 0 = untagged.
  var vlan: UInt16 { self == .tagged ? 100 : 0 }
}
