// UDPPortReservation: occupies VXLAN's UDP port on a shared underlay device, where the kernel also sees every packet. Without a
// socket on the port, it would answer each with ICMP port unreachable (RFC 1122 §3.2.2.1, RFC 4443 §3.1).

import CMNL
import Glibc

/// Holds a UDP port on all addresses, IPv4 and IPv6, and drops everything it receives, for the lifetime of this object.
public final class UDPPortReservation {
  public let port: UInt16
  private var sockets: [Int32] = []

  /// - Throws: EADDRINUSE if a kernel VXLAN device or another program has the port.
  public init(port: UInt16) throws(NetlinkError) {
    self.port = port
    sockets.append(try Self.reserve(port, AF_INET))
    do {
      sockets.append(try Self.reserve(port, AF_INET6))
    } catch  where error.code == EAFNOSUPPORT {
      // A kernel without IPv6 sends no ICMPv6 errors.
    }
  }

  /// Whether the kernel still has all its sockets bound to the port.
  public var isHeld: Bool {
    sockets.allSatisfy { fd in
      // Of either family, the port is in the second field.
      var address = sockaddr_in6()
      var count = socklen_t(MemoryLayout<sockaddr_in6>.size)
      let code = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(fd, $0, &count) }
      }
      return code == 0 && address.sin6_port == port.bigEndian
    }
  }

  deinit {
    for fd in sockets { close(fd) }
  }

  private static func reserve(_ port: UInt16, _ family: Int32) throws(NetlinkError) -> Int32 {
    let subject = "UDP port \(port)"
    let type = Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue)
    let fd = socket(family, type, Int32(IPPROTO_UDP))
    guard fd >= 0 else { throw NetlinkError("reserve", subject: subject, code: errno) }
    do throws(NetlinkError) {
      // Set the filter before binding, so that nothing is queued or charged to socket memory.
      try BPFProgram.dropAll.attach(toSocket: fd)
      try set(fd, SOL_SOCKET, SO_RCVBUF, 0, subject)
      // Without it the kernel cuts trains of datagrams up for this socket before its filter drops them (UDP_GRO, Linux 5.0). With it,
      // it also joins packets with a UDP checksum that a card has received apart, and the packet socket gets them as a train.
      try? set(fd, Int32(IPPROTO_UDP), UDP_GRO, 1, subject)
      if family == AF_INET6 { try set(fd, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 1, subject) }
      let code = bind(fd, family, port)
      if code == EADDRINUSE {
        throw NetlinkError(
          "reserve", subject: subject, code: code,
          detail: "UDP port \(port) is in use by a kernel VXLAN device or another vtepd: "
            + "see `ip -d link show type vxlan` and `ss -lunp`")
      }
      if code != 0 { throw NetlinkError("reserve", subject: subject, code: code) }
    } catch {
      close(fd)
      throw error
    }
    return fd
  }

  private static func set(_ fd: Int32, _ level: Int32, _ option: Int32, _ value: Int32, _ subject: String)
    throws(NetlinkError)
  {
    var value = value
    guard setsockopt(fd, level, option, &value, socklen_t(MemoryLayout<Int32>.size)) == 0 else {
      throw NetlinkError("set socket option", subject: subject, code: errno)
    }
  }

  /// Binds to the unspecified address of the family.
  private static func bind(_ fd: Int32, _ family: Int32, _ port: UInt16) -> Int32 {
    func bound<Address>(_ address: Address) -> Int32 {
      withUnsafePointer(to: address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          Glibc.bind(fd, $0, socklen_t(MemoryLayout<Address>.size)) == 0 ? 0 : errno
        }
      }
    }
    if family == AF_INET {
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = port.bigEndian
      return bound(address)
    }
    var address = sockaddr_in6()
    address.sin6_family = sa_family_t(AF_INET6)
    address.sin6_port = port.bigEndian
    return bound(address)
  }
}
