// ControlSocket: the listening Unix socket. Its mode is set before anybody can connect. It replaces a dead daemon's socket but
// never a live one's, and is removed at the end.

import Glibc
import Synchronization
import VTEPControl

/// A listening control socket, open from initialisation on; clients wait until somebody accepts.
final class ControlSocket: Sendable {
  let path: String
  /// The descriptor, until it is handed over.
  private let descriptor: Mutex<Int32?>
  /// Distinguishes our file from one that another daemon created later.
  private let inode: ino_t

  private static let backlog: Int32 = 64

  /// Creates the socket, and its directory when that is missing.
  ///
  /// - Parameter mode: who may connect; owner and group unless told otherwise.
  /// - Throws: when another daemon serves the path, or a system call fails.
  init(path: String, mode: mode_t = 0o660) throws(ControlServerError) {
    guard let address = sockaddr_un(path: path) else {
      throw .system(operation: "bind", path: path, code: ENAMETOOLONG)
    }
    try Self.makeDirectory(of: path)
    try Self.removeStale(path, address)
    let descriptor = try Self.open(path)
    do throws(ControlServerError) {
      // Linux gives the file the mode of the socket less the umask, so nobody gets in between bind and chmod.
      try Self.check(fchmod(descriptor, mode), "fchmod", path)
      try Self.check(address.withPointer { bind(descriptor, $0, $1) }, "bind", path)
      try Self.check(chmod(path, mode), "chmod", path)
      try Self.check(listen(descriptor, Self.backlog), "listen", path)
    } catch {
      close(descriptor)
      throw error
    }
    self.path = path
    self.descriptor = Mutex(descriptor)
    inode = Self.status(of: path)?.st_ino ?? 0
  }

  deinit {
    if let descriptor = takeDescriptor() { close(descriptor) }
    remove()
  }

  /// The descriptor, which the caller now owns and closes; nil when it has already been taken.
  func takeDescriptor() -> Int32? {
    descriptor.withLock { descriptor in
      defer { descriptor = nil }
      return descriptor
    }
  }

  /// Removes the socket's file unless another daemon has put its own there.
  func remove() {
    if let status = Self.status(of: path), status.st_ino == inode { unlink(path) }
  }

  private static func makeDirectory(of path: String) throws(ControlServerError) {
    guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return }
    let directory = String(path[..<slash])
    guard mkdir(directory, 0o755) != 0, errno != EEXIST else { return }
    throw .system(operation: "mkdir", path: directory, code: errno)
  }

  /// Removes a dead daemon's socket.
  private static func removeStale(_ path: String, _ address: sockaddr_un) throws(ControlServerError) {
    guard let status = status(of: path) else { return }
    guard status.st_mode & S_IFMT == S_IFSOCK else { throw .notASocket(path: path) }
    let probe = try open(path)
    defer { close(probe) }
    // EAGAIN: alive, with a full backlog.
    let result = address.withPointer { connect(probe, $0, $1) }
    guard result != 0, errno != EAGAIN else { throw .alreadyRunning(path: path) }
    guard errno == ECONNREFUSED || errno == ENOENT else { throw .system(operation: "connect", path: path, code: errno) }
    if unlink(path) != 0, errno != ENOENT { throw .system(operation: "unlink", path: path, code: errno) }
  }

  private static func open(_ path: String) throws(ControlServerError) -> Int32 {
    let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    let descriptor = socket(AF_UNIX, type, 0)
    try check(descriptor, "socket", path)
    return descriptor
  }

  private static func check(_ result: Int32, _ operation: String, _ path: String) throws(ControlServerError) {
    if result < 0 { throw .system(operation: operation, path: path, code: errno) }
  }

  private static func status(of path: String) -> stat? {
    var status = stat()
    return lstat(path, &status) == 0 ? status : nil
  }
}
