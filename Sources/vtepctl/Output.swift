// Output: standard output with a buffer and without SIGPIPE, so that a million table entries stream into `head`.

import Glibc

/// Buffered writing to a file descriptor.
struct Output: ~Copyable {
  /// The process's standard output. Used by the one thread there is.
  nonisolated(unsafe) static var standard = Output(descriptor: STDOUT_FILENO)

  private let descriptor: Int32
  private var buffer: [UInt8] = []
  private static let bufferByteCount = 1 << 16

  private init(descriptor: Int32) {
    self.descriptor = descriptor
  }

  mutating func write(_ text: String) {
    buffer.append(contentsOf: text.utf8)
    if buffer.count >= Self.bufferByteCount { flush() }
  }

  mutating func write(_ bytes: some Sequence<UInt8>) {
    buffer.append(contentsOf: bytes)
    if buffer.count >= Self.bufferByteCount { flush() }
  }

  /// Writes everything to the kernel. Ends the process when nobody reads any more (0) or writing fails (1).
  mutating func flush() {
    var sent = 0
    while sent < buffer.count {
      let count = buffer.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress?.advanced(by: sent), $0.count - sent) }
      if count > 0 {
        sent += count
      } else if errno == EPIPE {
        exit(0)
      } else if errno != EINTR {
        Self.diagnose("vtepctl: standard output: \(strerror(errno).map { String(cString: $0) } ?? "error \(errno)")")
        exit(1)
      }
    }
    buffer.removeAll(keepingCapacity: true)
  }

  /// Writes a line to standard error.
  static func diagnose(_ message: String) {
    let bytes = Array((message + "\n").utf8)
    _ = bytes.withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
  }
}
