// LineBuffer: splits the control socket's byte stream into lines of bounded length.

import FoundationEssentials
import NIOCore

/// Received bytes, line by line.
struct LineBuffer {
  /// Longest line, newline included.
  private let byteLimit: Int
  private var buffer = ByteBuffer()
  /// Readable bytes that are known to hold no newline.
  private var scannedCount = 0

  init(byteLimit: Int) {
    self.byteLimit = byteLimit
  }

  mutating func append(_ bytes: ByteBuffer) {
    if buffer.readableBytes == 0 {
      buffer = bytes
    } else {
      buffer.discardReadBytes()
      buffer.writeImmutableBuffer(bytes)
    }
  }

  /// Whether the current line is already too long. No further line is available then.
  var isOverflowing: Bool { scannedCount >= byteLimit }

  /// The next complete line without its newline; blank lines are skipped.
  mutating func next() -> Data? {
    while !isOverflowing {
      let unscanned = buffer.readableBytesView.dropFirst(scannedCount)
      guard let newline = unscanned.firstIndex(of: UInt8(ascii: "\n")) else {
        scannedCount = buffer.readableBytes
        return nil
      }
      let length = newline - buffer.readerIndex
      guard length < byteLimit else {
        scannedCount = length
        return nil
      }
      scannedCount = 0
      let line = Data(buffer.readableBytesView.prefix(length))
      buffer.moveReaderIndex(forwardBy: length + 1)
      // Free a long line's memory.
      if buffer.readableBytes == 0 { buffer = ByteBuffer() }
      if !line.allSatisfy({ $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\r") || $0 == UInt8(ascii: "\t") }) { return line }
    }
    return nil
  }
}
