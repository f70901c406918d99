// NetlinkChange: what NetlinkMonitor reports. Links and neighbours are reported as values; addresses and routes only as "look
// again", because one route change can alter the answer for any destination.

import Encap

/// A change in the kernel's network state.
public enum NetlinkChange: Equatable, Sendable {
  /// Created or altered.
  case link(Link)
  /// Deleted, or moved to another namespace.
  case linkRemoved(index: Int32, name: String)
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
