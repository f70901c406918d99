// Reads a Neighbor from RTM_NEWNEIGH and RTM_DELNEIGH.

import CMNL
import Encap

extension Neighbor {
  /// Nil for bridge forwarding entries (AF_BRIDGE), which share the message type.
  init?(_ message: NetlinkMessage) {
    guard let header = message.familyHeader(ndmsg.self) else { return nil }
    guard Int32(header.ndm_family) == AF_INET || Int32(header.ndm_family) == AF_INET6 else { return nil }
    let attributes = message.attributes(after: ndmsg.self)
    guard let address = attributes[NDA_DST]?.address else { return nil }
    let extendedFlags = attributes[NDA_FLAGS_EXT]?.value(UInt32.self) ?? 0
    self.init(
      interfaceIndex: header.ndm_ifindex,
      address: address,
      mac: attributes[NDA_LLADDR]?.mac,
      state: State(kernelState: header.ndm_state),
      isManaged: extendedFlags & UInt32(NTF_EXT_MANAGED) != 0,
      isExternallyLearned: Int32(header.ndm_flags) & NTF_EXT_LEARNED != 0)
  }
}

extension Neighbor.State {
  /// `kernelState`: one NUD_* bit.
  init(kernelState: UInt16) {
    switch Int32(kernelState) {
    case NUD_INCOMPLETE: self = .incomplete
    case NUD_REACHABLE: self = .reachable
    case NUD_STALE: self = .stale
    case NUD_DELAY: self = .delay
    case NUD_PROBE: self = .probe
    case NUD_FAILED: self = .failed
    case NUD_NOARP: self = .noarp
    case NUD_PERMANENT: self = .permanent
    default: self = .none
    }
  }
}
