// InterfaceClaim: lets one vtepd know that another reads an interface. The kernel delivers frames to any number of packet sockets;
// two daemons on one interface would each forward them. The claim is an abstract Unix socket. Its name belongs to the network
// namespace, like the interface, and it disappears with its process, however that ends. unix(7), "Abstract sockets".

import CMNL
import Glibc
import Synchronization

/// An interface claimed by us until it is released or this value is destroyed.
public final class InterfaceClaim: Sendable {
  private let descriptor: Atomic<Int32>

  /// - Throws: EBUSY if another process has claimed the interface; the detail names the process.
  public init(_ link: Link) throws(NetlinkError) {
    func fail(_ code: Int32, _ detail: String? = nil) -> NetlinkError {
      NetlinkError("claim", subject: "interface \(link.name)", code: code, detail: detail)
    }
    // Connecting must not block: nobody accepts the connections.
    let type = Int32(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    let made = socket(AF_UNIX, type, 0)
    guard made >= 0 else { throw fail(errno) }
    let name = [0] + Array("vtepd/interface/\(link.index)".utf8)
    // A socket that was just closed, even our own, keeps its name until the kernel has cleaned up: up to a tenth of a second.
    for attempt in 1... {
      guard Self.call(bind, made, name) != 0 else { break }
      let code = errno
      let holder = code == EADDRINUSE ? Self.holder(of: name) : nil
      guard code == EADDRINUSE, holder == nil || holder == getpid(), attempt < 20 else {
        close(made)
        if holder == getpid() {
          descriptor = Atomic(-1)
          return
        }
        throw fail(code == EADDRINUSE ? EBUSY : code, holder.map { "process \($0)" })
      }
      usleep(5_000)
    }
    // So that others can ask who we are.
    _ = listen(made, 1)
    descriptor = Atomic(made)
  }

  deinit { release() }

  /// Releases the interface, even if others still hold this value.
  public func release() {
    let descriptor = descriptor.exchange(-1, ordering: .relaxed)
    if descriptor >= 0 { close(descriptor) }
  }

  private static func call(
    _ function: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32, _ descriptor: Int32, _ name: [UInt8]
  ) -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        function(descriptor, $0, socklen_t(MemoryLayout<sa_family_t>.size + name.count))
      }
    }
  }

  /// The process that holds a name. Nil: it does not answer, or lives in a PID namespace that we cannot see.
  private static func holder(of name: [UInt8]) -> pid_t? {
    let descriptor = socket(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    guard call(connect, descriptor, name) == 0 else { return nil }
    // struct ucred.
    var credentials = (pid: pid_t(0), uid: uid_t(0), gid: gid_t(0))
    var size = socklen_t(MemoryLayout.size(ofValue: credentials))
    guard getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0, credentials.pid > 0 else { return nil }
    return credentials.pid
  }
}
