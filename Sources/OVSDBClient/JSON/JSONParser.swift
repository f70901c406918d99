// JSONParser: turns a byte stream into JSON values, for peers without a schema. A Session reads its rows directly, without building
// trees.

/// Parses a stream of JSON objects and arrays, however it is split.
public struct JSONParser: Sendable {
  private var framer: JSONFramer

  public init(limits: JSONLimits = JSONLimits()) {
    framer = JSONFramer(limits: limits)
  }

  /// Takes the bytes of one read and returns the completed values.
  ///
  /// - Throws: the first error; nothing after it can be read from the stream.
  public mutating func feed(_ bytes: some Sequence<UInt8>) throws(JSONError) -> [JSONValue] {
    framer.append(bytes)
    var values: [JSONValue] = []
    while let range = try framer.next() {
      var reader = JSONReader(framer.bytes.span.bytes.extracting(range), depth: framer.limits.depth)
      values.append(try reader.value())
      try reader.end()
    }
    return values
  }

  /// Whether the stream is in the middle of a value.
  public var isWithinValue: Bool { framer.isWithinMessage }
}
