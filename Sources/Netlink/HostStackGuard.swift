// HostStackGuard: keeps the host's own IP stack off an interface that leads to a tenant. Packet sockets get a frame before tc
// does, so a filter at the ingress that drops everything costs them nothing, and ARP, ND, IP, bridges and VLAN devices of the
// host see nothing. IPv6 is turned off, so that the host says nothing of its own accord either.

import Glibc

/// An interface that the host's IP stack is kept off.
public struct HostStackGuard: Equatable, Sendable {
  private let index: Int32
  /// The filter remembers in its handle how things were before: it is there exactly as long as what it stands for, so that a
  /// later process can put it right when this one is killed.
  private var filter: IngressDrop

  /// "vt" in the upper half of a handle.
  private static let mark: UInt32 = 0x7674_0000
  /// There was no place for filters at the interface.
  private static let madePlace: UInt32 = 1
  private static let turnedIPv6Off: UInt32 = 2

  /// Puts the guard up, or takes over one that a killed process left.
  ///
  /// - Parameter warn: is told in a clause what could not be done besides.
  /// - Throws: when the kernel takes no such filter (without the module cls_bpf) or it is not permitted; nothing is changed then.
  public init(_ link: Link, _ netlink: NetlinkSocket, warn: (String) -> Void) throws(NetlinkError) {
    index = link.index
    if let left = try Self.left(on: link, netlink) {
      filter = left
    } else {
      let isNew = try netlink.addIngressPlace(index: index)
      filter = IngressDrop(
        handle: Self.mark | (isNew ? Self.madePlace : 0) | (IPv6Switch.isOn(link.name) ? Self.turnedIPv6Off : 0))
      do throws(NetlinkError) {
        try netlink.add(filter, index: index)
      } catch {
        if isNew { try? netlink.deleteIngressPlace(index: index) }
        throw error
      }
    }
    if let code = IPv6Switch.set(link.name, isOn: false) {
      warn("IPv6 stays on, \(IPv6Switch.path(link.name)): \(String(cString: strerror(code)))")
    }
  }

  /// The guard that a killed process left on the interface.
  public init?(leftOn link: Link, _ netlink: NetlinkSocket) throws(NetlinkError) {
    guard let left = try Self.left(on: link, netlink) else { return nil }
    index = link.index
    filter = left
  }

  private static func left(on link: Link, _ netlink: NetlinkSocket) throws(NetlinkError) -> IngressDrop? {
    try netlink.ingressHandles(index: link.index).first { $0 & 0xffff_0000 == mark }.map { IngressDrop(handle: $0) }
  }

  /// Restores what was before. An interface that is gone, or in another namespace, needs nothing.
  public func remove(_ netlink: NetlinkSocket) throws(NetlinkError) {
    guard let link = try netlink.link(index: index) else { return }
    // In this order: as long as the filter is there, a later process knows.
    if filter.handle & Self.turnedIPv6Off != 0 { _ = IPv6Switch.set(link.name, isOn: true) }
    do {
      try netlink.delete(filter, index: index)
    } catch  where [ENOENT, EINVAL, ENODEV].contains(error.code) {
      // Somebody was faster.
      return
    }
    if filter.handle & Self.madePlace != 0 { try netlink.deleteIngressPlace(index: index) }
  }
}

/// IPv6 on single interfaces. Needs CAP_NET_ADMIN, and a /proc/sys that can be written.
enum IPv6Switch {
  static func path(_ interface: String) -> String { "/proc/sys/net/ipv6/conf/\(interface)/disable_ipv6" }

  /// False, too, where the kernel has no IPv6.
  static func isOn(_ interface: String) -> Bool {
    let file = open(path(interface), O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return false }
    defer { close(file) }
    var value: UInt8 = 0
    return read(file, &value, 1) == 1 && value == UInt8(ascii: "0")
  }

  /// - Returns: errno; nil when it is as wanted, or the kernel has no IPv6.
  static func set(_ interface: String, isOn: Bool) -> Int32? {
    guard access("/proc/sys/net/ipv6", F_OK) == 0, Self.isOn(interface) != isOn else { return nil }
    let file = open(path(interface), O_WRONLY | O_CLOEXEC)
    guard file >= 0 else { return errno }
    defer { close(file) }
    return write(file, isOn ? "0" : "1", 1) == 1 ? nil : errno
  }
}
