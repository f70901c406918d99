// HistoryEntry: one state of the configuration, how it came about, and who is answerable for it.

import VTEP

/// Who asked for a change.
struct ChangeOrigin: Codable, Equatable, Sendable {
  /// nil: the daemon itself.
  var uid: UInt32?
  /// nil: nobody, or the system has no name for the user.
  var user: String?
  var process: Int32?
  /// The command line of the process, if it could be read.
  var command: String?

  static let daemon = ChangeOrigin()

  /// Of the request that the current task carries out.
  @TaskLocal static var current = ChangeOrigin.daemon

  /// For the log: `root (uid 0), pid 417, "vtepctl config confirm"`.
  var text: String {
    guard let uid else { return "vtepd" }
    let pid = process.map { ", pid \($0)" } ?? ""
    return (user.map { "\($0) (uid \(uid))" } ?? "uid \(uid)") + pid + (command.map { ", \"\($0.onOneLine)\"" } ?? "")
  }
}

/// The configuration at one time: the file, or what was applied instead, and what has become of it through vtepctl.
struct ConfigurationState: Equatable, Sendable {
  /// Changes to the file are differences from this.
  var file: Configuration
  /// Without the controller's part.
  private(set) var desired: DesiredState

  init(file: Configuration, desired: DesiredState) {
    self.file = file
    self.desired = desired
    self.desired.controller = ControllerLayer()
  }

  /// As `config show` has it.
  var running: Configuration {
    var running = file
    running.desired = desired
    return running
  }

  /// The running configuration and the file's, if that is another.
  ///
  /// - Throws: as `Configuration.yaml()`.
  var texts: [String?] {
    get throws(YAMLError) {
      let running = try running.yaml()
      return [running, file.desired == desired ? nil : try file.yaml()]
    }
  }

  /// - Parameter texts: as `texts` makes them.
  /// - Throws: why they cannot be used, e.g. what another version of vtepd has written.
  init(texts: [String?], file name: String, loader: ConfigurationLoader = ConfigurationLoader()) throws(ConfigurationError) {
    let running = try loader.load(text: texts.first.flatMap(\.self) ?? "", file: name)
    guard texts.count > 1, let file = texts[1] else {
      self.init(file: running, desired: running.desired)
      return
    }
    self.init(file: try loader.load(text: file, file: name), desired: running.desired)
  }
}

/// What the history says about a state.
struct HistoryEntry: Codable, Equatable, Sendable {
  /// Goes up with every entry.
  var number: Int
  /// Seconds since 1970, UTC.
  var seconds: Int64
  var origin: ChangeOrigin
  /// What led to it, e.g. `config apply FILE`.
  var action: String
  /// One line for each object that differs from the state before, as many as there is room for.
  var changes: [String]
  var changeCount: Int

  static let mostChanges = 20

  init(number: Int, seconds: Int64, origin: ChangeOrigin, action: String, changes: [String]) {
    self.number = number
    self.seconds = seconds
    self.origin = origin
    self.action = action
    self.changes = Array(changes.prefix(Self.mostChanges))
    changeCount = changes.count
  }
}

/// A change that waits for confirmation, or that was undone for lack of it. Its record's texts are the state before and what was applied.
struct Trial: Codable, Equatable, Sendable {
  /// The change was undone; the state before is to be in force as long as the file still says what was undone.
  var isUndone: Bool
  /// Seconds since 1970, UTC, at which the change is, or was, undone.
  var deadline: Int64
  var origin: ChangeOrigin
  var action: String
}
