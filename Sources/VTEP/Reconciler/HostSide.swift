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
}

/// Who uses interfaces besides us: read once for several questions.
struct InterfaceUsers {
  private let links: [Link]
  private let addresses: [InterfaceAddress]

  /// Kinds of devices that take frames from an interface below.
  private static let upperKinds: Set<String> = ["vlan", "macvlan", "macvtap", "ipvlan", "ipvtap"]

  init(_ netlink: NetlinkSocket) throws(NetlinkError) {
    links = try netlink.links()
    addresses = try netlink.addresses()
  }

  /// How the operator uses the interface, as a clause, and the command that undoes it; nil: not at all. Addresses that the
  /// kernel assigns by itself (link-local, router advertisements) do not count.
  func use(of link: Link) -> (what: String, undo: String)? {
    if let master = link.masterIndex {
      let name = links.first { $0.index == master }?.name ?? "interface \(master)"
      return ("is a member of \(name)", "ip link set \(link.name) nomaster")
    }
    let own = addresses.first {
      $0.interfaceIndex == link.index && ($0.address.isIPv4 || $0.isPermanent && !$0.address.isLinkLocal)
    }
    if let own {
      let address = "\(own.address)/\(own.prefixLength)"
      return ("has the address \(address) of the host's own", "ip address delete \(address) dev \(link.name)")
    }
    let upper = links.first { $0.lowerIndex == link.index && $0.linkNetnsID == nil && Self.upperKinds.contains($0.kind ?? "") }
    return upper.map { ("has \($0.name), of kind \($0.kind ?? ""), on top of it", "ip link delete \($0.name)") }
  }
}

extension PortHost {
  /// Keeps the host's IP stack off the interface. If the kernel cannot, the port works all the same.
  ///
  /// - Parameter claim: tells other daemons that the guard is in use.
  func guardHost(_ link: Link, claim: InterfaceClaim?) -> HostSide {
    var side = HostSide(claim: claim)
    do throws(NetlinkError) {
      side.guardian = try HostStackGuard(link, netlink) { side.remark = "\(link.name): \($0)" }
    } catch {
      side.remark = "the host's IP stack receives the frames of \(link.name) and may answer them: \(error)"
    }
    return side
  }
}
