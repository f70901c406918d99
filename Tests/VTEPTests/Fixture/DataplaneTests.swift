// The root of all suites that share DPDK's one environment, its memory ports and its counters: they run one after the other.

import Testing

@Suite("Data plane", .serialized)
enum DataplaneTests {}

extension Family: CustomTestStringConvertible {
  var testDescription: String { rawValue }
}

extension Attachment: CustomTestStringConvertible {
  var testDescription: String { rawValue }
}
