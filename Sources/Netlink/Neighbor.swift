// Neighbor: an entry of the kernel's ARP or Neighbor Discovery cache (RFC 826, RFC 4861 §7.3.2).

import Encap

/// A host or router on a link, and the Ethernet address it was resolved to.
public struct Neighbor: Equatable, Sendable {
  /// RFC 4861's reachability states, and the kernel's additions.
  public enum State: Equatable, Sendable {
    case none, incomplete, reachable, stale, delay, probe, failed, noarp, permanent
  }

  public var interfaceIndex: Int32
  public var address: IPAddress
  public var mac: MACAddress?
  public var state: State
  /// The kernel keeps it resolved on request (NTF_EXT_MANAGED).
  public var isManaged: Bool
  /// Installed by another control plane (NTF_EXT_LEARNED), which maintains it; the kernel does not probe it.
  public var isExternallyLearned: Bool

  public init(
    interfaceIndex: Int32, address: IPAddress, mac: MACAddress?, state: State, isManaged: Bool = false,
    isExternallyLearned: Bool = false
  ) {
    self.interfaceIndex = interfaceIndex
    self.address = address
    self.mac = mac
    self.state = state
    self.isManaged = isManaged
    self.isExternallyLearned = isExternallyLearned
  }

  /// Frames can be sent to `mac` now. Also true while a known address is being verified (stale, delay, probe).
  public var isResolved: Bool {
    switch state {
    case .reachable, .stale, .delay, .probe, .noarp, .permanent: mac != nil
    case .none, .incomplete, .failed: false
    }
  }

  /// Resolution was tried without an answer.
  public var isFailed: Bool { state == .failed }
}
