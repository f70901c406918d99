// OneLine: foreign text (names, values from a file or request) in messages.

extension String {
  /// The text without line ends and other control characters, which would end a line of a log or command a terminal: each is shown as an
  /// escape such as `\n` or `\u{1B}`.
  public var onOneLine: String {
    guard unicodeScalars.contains(where: \.breaksLine) else { return self }
    return unicodeScalars.reduce(into: "") { $0 += $1.breaksLine ? $1.escaped(asASCII: true) : String($1) }
  }
}

extension Unicode.Scalar {
  fileprivate var breaksLine: Bool {
    switch properties.generalCategory {
    case .control, .lineSeparator, .paragraphSeparator: true
    default: false
    }
  }
}
