// PacketSocket: finds the AF_PACKET sockets that DPDK's af_packet driver opened in this process.

import CMNL
import Glibc

/// Operations on AF_PACKET sockets owned by other code.
public enum PacketSocket {
  /// This process's packet sockets that are bound to an interface, ascending.
  public static func sockets(boundTo interfaceIndex: Int32) -> [Int32] {
    OpenDescriptors.all().filter { boundInterface(of: $0) == interfaceIndex }
  }

  /// Packets since the last call that passed the socket's filter but found its ring full. 0 if the descriptor is not a packet
  /// socket.
  public static func takeDropCount(_ fd: Int32) -> UInt32 {
    var statistics = tpacket_stats()
    var size = socklen_t(MemoryLayout<tpacket_stats>.size)
    return getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &size) == 0 ? statistics.tp_drops : 0
  }

  /// Nil if the descriptor is not a packet socket; 0 if it is not bound.
  private static func boundInterface(of fd: Int32) -> Int32? {
    var domain: Int32 = 0
    var size = socklen_t(MemoryLayout<Int32>.size)
    guard getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0, domain == AF_PACKET else { return nil }
    var address = sockaddr_ll()
    size = socklen_t(MemoryLayout<sockaddr_ll>.size)
    let code = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(fd, $0, &size) }
    }
    return code == 0 ? address.sll_ifindex : nil
  }
}
