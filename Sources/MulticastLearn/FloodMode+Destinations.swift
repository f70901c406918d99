// The flood list of a VNI: the outer destination addresses of a flooded frame, and which lists are rejected.

import Encap

extension FloodMode {
  /// Outer destinations of a flooded frame, in order; may mix IPv4 and IPv6.
  public var destinations: [IPAddress] {
    switch self {
    case .multicast(let group): [group]
    case .replicate(let peers): peers
    case .none: []
    }
  }

  /// Checks that flooding to `destinations` reaches other VTEPs, each once, and never this one. An empty list of peers is valid: it
  /// fills at run time.
  /// - Parameter ownAddresses: this VTEP's addresses.
  public func validate(ownAddresses: [IPAddress]) throws(FloodError) {
    switch self {
    case .multicast(let group):
      guard group.isMulticast else { throw .groupNotMulticast(group) }
      if group.neverLeavesNode { throw .groupNeverLeavesNode(group) }
    case .replicate(let peers):
      var seen: Set<IPAddress> = []
      for peer in peers {
        guard peer.isPossibleUnicast else { throw .peerNotUnicast(peer) }
        if ownAddresses.contains(peer) { throw .ownAddress(peer) }
        guard seen.insert(peer).inserted else { throw .duplicatePeer(peer) }
      }
    case .none:
      break
    }
  }
}

extension IPAddress {
  /// IPv6 multicast scope "reserved" or "interface-local".
  fileprivate var neverLeavesNode: Bool {
    !isIPv4 && isMulticast && bytes[1] & 0x0f <= 1
  }

  fileprivate var isPossibleUnicast: Bool {
    !isMulticast && !isUnspecified && !isLimitedBroadcast
  }
}

extension FloodMode {
  /// Nil: it floods to no group.
  public var group: IPAddress? {
    if case .multicast(let group) = self { group } else { nil }
  }
}
