// Route lookups: the kernel's own decision for one destination, including its routing rules.

import CMNL
import Encap
import Glibc

extension NetlinkSocket {
  /// The route for packets from `source` to `destination`, with all its next hops, ordered by interface and gateway.
  ///
  /// The rules are evaluated for a UDP datagram to `udpPort` from any source port, without a mark (SO_MARK) and with TOS 0. A
  /// source address that this host does not have is left out of the lookup: the kernel has no IPv4 route for it.
  /// - Returns: nil if there is no route (ENETUNREACH). A blackhole, unreachable or prohibit route is a value.
  public func route(to destination: IPAddress, from source: IPAddress?, udpPort: UInt16? = nil) throws(NetlinkError) -> Route? {
    guard let source, source.isIPv4 == destination.isIPv4 else { return try lookUp(destination, nil, udpPort) }
    let route = try lookUp(destination, source, udpPort)
    // For a foreign source the kernel reports a missing or (older kernels) a blackhole route.
    if route == nil || route?.type == .blackhole, try !addresses().contains(where: { $0.address == source }) {
      return try lookUp(destination, nil, udpPort)
    }
    return route
  }

  private func lookUp(_ destination: IPAddress, _ source: IPAddress?, _ udpPort: UInt16?) throws(NetlinkError) -> Route? {
    let request = NetlinkRequest(
      RTM_GETROUTE, flags: NLM_F_ACK, operation: "look up route", subject: "\(destination)")
    var header = rtmsg()
    header.rtm_family = UInt8(destination.isIPv4 ? AF_INET : AF_INET6)
    header.rtm_dst_len = destination.isIPv4 ? 32 : 128
    header.rtm_src_len = source == nil ? 0 : header.rtm_dst_len
    // Without this flag the kernel picks one next hop.
    header.rtm_flags = UInt32(RTM_F_FIB_MATCH)
    request.putFamilyHeader(header)
    request.put(RTA_DST, destination)
    if let source { request.put(RTA_SRC, source) }
    if let udpPort {
      request.put(Int(RTA_IP_PROTO.rawValue), bytes: [UInt8(IPPROTO_UDP)])
      request.put(Int(RTA_DPORT.rawValue), bytes: [UInt8(udpPort >> 8), UInt8(udpPort & 0xff)])
    }

    var route: Route?
    var objectID: UInt32?
    do {
      try perform(request) { message in
        guard message.type == RTM_NEWROUTE, let part = Route(message) else { return }
        objectID = message.nextHopObjectID ?? objectID
        if route?.merge(part) == nil { route = part }
      }
    } catch {
      return try Self.routeForError(error)
    }
    if let objectID, let found = route, found.nextHops.isEmpty, found.type.hasNextHops {
      if let hops = try nextHops(ofObject: objectID) { route?.nextHops = hops } else { route?.type = .blackhole }
    }
    route?.unifyNextHops()
    // IPv6 moves a returning next hop to the end; sorting makes equal hops an equal route.
    route?.nextHops.sort { ($0.interfaceIndex, $0.gateway ?? destination) < ($1.interfaceIndex, $1.gateway ?? destination) }
    return route
  }

  /// Routes that lead nowhere answer a lookup with their error (fib_props in the kernel) instead of a message. A malformed request
  /// would give EINVAL with a text.
  private static func routeForError(_ error: NetlinkError) throws(NetlinkError) -> Route? {
    switch error.code {
    case ENETUNREACH: return nil
    case EHOSTUNREACH: return Route(type: .unreachable)
    case EACCES: return Route(type: .prohibit)
    case EINVAL where error.detail == nil: return Route(type: .blackhole)
    default: throw error
    }
  }
}
