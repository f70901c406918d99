// GroupSocket: a UDP socket that only holds group memberships. After a join, the kernel sends the IGMP (RFC 3376) or MLD
// (RFC 3810) reports; the packets themselves arrive through the underlay device.

import Encap
import Glibc

/// Owns one socket. Closing it leaves every group joined through it.
final class GroupSocket {
  let isIPv4: Bool
  /// Memberships held.
  private(set) var count = 0
  /// The kernel rejected another membership.
  private(set) var isFull = false
  private let fd: Int32

  /// - Returns: nil with errno set.
  init?(isIPv4: Bool) {
    self.isIPv4 = isIPv4
    fd = socket(isIPv4 ? AF_INET : AF_INET6, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    if fd < 0 { return nil }
    // The socket is never bound, so the kernel delivers no packets to it; these two options make that explicit.
    var zero: Int32 = 0
    let size = socklen_t(MemoryLayout<Int32>.size)
    _ =
      isIPv4
      ? setsockopt(fd, Int32(IPPROTO_IP), IP_MULTICAST_ALL, &zero, size)
      : setsockopt(fd, Int32(IPPROTO_IPV6), IPV6_MULTICAST_ALL, &zero, size)
    _ = setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &zero, size)
  }

  deinit {
    if fd >= 0 { close(fd) }
  }

  /// - Returns: 0 or errno; after ENOBUFS or ENOMEM the socket `isFull` and another one may succeed.
  func join(_ group: IPAddress, interfaceIndex: Int32) -> Int32 {
    let code = change(group, interfaceIndex, isIPv4 ? IP_ADD_MEMBERSHIP : IPV6_JOIN_GROUP)
    switch code {
    case 0: count += 1
    // net.ipv4.igmp_max_memberships, or the socket's option memory (net.core.optmem_max), which IPv6 reports so.
    case ENOBUFS, ENOMEM: isFull = true
    default: break
    }
    return code
  }

  func leave(_ group: IPAddress, interfaceIndex: Int32) {
    // Fails only if the kernel has already dropped the membership together with its interface.
    _ = change(group, interfaceIndex, isIPv4 ? IP_DROP_MEMBERSHIP : IPV6_LEAVE_GROUP)
    count -= 1
    isFull = false
  }

  private func change(_ group: IPAddress, _ interfaceIndex: Int32, _ option: Int32) -> Int32 {
    if isIPv4 {
      var request = ip_mreqn()
      withUnsafeMutableBytes(of: &request.imr_multiaddr) { $0.copyBytes(from: group.bytes) }
      request.imr_ifindex = interfaceIndex
      return set(Int32(IPPROTO_IP), option, &request)
    }
    var request = ipv6_mreq()
    withUnsafeMutableBytes(of: &request.ipv6mr_multiaddr) { $0.copyBytes(from: group.bytes) }
    request.ipv6mr_interface = UInt32(interfaceIndex)
    return set(Int32(IPPROTO_IPV6), option, &request)
  }

  private func set<Request>(_ level: Int32, _ option: Int32, _ request: inout Request) -> Int32 {
    withUnsafeBytes(of: &request) {
      setsockopt(fd, level, option, $0.baseAddress, socklen_t($0.count)) == 0 ? 0 : errno
    }
  }
}
