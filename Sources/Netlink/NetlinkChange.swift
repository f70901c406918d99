// NetlinkChange: what NetlinkMonitor reports. Links and neighbours are reported as values; addresses and routes only as "look
// again", because one route change can alter the answer for any destination.

import Encap

/// A change in the kernel's network state.
public enum NetlinkChange: Equatable, Sendable {
  /// Created or altered.
  case link(Link)
  /// Deleted, or moved to another namespace.
  case linkRemoved(index: Int32, name: String)
  /// A tun or tap interface in another namespace was created or altered. The ID is that of the namespace in ours.
  case foreignTap(namespaceID: Int32, Link)
  /// Deleted there, or moved to yet another namespace, ours perhaps.
  case foreignTapRemoved(namespaceID: Int32, index: Int32)
  /// Created or altered: state or Ethernet address.
  case neighbor(Neighbor)
  case neighborRemoved(interfaceIndex: Int32, address: IPAddress)
  /// Addresses of some interface changed. At most once per read.
  case addressesChanged
  /// Routes, routing rules or next-hop objects changed. At most once per read.
  case routesChanged
  /// Notifications were lost: anything may have changed.
  case resync
}
