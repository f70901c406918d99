// JournalLog: log lines for systemd's journal, when standard error leads there: with their priority, which `journalctl -p` filters
// by, and without a timestamp, which the journal adds itself. sd-daemon(3).

import Glibc
import Logging

struct JournalLog: LogHandler {
  var logLevel = Logger.Level.info
  var metadata = Logger.Metadata()

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let line = Self.line(event.level, "\(event.message)", metadata.merging(event.metadata ?? [:]) { $1 }) + "\n"
    LogWriter.standardError.write(line)
  }

  /// Whether standard error leads to the journal (systemd.exec(5), `$JOURNAL_STREAM`).
  static var isThere: Bool {
    guard let text = getenv("JOURNAL_STREAM").map({ String(cString: $0) }) else { return false }
    var status = stat()
    return fstat(STDERR_FILENO, &status) == 0 && text == "\(status.st_dev):\(status.st_ino)"
  }

  /// One journal line, however many lines the message has.
  static func line(_ level: Logger.Level, _ message: String, _ metadata: Logger.Metadata) -> String {
    let pairs = metadata.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
    return "<\(priority(of: level))>" + String((message + pairs).map { $0.isNewline ? " " : $0 })
  }

  /// The priority number of syslog(3).
  private static func priority(of level: Logger.Level) -> Int32 {
    switch level {
    case .trace, .debug: LOG_DEBUG
    case .info: LOG_INFO
    case .notice: LOG_NOTICE
    case .warning: LOG_WARNING
    case .error: LOG_ERR
    case .critical: LOG_CRIT
    }
  }
}
