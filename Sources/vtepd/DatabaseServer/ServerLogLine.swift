// ServerLogLine: a line of ovsdb-server's output, with its level in our log.

import Logging

struct ServerLogLine: Equatable {
  var level: Logger.Level
  var text: String

  /// The pattern passed to ovsdb-server: level, module, message.
  static let pattern = "%p|%c|%m"

  init(_ line: String) {
    let parts = line.split(separator: "|", maxSplits: 2, omittingEmptySubsequences: false)
    let levels: [Substring: Logger.Level] = ["EMER": .error, "ERR": .error, "WARN": .warning, "INFO": .info, "DBG": .debug]
    guard parts.count == 3, let level = levels[parts[0]] else {
      // Libraries and the loader write to standard error too.
      (self.level, text) = (.warning, line)
      return
    }
    (self.level, text) = (level, "\(parts[1]): \(parts[2])")
  }
}
