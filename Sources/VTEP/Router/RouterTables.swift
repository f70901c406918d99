// RouterTables: the logical routers as workers see them, part of the snapshot: interfaces by domain, their addresses, and the routes of each
// router as ranges of addresses. docs/decisions/0044 says why these are not DPDK's tables.

import Encap
import MACTable

/// An interface of a router: its presence in a domain.
struct RouterInterface {
  /// Absent: behind the last interface.
  var domain = DomainIndex.absent
  /// Position in `RouterTables.routers`.
  var router: UInt16 = 0
  /// Of its counters; stays when snapshots change.
  var index: UInt16 = 0
  /// What its access list denies neither enters nor leaves the router here.
  var acl = ACLIndex.absent
  var mac = MACAddress.zero
  /// Range of `RouterTables.addresses`.
  var firstAddress: UInt32 = 0
  var addressCount: UInt32 = 0
}

/// The ranges of a router's routes.
struct RouterEntry {
  var firstRange: UInt32 = 0
  var rangeCount: UInt32 = 0
}

/// All addresses from `start` to the next range's have the same route.
struct RouteRange: Equatable {
  var start: IPAddress
  var route: RouteEntry
}

/// What becomes of packets to an address.
struct RouteEntry: Equatable {
  enum Kind: UInt8 {
    case none
    /// The destination is a neighbour.
    case connected
    /// The next hop is.
    case via
    /// The router's own address.
    case own
    /// A network's number or broadcast address.
    case reserved
  }

  var kind = Kind.none
  /// Position in `RouterTables.interfaces`; of routes with an egress.
  var interface: UInt16 = 0
  var nextHop = IPAddress(high: 0, low: 0)
}

/// An address of an interface, as a 128-bit prefix.
struct RouterAddressEntry {
  var address: IPAddress
  var maskHigh: UInt64
  var maskLow: UInt64

  init(_ address: RouterAddress) {
    self.address = address.address
    let bitCount = Int(address.prefix.length) + (address.address.isIPv4 ? 96 : 0)
    maskHigh = ~(UInt64.max >> UInt64(min(bitCount, 64)))
    maskLow = ~(UInt64.max >> UInt64(max(bitCount - 64, 0)))
  }

  /// Whether another address is in its network.
  @inline(always)
  func isNear(_ other: IPAddress) -> Bool {
    (other.high ^ address.high) & maskHigh | (other.low ^ address.low) & maskLow == 0
  }
}

/// The arrays of one snapshot.
struct RouterTables {
  var routers: UnsafePointer<RouterEntry>
  /// By domain, and behind them one without a domain.
  var interfaces: UnsafePointer<RouterInterface>
  var addresses: UnsafePointer<RouterAddressEntry>
  var ranges: UnsafePointer<RouteRange>
  /// From which this VTEP asks for neighbours.
  var requestMAC: MACAddress

  /// The route of a destination: the last range that begins at or below it.
  func route(_ router: UInt16, to destination: IPAddress) -> RouteEntry {
    let entry = routers[Int(router)]
    let ranges = self.ranges + Int(entry.firstRange)
    var low = 0
    var high = Int(entry.rangeCount)
    while low < high {
      let middle = (low &+ high) &>> 1
      if destination < ranges[middle].start { high = middle } else { low = middle &+ 1 }
    }
    return low == 0 ? RouteEntry() : ranges[low &- 1].route
  }

  /// Whether an interface has an address; its link-local ones included.
  func isOwn(_ address: IPAddress, _ interface: RouterInterface) -> Bool {
    for position in 0..<Int(interface.addressCount) where addresses[Int(interface.firstAddress) &+ position].address == address {
      return true
    }
    return address.isLinkLocal && !address.isIPv4 && (address == interface.mac.linkLocalAddress || address == requestMAC.linkLocalAddress)
  }

  /// Whether an address may be a neighbour's on an interface.
  func isNear(_ address: IPAddress, _ interface: RouterInterface) -> Bool {
    for position in 0..<Int(interface.addressCount) where addresses[Int(interface.firstAddress) &+ position].isNear(address) { return true }
    return false
  }

  /// The address of an interface from which it speaks to a host: of the host's network, or else the first of its family.
  func source(for host: IPAddress, _ interface: RouterInterface) -> IPAddress? {
    var found: IPAddress?
    for position in 0..<Int(interface.addressCount) {
      let entry = addresses[Int(interface.firstAddress) &+ position]
      if entry.isNear(host) { return entry.address }
      if found == nil, entry.address.isIPv4 == host.isIPv4 { found = entry.address }
    }
    return found
  }
}
