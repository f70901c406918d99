// UnixSocketProbe: whether a process listens on a Unix socket.

import Glibc
import VTEPControl

enum UnixSocketProbe {
  /// Connects and closes.
  static func accepts(_ path: String) -> Bool {
    guard let address = sockaddr_un(path: path) else { return false }
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    return address.withPointer { connect(descriptor, $0, $1) } == 0
  }
}
