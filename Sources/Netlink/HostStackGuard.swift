// HostStackGuard: keeps the host's own IP stack off a tenant-facing interface. Packet sockets get a frame before tc does, so an
// ingress filter that drops everything costs them nothing, and the host's ARP, ND, IP, bridges and VLAN devices see nothing. IPv6
// is disabled, so the host does not send anything on its own either.

import Glibc

/// An interface with the host's IP stack kept off.
public struct HostStackGuard: Equatable, Sendable {
  private let index: Int32
  /// The filter's handle stores the previous settings: it exists exactly as long as the guard, so a later process can restore them
  /// if this one is killed.
  private var filter: IngressDrop

  /// "vt" in the upper half of a handle.
  private static let mark: UInt32 = 0x7674_0000
  /// The interface had no qdisc for ingress filters.
  private static let madePlace: UInt32 = 1
  private static let turnedIPv6Off: UInt32 = 2

  /// Installs the guard, or takes over one left by a killed process.
  ///
  /// - Parameter warn: receives a clause about anything that could not be done in addition.
  /// - Throws: if the kernel does not support the filter (module cls_bpf is missing) or permission is denied; nothing is changed
  ///   then.
  public init(_ link: Link, _ netlink: NetlinkSocket, warn: (String) -> Void) throws(NetlinkError) {
    index = link.index
    if let left = try Self.left(on: link, netlink) {
      filter = left
    } else {
      let isNew = try netlink.addIngressPlace(index: index)
      filter = IngressDrop(
        handle: Self.mark | (isNew ? Self.madePlace : 0) | (IPv6Switch.willBeOn(link.name) ? Self.turnedIPv6Off : 0))
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

  /// Whether the interface has a guard's filter, and no IPv6.
  public static func isWhole(on link: Link, _ netlink: NetlinkSocket) throws(NetlinkError) -> Bool {
    try left(on: link, netlink) != nil && !IPv6Switch.isOn(link.name)
  }

  /// Restores the previous settings. An interface that is gone or in another namespace needs nothing.
  public func remove(_ netlink: NetlinkSocket) throws(NetlinkError) {
    guard let link = try netlink.link(index: index) else { return }
    // In this order: while the filter exists, a later process knows what to restore.
    if filter.handle & Self.turnedIPv6Off != 0 { _ = IPv6Switch.set(link.name, isOn: true) }
    do {
      try netlink.delete(filter, index: index)
    } catch  where [ENOENT, EINVAL, ENODEV].contains(error.code) {
      // Someone else was faster.
      return
    }
    if filter.handle & Self.madePlace != 0 { try netlink.deleteIngressPlace(index: index) }
  }
}

/// IPv6 on single interfaces. Needs CAP_NET_ADMIN and a writable /proc/sys.
enum IPv6Switch {
  static func path(_ interface: String) -> String { "/proc/sys/net/ipv6/conf/\(interface)/disable_ipv6" }

  /// Also false if the kernel has no IPv6.
  static func isOn(_ interface: String) -> Bool {
    let file = open(path(interface), O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return false }
    defer { close(file) }
    var value: UInt8 = 0
    return read(file, &value, 1) == 1 && value == UInt8(ascii: "0")
  }

  /// Also of an interface without IPv6, whose MTU is below 1280: it gets the defaults with its first larger one.
  static func willBeOn(_ interface: String) -> Bool {
    isOn(access(path(interface), F_OK) == 0 ? interface : "default")
  }

  /// - Returns: errno; nil if it is as requested, or the kernel has no IPv6.
  static func set(_ interface: String, isOn: Bool) -> Int32? {
    guard access("/proc/sys/net/ipv6", F_OK) == 0, Self.isOn(interface) != isOn else { return nil }
    let file = open(path(interface), O_WRONLY | O_CLOEXEC)
    guard file >= 0 else { return errno }
    defer { close(file) }
    return write(file, isOn ? "0" : "1", 1) == 1 ? nil : errno
  }
}
