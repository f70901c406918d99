// PortTPID: the type of VLAN tag that a port's bindings match. IEEE 802.1Q-2018 table 9-1.

import Encap

/// The tag protocol identifier of the tags that a port removes and adds.
public enum PortTPID: String, Sendable, CaseIterable {
  /// C-tags.
  case customer = "0x8100"
  /// S-tags.
  case service = "0x88a8"
  /// Accepts both, adds C-tags.
  case any
}

extension PortTPID {
  /// As the configuration writes it: `0x8100`.
  public var text: String { rawValue }

  /// - Parameter text: `0x8100`, `0x88a8` or `any`, in either case.
  public init?(text: String) {
    self.init(rawValue: text.lowercased())
  }

  /// TPID of the tags that are added.
  var pushed: UInt16 { self == .service ? EtherType.serviceTag : EtherType.customerTag }
}
