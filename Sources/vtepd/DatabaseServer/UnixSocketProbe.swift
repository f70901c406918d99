// UnixSocketProbe: whether a process listens on a Unix socket, and whether the OVSDB server behind it still answers.

import Glibc
import VTEPControl

enum UnixSocketProbe {
  /// Connects and closes. The kernel accepts for a process that hangs, too.
  static func accepts(_ path: String) -> Bool {
    guard let descriptor = socket() else { return false }
    defer { close(descriptor) }
    return connects(descriptor, path)
  }

  /// Sends an echo request (RFC 7047 §4.1.11) and waits for any answer.
  ///
  /// - Parameter tenths: how long to wait, in rounds of 100 ms. Rounds in which this process does not run do not count, so a
  ///   suspended host does not look like a silent server.
  /// - Returns: false: it is silent; nil: nobody listens any more, or the task was cancelled.
  static func answers(_ path: String, tenths: Int) async -> Bool? {
    guard let descriptor = socket() else { return nil }
    defer { close(descriptor) }
    let request = #"{"method":"echo","params":[],"id":"vtepd"}"#
    var isAsked = false
    // The whole answer: whoever closes with something unread resets the connection, and the server warns of that.
    var answer = [UInt8](repeating: 0, count: 4096)
    for _ in 0..<tenths {
      if !isAsked, connects(descriptor, path) {
        guard send(descriptor, request, request.utf8.count, Int32(MSG_NOSIGNAL)) == request.utf8.count else { return nil }
        isAsked = true
      } else if !isAsked {
        // Others wait in its queue, and it is full.
        guard errno == EAGAIN else { return nil }
      } else {
        let count = recv(descriptor, &answer, answer.count, 0)
        if count > 0 { return true }
        guard count < 0, errno == EAGAIN || errno == EINTR else { return nil }
      }
      do { try await Task.sleep(for: .milliseconds(100)) } catch { return nil }
    }
    return false
  }

  /// One that does not block.
  private static func socket() -> Int32? {
    let descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
    return descriptor < 0 ? nil : descriptor
  }

  private static func connects(_ descriptor: Int32, _ path: String) -> Bool {
    guard let address = sockaddr_un(path: path) else { return false }
    return address.withPointer { connect(descriptor, $0, $1) } == 0
  }
}
