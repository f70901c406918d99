// UnixStream: a connected Unix stream socket with deadlines, as the client needs it: write everything, read a line.
// Plain system calls: a command-line tool that asks one question needs no event loop.

import FoundationEssentials
import Glibc

/// A client's end of the control socket. Closed when it goes out of scope.
struct UnixStream: ~Copyable {
  private let descriptor: Int32
  private let path: String
  /// Bytes received beyond the last line.
  private var pending = Data()

  /// Connects.
  ///
  /// - Throws: `unreachable` with the errno value of the call that failed.
  init(connectingTo path: String, timeoutSeconds: Double) throws(ControlClientError) {
    guard let address = sockaddr_un(path: path) else {
      throw .unreachable(operation: "connect", path: path, code: ENAMETOOLONG)
    }
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw .unreachable(operation: "socket", path: path, code: errno) }
    // connect(2) waits while the daemon's backlog is full; this bounds it, and EAGAIN says so.
    var limit = timeval(tv_sec: Int(timeoutSeconds), tv_usec: Int(timeoutSeconds.truncatingRemainder(dividingBy: 1) * 1e6))
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    let result = address.withPointer { connect(descriptor, $0, $1) }
    guard result == 0 else {
      let code = errno
      close(descriptor)
      throw .unreachable(operation: "connect", path: path, code: code)
    }
    self.descriptor = descriptor
    self.path = path
  }

  deinit {
    close(descriptor)
  }

  /// Sends all bytes.
  ///
  /// - Throws: `unreachable`, or `timedOut` naming `method`.
  func write(_ data: Data, method: String, deadline: Deadline) throws(ControlClientError) {
    var sent = 0
    while sent < data.count {
      try wait(for: Int16(POLLOUT), method: method, deadline: deadline)
      // No SIGPIPE: a daemon that goes away is an error message, not a signal.
      let count = data.withUnsafeBytes { bytes in
        send(descriptor, bytes.baseAddress?.advanced(by: sent), bytes.count - sent, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
      }
      if count >= 0 {
        sent += count
      } else if errno != EINTR && errno != EAGAIN {
        throw .unreachable(operation: "write", path: path, code: errno)
      }
    }
  }

  /// The next line without its newline.
  ///
  /// - Throws: `unreachable`, `timedOut`, or `malformedAnswer` when the line is too long.
  mutating func readLine(method: String, deadline: Deadline) throws(ControlClientError) -> Data {
    var scanned = 0
    while true {
      let end: Int? = pending.withUnsafeBytes { bytes in
        guard let start = bytes.baseAddress, let found = memchr(start + scanned, Int32(UInt8(ascii: "\n")), bytes.count - scanned)
        else { return nil }
        return UnsafeRawPointer(found) - start
      }
      if let end {
        let line = pending.prefix(end)
        pending = Data(pending.dropFirst(end + 1))
        return line
      }
      scanned = pending.count
      guard scanned <= ControlLimits.answerByteCount else {
        throw .malformedAnswer(method: method, reason: "longer than \(ControlLimits.answerByteCount) bytes")
      }
      try wait(for: Int16(POLLIN), method: method, deadline: deadline)
      try receive()
    }
  }

  private mutating func receive() throws(ControlClientError) {
    var buffer = [UInt8](repeating: 0, count: 1 << 18)
    let count = buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT)) }
    if count > 0 {
      pending.append(contentsOf: buffer[..<count])
    } else if count == 0 {
      throw .unreachable(operation: "read", path: path, code: 0)
    } else if errno != EINTR && errno != EAGAIN {
      throw .unreachable(operation: "read", path: path, code: errno)
    }
  }

  private func wait(for events: Int16, method: String, deadline: Deadline) throws(ControlClientError) {
    while true {
      var entry = pollfd(fd: descriptor, events: events, revents: 0)
      let ready = poll(&entry, 1, deadline.remainingMilliseconds)
      if ready > 0 { return }
      if ready == 0 { throw .timedOut(method: method, seconds: deadline.seconds) }
      if errno != EINTR { throw .unreachable(operation: "poll", path: path, code: errno) }
    }
  }
}

/// A point in time that a command must be done by.
struct Deadline {
  /// The time allowed in all.
  let seconds: Double
  private let end: ContinuousClock.Instant

  init(seconds: Double) {
    self.seconds = seconds
    end = ContinuousClock.now + .seconds(seconds)
  }

  /// For poll(2): never negative, which would mean for ever.
  var remainingMilliseconds: Int32 {
    let left = (end - ContinuousClock.now) / .milliseconds(1)
    return Int32(min(max(left.rounded(.up), 0), Double(Int32.max)))
  }
}

extension sockaddr_un {
  /// An address for a path; nil when the path is empty or does not fit (107 bytes).
  public init?(path: String) {
    self.init()
    sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    let isCopied = withUnsafeMutableBytes(of: &sun_path) { target in
      guard !bytes.isEmpty, bytes.count < target.count else { return false }
      target.copyBytes(from: bytes)
      return true
    }
    guard isCopied else { return nil }
  }

  /// For calls that take any kind of address and its length in bytes.
  public func withPointer(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
    withUnsafePointer(to: self) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
    }
  }
}
