// Reads a Route from RTM_NEWROUTE, in either encoding of a multipath route.

import CMNL
import Encap

extension Route {
  init?(_ message: NetlinkMessage) {
    guard let header = message.familyHeader(rtmsg.self) else { return nil }
    let attributes = message.attributes(after: rtmsg.self)
    let kind = Kind(kernelType: header.rtm_type)
    var nextHops: [NextHop] = []
    if kind.hasNextHops {
      if let multipath = attributes[RTA_MULTIPATH] {
        nextHops = NextHop.list(multipath.payload)
      } else if let interfaceIndex = attributes[RTA_OIF]?.value(Int32.self) {
        // The flags of a single next hop are in the route's own flags.
        nextHops = [
          NextHop(
            gateway: NextHop.gateway(attributes), interfaceIndex: interfaceIndex,
            isUsable: NextHop.isUsable(header.rtm_flags))
        ]
      }
    }
    self.init(
      type: kind,
      nextHops: nextHops,
      mtu: attributes[RTA_METRICS]?.nested[RTAX_MTU]?.value(UInt32.self).map { Int($0) },
      preferredSource: attributes[RTA_PREFSRC]?.address)
  }

  /// Adds the next hops of another message about the same route: IPv6 may send one message per next hop.
  mutating func merge(_ other: Route) {
    for hop in other.nextHops where !nextHops.contains(hop) { nextHops.append(hop) }
    mtu = mtu ?? other.mtu
    preferredSource = preferredSource ?? other.preferredSource
  }

  /// Merges duplicate next hops (two members of a group may be equal), adding their weights.
  mutating func unifyNextHops() {
    var unified: [NextHop] = []
    for hop in nextHops {
      if let index = unified.firstIndex(where: { $0.interfaceIndex == hop.interfaceIndex && $0.gateway == hop.gateway }) {
        unified[index].weight += hop.weight
        unified[index].isUsable = unified[index].isUsable || hop.isUsable
      } else {
        unified.append(hop)
      }
    }
    nextHops = unified
  }
}

extension Route.Kind {
  init(kernelType: UInt8) {
    switch Int(kernelType) {
    case Int(RTN_UNICAST): self = .unicast
    case Int(RTN_LOCAL): self = .local
    case Int(RTN_BROADCAST): self = .broadcast
    case Int(RTN_ANYCAST): self = .anycast
    case Int(RTN_MULTICAST): self = .multicast
    case Int(RTN_BLACKHOLE): self = .blackhole
    case Int(RTN_UNREACHABLE): self = .unreachable
    case Int(RTN_PROHIBIT): self = .prohibit
    default: self = .other(kernelType)
    }
  }

  /// For routes that lead nowhere, IPv6 names the loopback interface.
  var hasNextHops: Bool {
    switch self {
    case .blackhole, .unreachable, .prohibit: false
    default: true
    }
  }
}

extension NextHop {
  /// The `rtnexthop` list in RTA_MULTIPATH: each has a header, then attributes of its own.
  static func list(_ payload: UnsafeRawBufferPointer) -> [NextHop] {
    let headerSize = MemoryLayout<rtnexthop>.size
    var hops: [NextHop] = []
    var offset = 0
    while offset + headerSize <= payload.count {
      let header = payload.loadUnaligned(fromByteOffset: offset, as: rtnexthop.self)
      let length = Int(header.rtnh_len)
      guard length >= headerSize, offset + length <= payload.count else { break }
      let attributes = NetlinkAttributes(
        UnsafeRawBufferPointer(rebasing: payload[(offset + headerSize)..<(offset + length)]))
      hops.append(
        NextHop(
          gateway: gateway(attributes), interfaceIndex: header.rtnh_ifindex, weight: Int(header.rtnh_hops) + 1,
          isUsable: isUsable(UInt32(header.rtnh_flags))))
      offset += (length + 3) & ~3
    }
    return hops
  }

  static func gateway(_ attributes: NetlinkAttributes) -> IPAddress? {
    if let gateway = attributes[RTA_GATEWAY]?.address { return gateway }
    // struct rtvia: the address family in two bytes, then an address of the other family.
    guard let via = attributes[RTA_VIA]?.payload, via.count > 2 else { return nil }
    return IPAddress(bytes: Array(via[2...]))
  }

  static func isUsable(_ flags: UInt32) -> Bool {
    flags & UInt32(RTNH_F_DEAD | RTNH_F_LINKDOWN) == 0
  }
}
