// LogWriter: everything for standard error: our log, DPDK's log, and last words. Logging never blocks: a reader that does not read
// (a stopped journal, a full pipe) blocks only the writer's own thread. Lines that do not fit are counted, and the count is logged
// once there is room again.

import Dispatch
import Glibc
import Logging
import Synchronization
import VTEP

final class LogWriter: Sendable {
  static let standardError = LogWriter(descriptor: STDERR_FILENO)

  private struct Queue {
    var lines: [String] = []
    var byteCount = 0
    var lostCount = 0
    /// The thread has taken lines and not written them all yet.
    var isWriting = false
    var hasThread = false
  }

  /// Bytes that may wait for the reader.
  private let byteLimit: Int
  private let descriptor: Int32
  private let queue = Mutex(Queue())
  private let wake = DispatchSemaphore(value: 0)

  init(descriptor: Int32, byteLimit: Int = 1 << 20) {
    self.descriptor = descriptor
    self.byteLimit = byteLimit
  }

  /// Queues text, or counts it as lost. Never blocks.
  func write(_ text: String) {
    let needsThread = queue.withLock { queue in
      if queue.byteCount + text.utf8.count > byteLimit {
        queue.lostCount += 1
      } else {
        queue.lines.append(text)
        queue.byteCount += text.utf8.count
      }
      defer { queue.hasThread = true }
      return !queue.hasThread
    }
    if needsThread { start() }
    wake.signal()
  }

  /// Waits until everything is written, at most this long: nobody may be reading.
  func flush(seconds: Double) {
    let end = ContinuousClock.now + .seconds(seconds)
    while queue.withLock({ !$0.lines.isEmpty || $0.isWriting || $0.lostCount > 0 }), ContinuousClock.now < end { usleep(2000) }
  }

  private func start() {
    // If no thread can be created, the caller writes.
    if (try? BackgroundThread(name: "vtepd-log", { while true { self.work() } })) == nil {
      queue.withLock { $0.hasThread = false }
      drain()
    }
  }

  private func work() {
    wake.wait()
    drain()
  }

  private func drain() {
    let (lines, lostCount) = queue.withLock { queue in
      defer { queue = Queue(isWriting: true, hasThread: queue.hasThread) }
      return (queue.lines, queue.lostCount)
    }
    for line in lines { put(line) }
    if lostCount > 0 {
      let log = Logger(label: "vtepd") { StreamLogHandler(label: $0, stream: LogStream(writer: self)) }
      log.warning("\(lostCount) log lines were lost: nobody read standard error")
    }
    queue.withLock { $0.isWriting = false }
  }

  /// Blocks as long as necessary. If the reader is gone, the line is dropped.
  private func put(_ line: String) {
    var line = line
    line.withUTF8 { bytes in
      var rest = bytes[...]
      while !rest.isEmpty {
        let count = Glibc.write(descriptor, UnsafeBufferPointer(rebasing: rest).baseAddress, rest.count)
        if count > 0 {
          rest = rest.dropFirst(count)
        } else if errno == EAGAIN {
          // Another process that shares the descriptor has made it non-blocking.
          var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
          poll(&entry, 1, -1)
        } else if errno != EINTR {
          return
        }
      }
    }
  }
}

/// The handler for swift-log.
struct LogStream: TextOutputStream, Sendable {
  var writer = LogWriter.standardError

  mutating func write(_ text: String) { writer.write(text) }
}
