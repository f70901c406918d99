// YAMLNode: the tree of a YAML document. Values are text: whether a plain `5` or `true` is a number, a boolean or a name depends on the key,
// and so ConfigurationReader decides.

import Encap

/// One value of a YAML document, and where it stands.
struct YAMLNode: Equatable, Sendable {
  enum Content: Equatable, Sendable {
    /// Plain is what has no quotes and is not a block (`|`, `>`).
    case scalar(String, isPlain: Bool)
    case sequence([YAMLNode])
    case mapping(YAMLMapping)
  }

  var content: Content
  /// To be written in one line, `[a, b]` or `{a: b}`; of a node that was read: it was, or it is a scalar that is not a block (`|`, `>`).
  var isFlow = false
  /// Of an alias, the place of what it stands for.
  var position = FilePosition(line: 1, column: 1)
  /// Where a node that was read has its text, in Unicode scalars. The end of a list or mapping in lines of its own is somewhere behind them.
  var extent: Range<Int>?
  /// It was read as an alias of another node.
  var isAlias = false

  /// The text of a scalar.
  var text: String? {
    if case .scalar(let text, _) = content { text } else { nil }
  }

  /// The text of a plain scalar.
  var plainText: String? {
    if case .scalar(let text, isPlain: true) = content { text } else { nil }
  }

  var sequence: [YAMLNode]? {
    if case .sequence(let elements) = content { elements } else { nil }
  }

  var mapping: YAMLMapping? {
    if case .mapping(let mapping) = content { mapping } else { nil }
  }

  /// An absent value, or one of YAML's words for null.
  var isNull: Bool {
    guard let plainText else { return false }
    return ["", "~", "null", "Null", "NULL"].contains(plainText)
  }

  /// For messages: the value in quotes, shortened, or what it is.
  var shortDescription: String {
    if isNull { return "nothing" }
    guard case .scalar(let text, let isPlain) = content else { return sequence == nil ? "a mapping" : "a list" }
    let shown = text.count > 40 ? text.prefix(40) + "…" : text[...]
    return isPlain ? "'\(shown)'" : "the text '\(shown)'"
  }
}

/// The pairs of a mapping in their order. A key may stand there several times; the last one counts.
struct YAMLMapping: Equatable, Sendable {
  struct Pair: Equatable, Sendable {
    var key: YAMLNode
    var value: YAMLNode
  }

  private(set) var pairs: [Pair]
  /// The last pair of each key; only of a large mapping, where a search takes longer than a look-up.
  private var lastIndexes: [String: Int] = [:]

  private static let largestSearched = 16

  init(_ pairs: [Pair] = []) {
    self.pairs = pairs
    index()
  }

  /// The last pair with this key; nil: there is none.
  func lastIndex(of key: String) -> Int? {
    pairs.count > Self.largestSearched ? lastIndexes[key] : pairs.lastIndex { $0.key.text == key }
  }

  /// The value of a key. A new key goes to the end; nil takes the key away.
  subscript(key: String) -> YAMLNode? {
    get { lastIndex(of: key).map { pairs[$0].value } }
    set {
      switch (lastIndex(of: key), newValue) {
      case (let index?, let value?): pairs[index].value = value
      case (nil, let value?):
        pairs.append(Pair(key: YAMLNode(text: key), value: value))
        if lastIndexes.isEmpty { index() } else { lastIndexes[key] = pairs.count - 1 }
      case (_?, nil):
        pairs.removeAll { $0.key.text == key }
        index()
      case (nil, nil): break
      }
    }
  }

  private mutating func index() {
    lastIndexes = [:]
    guard pairs.count > Self.largestSearched else { return }
    for (index, pair) in pairs.enumerated() {
      if let key = pair.key.text { lastIndexes[key] = index }
    }
  }
}

// MARK: Nodes to be written

extension YAMLNode {
  /// Text, quoted if any YAML reader could take it for another type: readers disagree about numbers, dates and booleans.
  init(text: String) {
    content = .scalar(text, isPlain: text.isTextWithoutQuotes)
  }

  init(number: some BinaryInteger) {
    content = .scalar("\(number)", isPlain: true)
  }

  init(flag value: Bool) {
    content = .scalar(value ? "true" : "false", isPlain: true)
  }

  static func block(_ pairs: [(String, YAMLNode)]) -> YAMLNode {
    YAMLNode(content: .mapping(YAMLMapping(pairs)))
  }

  static func block(_ elements: [YAMLNode]) -> YAMLNode {
    YAMLNode(content: .sequence(elements))
  }

  static func flow(_ pairs: [(String, YAMLNode)]) -> YAMLNode {
    YAMLNode(content: .mapping(YAMLMapping(pairs)), isFlow: true)
  }

  /// A mapping whose keys are numbers.
  static func flow(_ pairs: [(some BinaryInteger, YAMLNode)]) -> YAMLNode {
    let pairs = pairs.map { YAMLMapping.Pair(key: YAMLNode(number: $0), value: $1) }
    return YAMLNode(content: .mapping(YAMLMapping(pairs)), isFlow: true)
  }

  static func flow(_ elements: [YAMLNode]) -> YAMLNode {
    YAMLNode(content: .sequence(elements), isFlow: true)
  }
}

extension YAMLMapping {
  init(_ pairs: [(String, YAMLNode)]) {
    self.init(pairs.map { Pair(key: YAMLNode(text: $0), value: $1) })
  }
}

extension String {
  /// Whether every YAML reader takes it for text as it stands.
  fileprivate var isTextWithoutQuotes: Bool {
    guard let first = utf8.first, utf8.allSatisfy(\.isPlainCharacter) else { return false }
    // Anything else is, or looks like, a number, a date, a list or the end of a document, unless it is an IPv4 address.
    guard first.isLetter || first == UInt8(ascii: "/") || first == UInt8(ascii: "_") else { return IPAddress(self) != nil }
    return !["y", "n", "yes", "no", "true", "false", "on", "off", "null"].contains(lowercased())
  }
}

extension UInt8 {
  fileprivate var isLetter: Bool {
    switch self {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
    default: false
    }
  }

  /// One that has no meaning to YAML wherever it stands inside a scalar.
  fileprivate var isPlainCharacter: Bool {
    switch self {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "/"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."): true
    default: isLetter
    }
  }
}
