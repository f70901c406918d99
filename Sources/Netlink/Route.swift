// Route: the kernel's route to one destination, with all next hops of a multipath route.

import Encap

/// One next hop of a route.
public struct NextHop: Hashable, Sendable {
  /// Router on the link; nil: the destination is on the link. May be IPv6 for an IPv4 destination (RFC 5549).
  public var gateway: IPAddress?
  public var interfaceIndex: Int32
  /// Weight relative to the other next hops, at least 1.
  public var weight: Int
  /// False if the kernel marks it dead or its interface has no carrier.
  public var isUsable: Bool

  public init(gateway: IPAddress?, interfaceIndex: Int32, weight: Int = 1, isUsable: Bool = true) {
    self.gateway = gateway
    self.interfaceIndex = interfaceIndex
    self.weight = weight
    self.isUsable = isUsable
  }
}

/// The routing decision for a destination.
public struct Route: Equatable, Sendable {
  /// What the kernel does with packets to the destination (rtm_type).
  public enum Kind: Equatable, Sendable {
    case unicast, local, broadcast, anycast, multicast
    case blackhole, unreachable, prohibit
    /// An rtm_type that this module does not know.
    case other(UInt8)
  }

  public var type: Kind
  /// Empty for blackhole, unreachable and prohibit.
  public var nextHops: [NextHop]
  /// Path MTU set on the route, in bytes; nil: the interface's.
  public var mtu: Int?
  /// The route's preferred source address.
  public var preferredSource: IPAddress?

  public init(type: Kind, nextHops: [NextHop] = [], mtu: Int? = nil, preferredSource: IPAddress? = nil) {
    self.type = type
    self.nextHops = nextHops
    self.mtu = mtu
    self.preferredSource = preferredSource
  }
}
