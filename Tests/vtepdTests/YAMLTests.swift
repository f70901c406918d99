// YAML reading and writing: positions, limits, and text that looks like something else.

import Testing

@testable import vtepd

@Suite struct YAMLTests {
  private func mapping(_ text: String) throws -> YAMLMapping { try #require(try YAMLNode.parse(text)?.mapping) }

  @Test func scalarsAreTextAndKnowWhetherTheyArePlain() throws {
    let values = try mapping(
      "a: 0x10\nb: '0x10'\nc: \"x\\ty\\u00e9\\0\"\nd: |\n  two\n  lines\ne: >-\n  folded\n  text\nf: two\n  lines\ng:\nh: !!str 5\n")
    #expect(values["a"]?.plainText == "0x10")
    #expect(values["b"]?.plainText == nil && values["b"]?.text == "0x10")
    #expect(values["c"]?.text == "x\tyé\0")
    #expect(values["d"]?.text == "two\nlines\n" && values["d"]?.plainText == nil)
    #expect(values["e"]?.text == "folded text")
    #expect(values["f"]?.plainText == "two lines")
    #expect(values["g"]?.isNull == true)
    #expect(values["h"]?.plainText == "5")
    #expect(values["i"] == nil)
  }

  @Test func positionsCountScalarsAndAnyLineBreak() throws {
    let values = try mapping("ü: [a, 'é', b]\r\n# ünïcode\r\n\r\nk: {x: 1,\r\n  y: 2}\r\n")
    #expect(values["ü"]?.position == FilePosition(line: 1, column: 4))
    #expect(values["ü"]?.sequence?.map(\.position.column) == [5, 8, 13])
    #expect(values["k"]?.mapping?["y"]?.position == FilePosition(line: 5, column: 6))
  }

  @Test func emptyTextIsNoDocument() throws {
    for text in ["", "\n", "# only this\n", "%YAML 1.1\n---\n...\n"] { #expect(try YAMLNode.parse(text)?.text ?? "" == "") }
    #expect(try YAMLNode.parse("") == nil)
  }

  @Test(arguments: [
    ("a: [b\n", 2, 1, "did not find expected ',' or ']'"), ("a: \"b\n", 2, 1, "unexpected end of stream"),
    ("a: *b\n", 1, 4, "undefined alias"),
    ("a: &b [*b]\n", 1, 8, "undefined alias"), ("a: 1\n---\nb: 1\n", 2, 1, "another document"), ("é: \u{7}\n", 1, 4, "control characters"),
    ("a: b\r\nc: \u{0}\n", 2, 4, "control characters"), ("a:\n\tb: c\n", 2, 1, "a tab"), ("a: b: c\n", 1, 5, "not allowed"),
    ("a: !<x\n", 1, 7, "tag"), ("a: 'é' b\n", 1, 8, "block mapping"),
  ])
  func errorsHaveTheirPlace(_ text: String, line: Int, column: Int, message: String) throws {
    let error = try #require(throws: YAMLError.self) { _ = try YAMLNode.parse(text) }
    #expect(error.position == FilePosition(line: line, column: column), "\(text): \(error)")
    #expect(error.message.contains(message), "\(text): \(error)")
  }

  @Test func depthHasALimit() throws {
    func nested(_ depth: Int) -> String { String(repeating: "[", count: depth) + String(repeating: "]", count: depth) }
    #expect(try YAMLNode.parse(nested(YAMLNode.maximumDepth - 1)) != nil)
    let error = try #require(throws: YAMLError.self) { _ = try YAMLNode.parse(nested(YAMLNode.maximumDepth + 1)) }
    #expect(error.message.contains("lists and mappings are nested more than 100 deep"))
    #expect(error.position == FilePosition(line: 1, column: YAMLNode.maximumDepth + 1))
  }

  /// Each line expands to ten times the line above.
  @Test func exponentialAliasesAreRefusedAtOnce() throws {
    var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in 1..<60 {
      text += "a\(level): &a\(level) [" + Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ") + "]\n"
    }
    let error = try #require(throws: YAMLError.self) { _ = try YAMLNode.parse(text) }
    #expect(error.message.contains("aliases expand to more than 4000000 values"))
    #expect(error.position?.line == 7)
  }

  /// The library compares each with all earlier ones.
  @Test func manyDirectivesAreRefusedAtOnce() throws {
    let error = try #require(throws: YAMLError.self) {
      _ = try YAMLNode.parse((0..<100_000).map { "%TAG !t\($0)! x\n" }.joined() + "---\na: 1\n")
    }
    #expect(error.message == "more than 100 %TAG directives")
    #expect(try YAMLNode.parse("%TAG !t! x\n---\na: !t!y 1\n")?.mapping?["a"]?.plainText == "1")
  }

  @Test func anAliasUsesTheLatestAnchor() throws {
    let values = try mapping("a: &x 1\nb: *x\nc: &x {k: 2}\nd: *x\n")
    #expect(values["b"]?.plainText == "1" && values["b"]?.position == FilePosition(line: 1, column: 4))
    #expect(values["d"]?.mapping?["k"]?.plainText == "2")
  }

  @Test(arguments: [3, 200]) func theLastOfEqualKeysWins(_ count: Int) throws {
    var values = try mapping((0..<count).map { "k\($0): \($0)\n" }.joined() + "k1: again\n\"k1\": last\n[k1]: no key\n")
    #expect(values.lastIndex(of: "k1") == count + 1)
    #expect(values["k1"]?.text == "last" && values["k2"]?.text == "2" && values["[k1]"] == nil)
    values["k1"] = nil
    #expect(values["k1"] == nil && values["k2"]?.text == "2" && values.pairs.count == count)
    values["k2"] = YAMLNode(number: 7)
    values["new"] = YAMLNode(flag: true)
    #expect(values["k2"]?.plainText == "7" && values.pairs.last?.key.text == "new")
  }

  @Test(arguments: [
    "yes", "No", "ON", "y", "true", "null", "~", "", "1e3", "0x10", "0o17", "017", "1_000", "+1", "-1", ".5", "1.5", ".inf", "-.INF",
    ".NaN",
    "2026-11-28", "2026-11-28T10:00:00Z", "12:30:45", "=", "<<", "-", "---", "...", "- a", "a: b", "a #b", "#a", "@a", "`a", "%a", "&a",
    "*a",
    "!a", "|", ">", "[a]", "{a}", "'", "\"", " a", "a ", "a\nb", "a\r\nb\n", "\t", "é", "\u{feff}", "\u{85}", "\u{2028}", "😀", "\u{7}\u{0}",
    String(repeating: "x y ", count: 200),
  ]) func textIsWrittenAsText(_ text: String) throws {
    let written = try YAMLNode.block([
      ("value", YAMLNode(text: text)), ("list", .flow([YAMLNode(text: text), YAMLNode(text: text)])), (text, YAMLNode(text: "key")),
    ]).document()
    let read = try mapping(written)
    #expect(read["value"]?.text == text && read["value"]?.plainText == nil, "\(written)")
    #expect(read["list"]?.sequence?.map(\.text) == [text, text], "\(written)")
    #expect(read[text]?.text == "key", "\(written)")
  }

  @Test func namesAndAddressesNeedNoQuotes() throws {
    for text in ["eth0", "/run/vtepd", "192.0.2.1", "hv-1.example.net", "af_packet", "tap"] {
      #expect(YAMLNode(text: text).plainText == text)
    }
    #expect(try YAMLNode.block([("a", .flow([("b", YAMLNode(number: 5))]))]).document() == "a: {b: 5}\n")
  }
}
