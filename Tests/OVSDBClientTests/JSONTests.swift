// JSON: what is accepted and what is not, however the stream is split, within limits.

import Testing

@testable import OVSDBClient

@Suite struct JSONTests {
  private func parse(_ text: String) throws -> JSONValue { try JSONValue(parsing: text.utf8) }

  @Test(
    arguments: [
      ("null", JSONValue.null), (" true ", true), ("false", false), ("0", 0), ("-0", 0), ("12", 12), ("-7", -7),
      ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
      ("9223372036854775808", .real(9223372036854775808)), ("-9223372036854775809", .real(-9223372036854775808)),
      ("1.0", .real(1)), ("1e3", .real(1000)), ("-2.5E-1", .real(-0.25)), ("0.1", .real(0.1)),
      ("18446744073709551616", .real(18446744073709551616)), ("99999999999999999999999", .real(1e23)),
      (#""""#, ""), (#""a\"\\\/\b\f\n\r\tz""#, "a\"\\/\u{8}\u{c}\n\r\tz"), (#""\u0041\u00e9\u20AC\ud83d\ude00""#, "Aé€😀"),
      ("\"é€😀\"", "é€😀"),
      (#""\u0000""#, "\u{0}"), ("[]", []), ("[1,[2],{}]", [1, [2], [:]]), (#"{"a":1,"b":{"c":null},"a":2}"#, ["a": 2, "b": ["c": .null]]),
      (" [ 1 ,\t2\r\n] ", [1, 2]), (#"{ "a\n" : [ ] }"#, ["a\n": []]),
    ] as [(String, JSONValue)])
  func valuesAreRead(_ text: String, _ value: JSONValue) throws {
    #expect(try parse(text) == value)
    #expect(try parse(value.description) == value)
  }

  @Test(arguments: [
    "", " ", "[", "{", "[1", "[1,", "[,1]", "[1,]", "[1 2]", "{a:1}", #"{"a"}"#, #"{"a":}"#, #"{"a":1,}"#, #"{"a" 1}"#, "{1:2}", "]", "}",
    "[}", "{]", "nul", "nulL", "truefalse", "tru", "01", "-", "+1", "1.", ".5", "1e", "1e+", "0x10", "1e999", "-01", "NaN", "Infinity",
    "'a'",
    #"""#, #""\"#, #""\x""#, #""\u12""#, #""\u12g4""#, #""\ud800""#, #""\ud800x""#, #""\ud800\u0041""#, #""\udc00""#, #""\ud83d\u""#,
    "\"\u{1}\"", "\"\n\"", "1 1", "[] []", "\u{c}1", "[1]x",
  ])
  func whatIsNoJSONIsRefused(_ text: String) {
    #expect(throws: JSONError.self) { try parse(text) }
  }

  @Test(
    arguments: [
      [0x80], [0xc3], [0xc3, 0x28], [0xc0, 0xaf], [0xe0, 0x80, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xff],
    ] as [[UInt8]])
  func stringsMustBeUTF8(_ octets: [UInt8]) {
    let plain = [UInt8(ascii: "\"")] + octets + [UInt8(ascii: "\"")]
    #expect(throws: JSONError(.notUTF8, offset: 1)) { try JSONValue(parsing: plain) }
    let escaped = Array("\"\\n".utf8) + octets + [UInt8(ascii: "\"")]
    #expect(throws: JSONError(.notUTF8, offset: 1)) { try JSONValue(parsing: escaped) }
  }

  @Test func anErrorNamesThePlace() {
    let error = #expect(throws: JSONError.self) { try parse("[1, 2; 3]") }
    #expect(error?.description == "JSON, byte 5: ';' where ',' or the end was expected")
  }

  /// Three messages in a row, containing everything that a split could affect.
  private static let stream = #" {"a":"x\"}\\","b":[1,-2.5e3,"é\ud83d\ude00"]}[{"}":"]"}]"# + "\n\t{}  "

  @Test func aStreamMayBeCutAnywhere() throws {
    let bytes = Array(Self.stream.utf8)
    let whole = try {
      var parser = JSONParser(); return try parser.feed(bytes)
    }()
    #expect(whole.count == 3)
    for first in 0...bytes.count {
      for second in first...bytes.count {
        var parser = JSONParser()
        var values = try parser.feed(bytes[..<first])
        values += try parser.feed(bytes[first..<second])
        values += try parser.feed(bytes[second...])
        #expect(values == whole, "cut at \(first) and \(second)")
        #expect(!parser.isWithinValue)
      }
    }
    var parser = JSONParser()
    var values: [JSONValue] = []
    for byte in bytes { values += try parser.feed(CollectionOfOne(byte)) }
    #expect(values == whole)
  }

  @Test func aStreamThatIsNotJSONIsRefusedAtOnce() {
    for text in ["GET / HTTP/1.1", "7", "\"a\"", "]", "}{", "\u{16}\u{3}\u{1}"] {
      var parser = JSONParser()
      #expect(throws: JSONError.self, "\(text)") { try parser.feed(text.utf8) }
    }
  }

  @Test func depthIsLimited() throws {
    var parser = JSONParser(limits: JSONLimits(depth: 8))
    #expect(try parser.feed(Array(repeating: UInt8(ascii: "["), count: 8)).isEmpty)
    #expect(throws: JSONError(.tooDeep(limit: 8), offset: 8)) { try parser.feed("{".utf8) }
    let text = String(repeating: "[", count: 100_000) + String(repeating: "]", count: 100_000)
    #expect(throws: JSONError(.tooDeep(limit: 64), offset: 64)) { try parse(text) }
    // A bracket in a string does not count, nor does a closed one.
    var other = JSONParser(limits: JSONLimits(depth: 2))
    #expect(try other.feed(#"[["[[[["],[],[],[]]"#.utf8).count == 1)
  }

  @Test func sizeIsLimited() throws {
    var parser = JSONParser(limits: JSONLimits(byteCount: 10))
    #expect(try parser.feed(#"["345678"]["345678"]"#.utf8).count == 2)
    #expect(throws: JSONError(.tooLong(limit: 10), offset: 10)) { try parser.feed(#"["345678901"#.utf8) }
    var atOnce = JSONParser(limits: JSONLimits(byteCount: 10))
    #expect(throws: JSONError(.tooLong(limit: 10), offset: 10)) { try atOnce.feed(#"["3456789"]"#.utf8) }
  }

  /// A quadratic parser would examine 100 MB tens of thousands of times.
  @Test(.timeLimit(.minutes(4))) func largeMessagesInSmallPiecesTakeLinearTime() throws {
    var parser = JSONParser()
    let piece = Array((#"["0123456789abcde","# + String(repeating: #""0123456789abcde","#, count: 160) + "0],").utf8)
    let count = 100 << 20 / piece.count
    var values = try parser.feed("[".utf8)
    for _ in 0..<count { values += try parser.feed(piece) }
    #expect(values.isEmpty && parser.isWithinValue)
    values = try parser.feed("0] []".utf8)
    #expect(values.first?.elements?.count == count + 1)
    #expect(values.last == [])
  }

  /// Changed bytes give a value or an error, and nothing else.
  @Test func mutatedTextNeverCrashes() {
    let seed = Array(Self.stream.utf8) + Array(#"{"n":-1.5e-7,"t":[true,false,null],"u":"\u00e9\ud83d\ude00"}"#.utf8)
    let alphabet = Array(#"{}[]",:\u0189dabcdef-+.eE tfn"#.utf8) + [0, 0x1f, 0x7f, 0x80, 0xc3, 0xff]
    for _ in 0..<20_000 {
      var bytes = seed
      for _ in 0..<Int.random(in: 1...6) {
        let position = Int.random(in: 0..<bytes.count)
        switch Int.random(in: 0..<4) {
        case 0: bytes[position] = alphabet.randomElement() ?? 0
        case 1: bytes[position] = UInt8.random(in: 0...255)
        case 2: bytes.remove(at: position)
        default: bytes.insert(alphabet.randomElement() ?? 0, at: position)
        }
      }
      var parser = JSONParser(limits: JSONLimits(depth: 5))
      if let values = try? parser.feed(bytes) {
        for value in values { #expect((try? JSONValue(parsing: value.encoded, depth: 6)) == value) }
      }
    }
  }
}
