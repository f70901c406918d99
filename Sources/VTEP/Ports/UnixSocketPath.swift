// UnixSocketPath: checks and clears the path of a unix socket before DPDK uses it, since DPDK's errors come too late.

import CDPDK
import Glibc

enum UnixSocketPath {
  /// Checks that a socket can be created (server), or connected to later (client), at `path`. Removes a dead server's socket.
  ///
  /// - Throws: `.refused` when another process uses the socket, or the path is not a socket.
  static func prepare(_ path: String, isServer: Bool, subject: String) throws(VTEPError) {
    let operation = "\(subject): socket \(path)"
    guard path.utf8.count <= 107 else {
      throw VTEPError(.refused, operation, "the path is longer than 107 bytes", remedy: "choose a shorter one, or a shorter run-dir")
    }
    var info = stat()
    guard lstat(path, &info) == 0 else {
      let folder = path.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" }
      guard stat(folder.isEmpty ? "/" : folder, &info) == 0, info.st_mode & S_IFMT == S_IFDIR else {
        throw VTEPError(.refused, operation, "there is no folder \(folder)", remedy: "create it first")
      }
      return
    }
    guard info.st_mode & S_IFMT == S_IFSOCK else {
      throw VTEPError(.refused, operation, "the path exists and is not a socket", remedy: "remove it, or choose another path")
    }
    guard isServer else { return }
    guard isAbandoned(path) else {
      throw VTEPError(
        .refused, operation, "another process already listens there", remedy: "stop that process, or use role: client to connect to it")
    }
    unlink(path)
  }

  static func isMissing(_ path: String) -> Bool {
    var info = stat()
    return lstat(path, &info) != 0 && errno == ENOENT
  }

  /// A process has the socket open.
  static func isServed(_ path: String) -> Bool {
    probe(path) == EPROTOTYPE
  }

  /// Removes a socket that no process has open any more.
  static func removeIfAbandoned(_ path: String) {
    if isAbandoned(path) { unlink(path) }
  }

  /// The descriptor listens for connections at `path`.
  static func isListener(_ descriptor: Int32, _ path: String) -> Bool {
    var listens: Int32 = 0
    var size = socklen_t(MemoryLayout<Int32>.size)
    guard getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0, listens != 0 else { return false }
    var address = sockaddr_un()
    size = socklen_t(MemoryLayout<sockaddr_un>.size)
    let code = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
    }
    guard code == 0, address.sun_family == sa_family_t(AF_UNIX) else { return false }
    return withUnsafeBytes(of: &address.sun_path) { $0.prefix { $0 != 0 }.elementsEqual(path.utf8) }
  }

  private static func isAbandoned(_ path: String) -> Bool {
    probe(path) == ECONNREFUSED
  }

  /// The error of a connection attempt: ECONNREFUSED if no process has the socket open, EPROTOTYPE if one has. It uses a socket
  /// of another type, so that a listener does not notice.
  private static func probe(_ path: String) -> Int32 {
    let probe = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard probe >= 0 else { return errno }
    defer { close(probe) }
    return withAddress(path) { connect(probe, $0, $1) } == 0 ? 0 : errno
  }

  /// Passes the address of a path of at most 107 bytes, and its size.
  static func withAddress<Result>(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
    }
  }
}
