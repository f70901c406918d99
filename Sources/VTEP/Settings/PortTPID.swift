// PortTPID: which kind of VLAN tag the bindings of a port are about. IEEE 802.1Q-2018 table 9-1.

import Encap

/// The tag protocol identifier of the tags that a port takes off and puts on.
public enum PortTPID: String, Sendable, CaseIterable {
  /// C-tags.
  case customer = "0x8100"
  /// S-tags.
  case service = "0x88a8"
  /// Takes off either, puts on C-tags.
  case any
}

extension PortTPID {
  /// As the configuration writes it: `0x8100`.
  public var text: String { rawValue }

  /// - Parameter text: `0x8100`, `0x88a8` or `any`, in either case.
  public init?(text: String) {
    self.init(rawValue: text.lowercased())
  }

  /// Of the tags that are put on.
  var pushed: UInt16 { self == .service ? EtherType.serviceTag : EtherType.customerTag }
}
