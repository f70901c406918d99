// NetlinkMonitor: the stream of changes to links, addresses, routes and neighbours. The daemon waits until the descriptor is
// readable, then reads. The sockets belong to the network namespace of the thread that created them. One of them hears of taps that
// were moved to other namespaces.

import CMNL
import Glibc

/// Receives the kernel's notifications. Not for concurrent use.
public final class NetlinkMonitor {
  private static let groups = [
    RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
    RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE, RTNLGRP_NEXTHOP,
  ]

  private let transport: NetlinkTransport
  /// For the links of other namespaces. A socket of its own: neighbours and routes of all containers would come with them.
  private let foreign: NetlinkTransport
  /// Whether `read` reports taps in other namespaces: with CAP_NET_BROADCAST only.
  public let followsNamespaces: Bool

  /// Subscribes to changes from now on. Query the current state after this call, not before.
  public convenience init() throws(NetlinkError) {
    try self.init(receiveBufferByteCount: 4 << 20)
  }

  /// - Parameter receiveBufferByteCount: how many bytes may be pending before the kernel drops notifications.
  init(receiveBufferByteCount: Int32) throws(NetlinkError) {
    transport = try NetlinkTransport(nonBlocking: true, operation: "open monitor socket")
    // Exceeds net.core.rmem_max only with CAP_NET_ADMIN. Overflow is recoverable (resync), so neither failure is fatal.
    if transport.setOption(SOL_SOCKET, SO_RCVBUFFORCE, receiveBufferByteCount) != 0 {
      _ = transport.setOption(SOL_SOCKET, SO_RCVBUF, receiveBufferByteCount)
    }
    for group in Self.groups {
      let code = transport.setOption(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, Int32(group.rawValue))
      // Next-hop objects exist since Linux 5.3; without the group there are none to miss.
      if code != 0 && !(group == RTNLGRP_NEXTHOP && code == EINVAL) {
        throw NetlinkError("subscribe to group \(group.rawValue)", subject: "netlink", code: code)
      }
    }
    // The kernel passes on what happens in namespaces that have an ID in ours: it gives them one when an interface of ours moves there.
    foreign = try NetlinkTransport(nonBlocking: true, operation: "open monitor socket")
    followsNamespaces = foreign.setOption(SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, 1) == 0
    guard followsNamespaces else { return }
    _ = foreign.setOption(SOL_SOCKET, SO_RCVBUFFORCE, receiveBufferByteCount)
    let code = foreign.setOption(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, Int32(RTNLGRP_LINK.rawValue))
    guard code == 0 else { throw NetlinkError("subscribe to links of other namespaces", subject: "netlink", code: code) }
  }

  /// Readable (POLLIN) when notifications are pending. Owned by the monitor.
  public var fileDescriptor: Int32 { transport.fileDescriptor }

  /// The same for notifications from other namespaces.
  public var foreignDescriptor: Int32 { foreign.fileDescriptor }

  /// Reports all pending changes in order, with `addressesChanged` and `routesChanged` once at the end. Never blocks.
  /// - Throws: the error of recv(2); a lost notification is not an error but `.resync`.
  public func read(_ body: (NetlinkChange) -> Void) throws(NetlinkError) {
    try readOwn(body)
    try readForeign(body)
  }

  private func readForeign(_ body: (NetlinkChange) -> Void) throws(NetlinkError) {
    while true {
      let (datagram, namespaceID, code) = foreign.receiveOfAnyNamespace()
      switch code {
      case 0:
        // Of ours tells the other socket.
        guard namespaceID >= 0 else { continue }
        NetlinkMessage.forEach(in: datagram) { message in
          if let change = NetlinkChange(foreign: message, namespaceID: namespaceID) { body(change) }
          return true
        }
      case EAGAIN:
        return
      case ENOBUFS, ENOSPC:
        body(.resync)
      default:
        throw NetlinkError("read notifications", subject: "netlink", code: code)
      }
    }
  }

  private func readOwn(_ body: (NetlinkChange) -> Void) throws(NetlinkError) {
    var pending = PendingChanges()
    while true {
      let (datagram, code) = transport.receive()
      switch code {
      case 0:
        NetlinkMessage.forEach(in: datagram) { message in
          pending.follow(message, body)
          return true
        }
      case EAGAIN:
        pending.flush(body)
        return
      case ENOBUFS, ENOSPC:
        // Dropped by the kernel, or longer than our buffer.
        body(.resync)
      default:
        pending.flush(body)
        throw NetlinkError("read notifications", subject: "netlink", code: code)
      }
    }
  }
}

extension NetlinkChange {
  /// Nil for whatever is not about a tap.
  fileprivate init?(foreign message: NetlinkMessage, namespaceID: Int32) {
    guard let link = Link(message), link.tun != nil else { return nil }
    switch message.type {
    case Int(RTM_NEWLINK): self = .foreignTap(namespaceID: namespaceID, link)
    case Int(RTM_DELLINK): self = .foreignTapRemoved(namespaceID: namespaceID, index: link.index)
    default: return nil
    }
  }
}

/// Pending until the end of a read: a routing daemon sends thousands of route notifications.
struct PendingChanges {
  private var addresses = false
  private var routes = false

  mutating func follow(_ message: NetlinkMessage, _ body: (NetlinkChange) -> Void) {
    switch message.type {
    case Int(RTM_NEWLINK):
      if let link = Link(message) { body(.link(link)) }
    case Int(RTM_DELLINK):
      if let link = Link(message) { body(.linkRemoved(index: link.index, name: link.name)) }
    case Int(RTM_NEWNEIGH):
      if let neighbor = Neighbor(message) { body(.neighbor(neighbor)) }
    case Int(RTM_DELNEIGH):
      if let neighbor = Neighbor(message) {
        body(.neighborRemoved(interfaceIndex: neighbor.interfaceIndex, address: neighbor.address))
      }
    case Int(RTM_NEWADDR), Int(RTM_DELADDR):
      addresses = true
    case Int(RTM_NEWROUTE), Int(RTM_DELROUTE), Int(RTM_NEWRULE), Int(RTM_DELRULE), Int(RTM_NEWNEXTHOP),
      Int(RTM_DELNEXTHOP):
      routes = true
    default:
      break
    }
  }

  mutating func flush(_ body: (NetlinkChange) -> Void) {
    if addresses { body(.addressesChanged) }
    if routes { body(.routesChanged) }
    self = PendingChanges()
  }
}
