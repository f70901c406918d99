// JSONFramer: finds the end of each message in a byte stream. RFC 7047 §4 sends JSON values back to back, without length or
// separator, so a message ends where its outermost bracket closes. Each byte is examined once, however the stream is split.

/// Splits a stream of bytes into JSON texts.
struct JSONFramer: Sendable {
  let limits: JSONLimits
  /// Buffered bytes: those of the previous message, then those of the current one.
  private(set) var bytes: [UInt8] = []
  private var scan = Scan()

  init(limits: JSONLimits) {
    self.limits = limits
  }

  /// Above this size, in bytes, the memory of a consumed message is freed.
  private static let keptByteCount = 1 << 20

  /// Takes the bytes of one read.
  mutating func append(_ new: some Sequence<UInt8>) {
    if scan.start == bytes.count {
      bytes.removeAll(keepingCapacity: bytes.capacity <= Self.keptByteCount)
      scan.start = 0
      scan.position = 0
    } else if scan.start > bytes.count / 2 {
      // More is consumed than left: moving the rest costs less than receiving the consumed bytes did.
      bytes.removeSubrange(..<scan.start)
      scan.position -= scan.start
      scan.start = 0
    }
    bytes.append(contentsOf: new)
  }

  /// The range of the next complete message in `bytes`; nil if more bytes are needed.
  ///
  /// - Throws: `tooLong`, `tooDeep`, or `unexpected` if a message does not begin with a bracket.
  mutating func next() throws(JSONError) -> Range<Int>? {
    let octets = bytes
    let isComplete = try scan.run(octets.span, depthLimit: limits.depth)
    guard scan.position - scan.start <= limits.byteCount else {
      throw JSONError(.tooLong(limit: limits.byteCount), offset: limits.byteCount)
    }
    guard isComplete else { return nil }
    defer { scan.start = scan.position }
    return scan.start..<scan.position
  }

  /// Whether a message has begun but not ended.
  var isWithinMessage: Bool { scan.depth > 0 }

  /// The current bracket depth.
  private struct Scan {
    /// Where the current message begins.
    var start = 0
    /// The next byte to examine.
    var position = 0
    var depth = 0
    private var isInString = false
    private var isEscaped = false

    /// Scans the remaining bytes for the bracket that closes the message; false if it has not arrived.
    mutating func run(_ octets: Span<UInt8>, depthLimit: Int) throws(JSONError) -> Bool {
      while position < octets.count {
        if isInString {
          skipString(octets)
          continue
        }
        let octet = octets[position]
        position += 1
        switch octet {
        case UInt8(ascii: "{"), UInt8(ascii: "["):
          depth += 1
          if depth > depthLimit { throw JSONError(.tooDeep(limit: depthLimit), offset: position - 1 - start) }
        case UInt8(ascii: "}") where depth > 0, UInt8(ascii: "]") where depth > 0:
          depth -= 1
          if depth == 0 { return true }
        case UInt8(ascii: "\"") where depth > 0: isInString = true
        case _ where depth > 0: break
        // Only white space is allowed between messages.
        case 0x20, 0x0a, 0x0d, 0x09: start = position
        default: throw JSONError(.unexpected(octet, expected: "an object"), offset: 0)
        }
      }
      return false
    }

    /// Skips past the closing quotation mark of the string, or to the end of the bytes.
    private mutating func skipString(_ octets: Span<UInt8>) {
      while position < octets.count {
        let octet = octets[position]
        position += 1
        if isEscaped {
          isEscaped = false
        } else if octet == UInt8(ascii: "\\") {
          isEscaped = true
        } else if octet == UInt8(ascii: "\"") {
          isInString = false
          return
        }
      }
    }
  }
}
