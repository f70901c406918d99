// PortTPID: which kind of VLAN tag frames get on their way to a port. IEEE 802.1Q-2018 table 9-1.

import Encap

/// The tag protocol identifier of the tags that a port puts on.
public enum PortTPID: UInt16, Sendable, CaseIterable {
  case customer = 0x8100
  case service = 0x88a8
}

extension PortTPID {
  /// As the configuration writes it: `0x8100`.
  public var text: String { "0x" + String(rawValue, radix: 16) }

  /// - Parameter text: `0x8100` or `0x88a8`, in either case.
  public init?(text: String) {
    guard let match = Self.allCases.first(where: { $0.text == text.lowercased() }) else { return nil }
    self = match
  }
}
