// JSONLineEncoder against Foundation's JSONEncoder, and JSONScanner on text of both kinds.

import FoundationEssentials
import Testing

@testable import VTEPControl

@Suite struct JSONLineTests {
  private func isAsFoundation(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let expected = try encoder.encode(value)
    let text = try JSONLine.encode(value)
    #expect(text == expected, "\(String(decoding: text, as: UTF8.self)), not \(String(decoding: expected, as: UTF8.self))")
  }

  private struct Sample: Codable {
    var zulu = "ü/\"\\\u{1}\u{1f}\u{7f}\n\t\r\u{8}\u{c}😀"
    var alpha: Int?
    var numbers: [Double] = [0, -0.5, 1e300, 1, 123456789, 0.1]
    var singles: [Float] = [0.25, 3]
    var integers: [Int64] = [.min, .max, 0, 9, 10, -1]
    var unsigned: UInt64 = .max
    var bytes: [UInt8] = []
    var nested: [String: [String: Bool]] = ["b": ["y": true, "x": false], "a": [:]]
    var nothing = Nothing()
    var absent: [Int?] = [nil, 1]
    struct Nothing: Codable {}
  }

  /// Containers that are begun by hand, and filled in turn.
  private struct ByHand: Encodable {
    enum Key: String, CodingKey { case second = "b", first = "a", list = "l", parent = "super" }

    func encode(to encoder: any Encoder) throws {
      var object = encoder.container(keyedBy: Key.self)
      var inner = object.nestedContainer(keyedBy: Key.self, forKey: .second)
      try inner.encode(2, forKey: .second)
      try inner.encodeNil(forKey: .first)
      try object.encode("x", forKey: .first)
      var list = object.nestedUnkeyedContainer(forKey: .list)
      var element = list.nestedContainer(keyedBy: Key.self)
      try element.encode(true, forKey: .first)
      try list.encode(3)
      _ = list.nestedUnkeyedContainer()
      try ["k": 1].encode(to: object.superEncoder())
    }
  }

  @Test func textIsThatOfFoundation() throws {
    try isAsFoundation(Sample())
    try isAsFoundation(ByHand())
    try isAsFoundation([Sample(alpha: 1), Sample()])
    try isAsFoundation("text")
    try isAsFoundation([String: Int]())
    try isAsFoundation([[Int]]())
  }

  @Test func anyTextIsEscapedAsFoundationDoes() throws {
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<2000 {
      let scalars = (0..<Int.random(in: 0..<12, using: &generator)).compactMap { _ in
        Unicode.Scalar(UInt32.random(in: 0...(Bool.random() ? 0x7f : 0x10ffff), using: &generator))
      }
      let text = String(String.UnicodeScalarView(scalars))
      try isAsFoundation([text: text])
    }
  }

  @Test func numbersWithoutAFormInJSONAreRefused() {
    #expect(throws: EncodingError.self) { try JSONLine.encode([Double.infinity]) }
    #expect(throws: EncodingError.self) { try JSONLine.encode(["a": Float.nan]) }
  }

  @Test(arguments: [
    #"{"id":1,"result":{"next":null,"rows":[{"a":"],}{","b":[1,{"c":"\\\""}]},2,"x"]}}"#,
    " { \"other\" : [ { \"rows\" : [ 9 ] } ] ,\n\"result\" : { \"rows\" : [ {\"a\":\"],}{\",\"b\":[1,{\"c\":\"\\\\\\\"\"}]} , 2 , \"x\" ] , \"next\" : 5 } }",
  ]) func elementsAreFound(_ text: String) {
    let rows = Data(text.utf8).withUnsafeBytes { bytes in
      var scanner = JSONScanner(bytes)
      #expect(scanner.enterMember("result") && scanner.enterMember("rows"))
      return scanner.elements()?.map { String(decoding: bytes[$0], as: UTF8.self).filter { $0 != " " } }
    }
    #expect(rows == [#"{"a":"],}{","b":[1,{"c":"\\\""}]}"#, "2", #""x""#])
  }

  /// Whatever the text is, the scanner stays within it and comes to an end.
  @Test func cutTextIsNoTrap() {
    let text = Array(#"{"id":1,"result":{"rows":[{"a":"],\""},[1,2],"x\u00e4"],"next":null}}"#.utf8)
    for count in 0...text.count {
      text[..<count].withUnsafeBytes { bytes in
        var scanner = JSONScanner(bytes)
        if scanner.enterMember("result"), scanner.enterMember("rows") {
          for range in scanner.elements() ?? [] { #expect(range.upperBound <= count) }
        }
      }
    }
  }
}
