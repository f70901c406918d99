// Fuzz target of the JSON parser: whatever comes is refused or read, the same in one piece as in two, and what was read can be
// written and read again.

import OVSDBClient

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzJSON(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  let limits = JSONLimits(depth: 16, byteCount: 4096)
  func parse(_ pieces: [ArraySlice<UInt8>]) -> [JSONValue]? {
    var parser = JSONParser(limits: limits)
    var values: [JSONValue] = []
    for piece in pieces {
      guard let more = try? parser.feed(piece) else { return nil }
      values += more
    }
    return values
  }
  let values = parse([bytes[...]])
  let cut = count / 3
  precondition(parse([bytes[..<cut], bytes[cut...]]) == values, "another reading in two pieces")
  for value in values ?? [] {
    precondition((try? JSONValue(parsing: value.encoded, depth: limits.depth)) == value, "not read as written")
  }
  return 0
}
