// ControlServerError: why the control socket cannot be opened.

import Glibc

/// A failure of the control server.
enum ControlServerError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Another daemon answers on the socket.
  case alreadyRunning(path: String)
  /// A file that is not a socket has the socket's name; vtepd does not remove it.
  case notASocket(path: String)
  /// A system call failed; `code` is an errno value.
  case system(operation: String, path: String, code: Int32)

  var description: String {
    switch self {
    case .alreadyRunning(let path):
      "control socket \(path): another daemon answers there; stop it, or choose another run-dir"
    case .notASocket(let path):
      "control socket \(path): a file of that name exists and is not a socket; remove it"
    case .system(let operation, let path, let code):
      "control socket \(path): \(operation): \(strerror(code).map { String(cString: $0) } ?? "error \(code)")"
    }
  }
}
