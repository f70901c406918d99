// HostAddresses: the host's management addresses, for Physical_Switch.management_ips.

import Encap
import Glibc

enum HostAddresses {
  /// Addresses in our network namespace that other hosts can use, except tunnel addresses.
  static func management(besides tunnels: [IPAddress]) -> Set<String> {
    var first: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&first) == 0 else { return [] }
    defer { freeifaddrs(first) }
    var found: Set<String> = []
    var next = first
    while let entry = next {
      next = entry.pointee.ifa_next
      guard let address = entry.pointee.ifa_addr.flatMap(address), !tunnels.contains(address), !address.isLoopback, !address.isLinkLocal
      else { continue }
      found.insert("\(address)")
    }
    return found
  }

  private static func address(_ socket: UnsafeMutablePointer<sockaddr>) -> IPAddress? {
    switch Int32(socket.pointee.sa_family) {
    case AF_INET:
      socket.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { IPAddress(ipv4: UInt32(bigEndian: $0.pointee.sin_addr.s_addr)) }
    case AF_INET6:
      socket.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { address in
        withUnsafeBytes(of: address.pointee.sin6_addr) { IPAddress(bytes: Array($0)) }
      }
    default: nil
    }
  }
}
