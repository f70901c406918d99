// HostSide: what a port has on the host besides its device. Above all the other side of its kernel interface, where the host's own IP
// stack is: on an interface that leads to a tenant it must neither receive nor send, unless the operator makes the host the far end of a tap.

import Encap
import Netlink

/// What is held for a port on the host, besides its device.
struct HostSide: Sendable {
  /// Tells other daemons that the interface is read.
  var claim: InterfaceClaim?
  var guardian: HostStackGuard?
  /// What an operator should know about it.
  var remark: String?
  /// The MTU has been too small for IPv6: the kernel has dropped the interface's IPv6 with its settings, and makes it anew with the next larger MTU.
  var hasLostIPv6 = false

  static let leastMTUForIPv6 = 1280
}

/// Who uses interfaces besides us: read once for several questions.
struct InterfaceUsers {
  private let names: [Int32: String]
  /// By the interface that has it: those that the operator has assigned.
  private let addresses: [Int32: InterfaceAddress]
  /// By the interface below.
  private let uppers: [Int32: Link]

  /// Kinds of devices that take frames from an interface below.
  private static let upperKinds: Set<String> = ["vlan", "macvlan", "macvtap", "ipvlan", "ipvtap"]

  init(_ netlink: NetlinkSocket) throws(NetlinkError) {
    let links = try netlink.links()
    names = Dictionary(links.map { ($0.index, $0.name) }) { first, _ in first }
    uppers = Dictionary(
      links.compactMap { link in
        guard let lower = link.lowerIndex, link.linkNetnsID == nil, Self.upperKinds.contains(link.kind ?? "") else { return nil }
        return (lower, link)
      }
    ) { first, _ in first }
    addresses = Dictionary(
      try netlink.addresses().compactMap {
        $0.address.isIPv4 || $0.isPermanent && !$0.address.isLinkLocal ? ($0.interfaceIndex, $0) : nil
      }
    ) { first, _ in first }
  }

  /// How the operator uses the interface, as a clause, and the command that undoes it; nil: not at all. Addresses that the
  /// kernel assigns by itself (link-local, router advertisements) do not count.
  func use(of link: Link) -> (what: String, undo: String)? {
    if let master = link.masterIndex {
      let name = names[master] ?? "interface \(master)"
      return ("is a member of \(name)", "ip link set \(link.name) nomaster")
    }
    if let own = addresses[link.index] {
      let address = "\(own.address)/\(own.prefixLength)"
      return ("has the address \(address) of the host's own", "ip address delete \(address) dev \(link.name)")
    }
    return uppers[link.index].map { ("has \($0.name), of kind \($0.kind ?? ""), on top of it", "ip link delete \($0.name)") }
  }
}

/// The users of interfaces as they are when somebody first asks.
final class InterfaceUsersOnce {
  private let netlink: NetlinkSocket
  private var users: InterfaceUsers?

  init(_ netlink: NetlinkSocket) { self.netlink = netlink }

  func read() throws(NetlinkError) -> InterfaceUsers {
    if let users { return users }
    let users = try InterfaceUsers(netlink)
    self.users = users
    return users
  }
}

extension PortHost {
  /// Keeps the host's IP stack off the interface. If the kernel cannot, the port works all the same.
  ///
  /// - Parameter claim: tells other daemons that the guard is in use.
  func guardHost(_ link: Link, claim: InterfaceClaim?) -> HostSide {
    var side = HostSide(claim: claim, hasLostIPv6: link.mtu < HostSide.leastMTUForIPv6)
    do throws(NetlinkError) {
      side.guardian = try HostStackGuard(link, netlink) { side.remark = "\(link.name): \($0)" }
    } catch {
      side.remark = "the host's IP stack receives the frames of \(link.name) and may answer them: \(error)"
    }
    return side
  }
}
