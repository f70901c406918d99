// FloodMode: how a VNI's broadcast, unknown unicast and multicast frames reach the other VTEPs. Step E6.

import Encap

/// Where to send frames without a single known destination VTEP.
public enum FloodMode: Equatable, Sendable {
  /// One packet to an IP multicast group (RFC 7348 §4.2); VNIs may share a group.
  case multicast(group: IPAddress)
  /// One packet to each peer (head-end replication), in this order.
  case replicate(peers: [IPAddress])
  /// Nothing is flooded to the overlay.
  case none
}
