// YAMLReader: builds the tree of a YAML document from libyaml's events, resolves aliases, and limits how large a tree a small text can
// produce.

import CYAML

/// Why a text is not valid YAML.
struct YAMLError: Error, Equatable, Sendable, CustomStringConvertible {
  /// nil: the problem concerns the whole text.
  var position: FilePosition?
  var message: String

  var description: String { message }
}

extension YAMLNode {
  /// Levels of nested lists and mappings.
  static let maximumDepth = 100
  /// Values that the aliases of a document expand to, in all. Aliases share memory, but reading them visits every copy.
  static let maximumAliased = 4_000_000
  static let maximumTagDirectives = 100

  /// Composes the tree of a text that has one document.
  ///
  /// - Returns: nil for a text without content.
  /// - Throws: for invalid YAML, a second document, an undefined alias, or a text beyond the limits.
  static func parse(_ text: String) throws(YAMLError) -> YAMLNode? {
    try text.utf8Span.span.withUnsafeBufferPointer { (bytes) throws(YAMLError) in
      try YAMLReader(bytes).document()
    }
  }
}

/// One reading.
private final class YAMLReader {
  private let bytes: UnsafeBufferPointer<UInt8>
  // At a fixed address: libyaml keeps pointers into its parser.
  private let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
  private let event = UnsafeMutablePointer<yaml_event_t>.allocate(capacity: 1)

  private struct Anchored {
    var node: YAMLNode
    /// The values in it, itself included.
    var size: Int
  }
  private var anchors: [String: Anchored] = [:]
  /// Values so far, including those that aliases expand to.
  private var count = 0
  private var aliased = 0

  /// - Parameter bytes: UTF-8; must outlive the reader.
  init(_ bytes: UnsafeBufferPointer<UInt8>) throws(YAMLError) {
    self.bytes = bytes
    event.initialize(to: yaml_event_t())
    parser.initialize(to: yaml_parser_t())
    guard yaml_parser_initialize(parser) == 1 else { throw YAMLError(message: "out of memory") }
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
    yaml_parser_set_input_string(parser, bytes.baseAddress, bytes.count)
  }

  deinit {
    yaml_event_delete(event)
    yaml_parser_delete(parser)
    event.deallocate()
    parser.deallocate()
  }

  func document() throws(YAMLError) -> YAMLNode? {
    // libyaml compares each directive with all earlier ones.
    let directives = bytes.indices.count { bytes[$0] == UInt8(ascii: "%") && bytes[$0...].starts(with: "%TAG".utf8) }
    guard directives <= YAMLNode.maximumTagDirectives else {
      throw YAMLError(message: "more than \(YAMLNode.maximumTagDirectives) %TAG directives")
    }
    try advance() // The stream begins.
    try advance()
    guard event.pointee.type != YAML_STREAM_END_EVENT else { return nil }
    try advance()
    let root = try node(depth: 0)
    try advance() // The document ends.
    try advance()
    guard event.pointee.type == YAML_STREAM_END_EVENT else {
      throw YAMLError(position: position, message: "expected a single document in the stream: but found another document")
    }
    return root
  }

  private var position: FilePosition { FilePosition(event.pointee.start_mark) }

  private func advance() throws(YAMLError) {
    yaml_event_delete(event)
    guard yaml_parser_parse(parser, event) == 1 else { throw failure }
  }

  /// The node that begins with the current event; its last event is the current one afterwards.
  private func node(depth: Int) throws(YAMLError) -> YAMLNode {
    guard depth < YAMLNode.maximumDepth else {
      throw YAMLError(position: position, message: "lists and mappings are nested more than \(YAMLNode.maximumDepth) deep")
    }
    let start = position
    let before = count
    count += 1
    let anchor: String?
    let content: YAMLNode.Content
    let first = event.pointee.start_mark.index
    let isFlow: Bool
    switch event.pointee.type {
    case YAML_ALIAS_EVENT:
      return try alias()
    case YAML_SCALAR_EVENT:
      let scalar = event.pointee.data.scalar
      anchor = scalar.anchor.map { String(cString: $0) }
      let text = String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
      content = .scalar(text, isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE)
      isFlow = scalar.style != YAML_LITERAL_SCALAR_STYLE && scalar.style != YAML_FOLDED_SCALAR_STYLE
    case YAML_SEQUENCE_START_EVENT:
      anchor = event.pointee.data.sequence_start.anchor.map { String(cString: $0) }
      isFlow = event.pointee.data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE
      var elements: [YAMLNode] = []
      try advance()
      while event.pointee.type != YAML_SEQUENCE_END_EVENT {
        elements.append(try node(depth: depth + 1))
        try advance()
      }
      content = .sequence(elements)
    default:
      anchor = event.pointee.data.mapping_start.anchor.map { String(cString: $0) }
      isFlow = event.pointee.data.mapping_start.style == YAML_FLOW_MAPPING_STYLE
      var pairs: [YAMLMapping.Pair] = []
      try advance()
      while event.pointee.type != YAML_MAPPING_END_EVENT {
        let key = try node(depth: depth + 1)
        try advance()
        pairs.append(YAMLMapping.Pair(key: key, value: try node(depth: depth + 1)))
        try advance()
      }
      content = .mapping(YAMLMapping(pairs))
    }
    let node = YAMLNode(
      content: content, isFlow: isFlow, position: start, extent: first..<max(event.pointee.end_mark.index, first))
    // Only now: an anchor is undefined inside its own node.
    if let anchor { anchors[anchor] = Anchored(node: node, size: count - before) }
    return node
  }

  private func alias() throws(YAMLError) -> YAMLNode {
    guard let anchored = anchors[String(cString: event.pointee.data.alias.anchor)] else {
      throw YAMLError(position: position, message: "found undefined alias")
    }
    aliased += anchored.size
    guard aliased <= YAMLNode.maximumAliased else {
      throw YAMLError(position: position, message: "up to here, aliases expand to more than \(YAMLNode.maximumAliased) values")
    }
    count += anchored.size
    var node = anchored.node
    node.isAlias = true
    node.extent = event.pointee.start_mark.index..<event.pointee.end_mark.index
    return node
  }

  /// In libyaml's words.
  private var failure: YAMLError {
    let parser = parser.pointee
    let problem = parser.problem.map { String(cString: $0) } ?? "out of memory"
    switch parser.error {
    case YAML_READER_ERROR:
      let before = bytes.prefix(parser.problem_offset)
      let line = before.count(where: { $0 == UInt8(ascii: "\n") }) + 1
      let start = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
      let column = String(decoding: before[start...], as: UTF8.self).unicodeScalars.count + 1
      return YAMLError(position: FilePosition(line: line, column: column), message: problem)
    case YAML_SCANNER_ERROR, YAML_PARSER_ERROR:
      let context = parser.context.map { String(cString: $0) + ": " } ?? ""
      let rest = String(decoding: bytes, as: UTF8.self).unicodeScalars.dropFirst(parser.problem_mark.index)
      let message = rest.first == "\t" ? "a tab; indent with blanks" : context + problem
      return YAMLError(position: FilePosition(parser.problem_mark), message: message)
    default:
      return YAMLError(message: problem)
    }
  }
}

extension FilePosition {
  fileprivate init(_ mark: yaml_mark_t) {
    self.init(line: mark.line + 1, column: mark.column + 1)
  }
}
