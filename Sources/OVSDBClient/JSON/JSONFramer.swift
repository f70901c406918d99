// JSONFramer: finds where messages end in a stream of bytes. RFC 7047 §4 puts JSON values one after the other without length
// or separator, so the end is where the outermost bracket closes. Each byte is looked at once, however the stream is cut.

/// Splits a stream of bytes into JSON texts.
struct JSONFramer: Sendable {
  let limits: JSONLimits
  /// Bytes still held: those of the previous message, then those of the current one.
  private(set) var bytes: [UInt8] = []
  private var scan = Scan()

  init(limits: JSONLimits) {
    self.limits = limits
  }

  /// Above this size the memory of a consumed message is freed.
  private static let keptByteCount = 1 << 20

  /// Takes the bytes of one read.
  mutating func append(_ new: some Sequence<UInt8>) {
    if scan.start == bytes.count {
      bytes.removeAll(keepingCapacity: bytes.capacity <= Self.keptByteCount)
      scan.start = 0
      scan.position = 0
    } else if scan.start > bytes.count / 2 {
      // More is consumed than left: moving the rest costs less than receiving the consumed part did.
      bytes.removeSubrange(..<scan.start)
      scan.position -= scan.start
      scan.start = 0
    }
    bytes.append(contentsOf: new)
  }

  /// The range of the next complete message in `bytes`; nil when more bytes are needed.
  ///
  /// - Throws: `tooLong`, `tooDeep`, or `unexpected` when a message begins with something else than a bracket.
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

  /// Whether a message has begun and not ended.
  var isWithinMessage: Bool { scan.depth > 0 }

  /// How far brackets have been counted.
  private struct Scan {
    /// Where the message begins that is being received.
    var start = 0
    /// The next byte to be looked at.
    var position = 0
    var depth = 0
    private var isInString = false
    private var isEscaped = false

    /// Scans the remaining bytes up to the bracket that closes the message; false when it has not arrived.
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
        // Between messages there may only be white space.
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
