// ConfigurationError: every problem of a configuration file, in the order of the file.

import VTEPControl

/// A place in a file. Both count from 1; columns count Unicode scalars.
struct FilePosition: Hashable, Comparable, Sendable {
  var line: Int
  var column: Int

  static func < (left: FilePosition, right: FilePosition) -> Bool {
    (left.line, left.column) < (right.line, right.column)
  }
}

/// One problem of a configuration file.
struct ConfigurationProblem: Equatable, Sendable {
  /// nil: the file as a whole, e.g. when it cannot be read.
  var position: FilePosition?
  var message: String
}

/// A configuration file that cannot be used.
struct ConfigurationError: Error, Equatable, Sendable, CustomStringConvertible {
  /// As the operator named it.
  var file: String
  /// At least one, sorted by position.
  var problems: [ConfigurationProblem]

  /// Each problem as `file:line:column: message`, on one line whatever it quotes.
  var lines: [String] {
    problems.map { problem in
      let place = problem.position.map { ":\($0.line):\($0.column)" } ?? ""
      return "\(file)\(place): \(problem.message)".onOneLine
    }
  }

  var description: String { lines.joined(separator: "\n") }
}
