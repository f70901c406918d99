// NetlinkTransport: a bound netlink socket and its receive buffer, shared by the request socket and the monitors.

import CMNL
import Glibc

/// Owns the socket, which is closed when this value goes out of scope.
struct NetlinkTransport: ~Copyable {
  private let socket: OpaquePointer
  private let buffer: UnsafeMutableRawBufferPointer

  /// Opens a close-on-exec socket in the calling thread's network namespace and binds it.
  /// - Parameter bus: NETLINK_ROUTE or another NETLINK_* number.
  init(bus: Int32 = NETLINK_ROUTE, nonBlocking: Bool, operation: String) throws(NetlinkError) {
    let flags = SOCK_CLOEXEC.rawValue | (nonBlocking ? SOCK_NONBLOCK.rawValue : 0)
    guard let socket = mnl_socket_open2(bus, Int32(flags)) else {
      throw NetlinkError(operation, subject: "netlink", code: errno)
    }
    guard mnl_socket_bind(socket, 0, pid_t(MNL_SOCKET_AUTOPID)) == 0 else {
      let code = errno
      mnl_socket_close(socket)
      throw NetlinkError(operation, subject: "netlink", code: code)
    }
    self.socket = socket
    // The kernel sizes dump datagrams by the reader's buffer, up to 32 KiB.
    buffer = .allocate(byteCount: 65536, alignment: 16)
  }

  deinit {
    mnl_socket_close(socket)
    buffer.deallocate()
  }

  var fileDescriptor: Int32 { mnl_socket_get_fd(socket) }
  var portID: UInt32 { mnl_socket_get_portid(socket) }

  /// - Returns: 0 or errno.
  func setOption(_ level: Int32, _ option: Int32, _ value: Int32) -> Int32 {
    var value = value
    return setsockopt(fileDescriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size)) == 0 ? 0 : errno
  }

  func send(_ request: borrowing NetlinkRequest) throws(NetlinkError) {
    while mnl_socket_sendto(socket, request.header, request.byteCount) < 0 {
      guard errno == EINTR else { throw request.error(errno) }
    }
  }

  /// Receives one datagram, and the ID of the namespace that it tells of: -1 = the socket's own.
  func receiveOfAnyNamespace() -> (datagram: UnsafeRawBufferPointer, namespaceID: Int32, code: Int32) {
    var namespaceID: Int32 = -1
    while true {
      let count = cmnl_receive(fileDescriptor, buffer.baseAddress, buffer.count, &namespaceID)
      if count >= 0 { return (UnsafeRawBufferPointer(rebasing: buffer[..<count]), namespaceID, 0) }
      if errno != EINTR { return (UnsafeRawBufferPointer(start: nil, count: 0), namespaceID, errno) }
    }
  }

  /// Receives one datagram.
  /// - Returns: its bytes, valid until the next call; or errno (never EINTR).
  func receive() -> (datagram: UnsafeRawBufferPointer, code: Int32) {
    while true {
      let count = mnl_socket_recvfrom(socket, buffer.baseAddress, buffer.count)
      if count >= 0 { return (UnsafeRawBufferPointer(rebasing: buffer[..<count]), 0) }
      if errno != EINTR { return (UnsafeRawBufferPointer(start: nil, count: 0), errno) }
    }
  }
}
