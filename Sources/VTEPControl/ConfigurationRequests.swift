// ConfigurationRequests: `vtepctl config …`: what checks and changes the configuration as a whole. The file's text is sent to the daemon, which
// has the only checker. ConfigurationHistoryRequests has what looks at earlier configurations.

/// Checks a configuration and changes nothing. Wrong ones are refused, with every problem in the error's details.
public struct CheckConfiguration: ControlRequest {
  public typealias Answer = ConfigurationAnswer
  public static let method = "config.check"
  // It compares a text with what runs, and changes nothing.
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  /// File name for messages; the daemon does not open it.
  public var file: String
  /// The file's content.
  public var text: String

  public init(file: String, text: String) {
    self.file = file
    self.text = text
  }

  enum CodingKeys: CodingKey, CaseIterable { case file, text }
}

/// Applies a configuration's difference from the running one. An invalid one changes nothing.
public struct ApplyConfiguration: ControlRequest {
  public typealias Answer = ConfigurationAnswer
  public static let method = "config.apply"
  public static let access = ControlAccess.change
  public static let parameterNames = names(of: CodingKeys.self)

  /// File name for messages; the daemon does not open it.
  public var file: String
  /// The file's content.
  public var text: String
  /// The change is undone after this many seconds unless `config.confirm` comes; nil: it stays.
  public var confirmSeconds: Int?
  /// True: what was changed at run time is not kept: the running configuration becomes exactly this one.
  public var replace: Bool?

  public init(file: String, text: String, confirmSeconds: Int? = nil, replace: Bool? = nil) {
    self.file = file
    self.text = text
    self.confirmSeconds = confirmSeconds
    self.replace = replace
  }

  enum CodingKeys: String, CodingKey, CaseIterable {
    case file, text, replace
    case confirmSeconds = "confirm_s"
  }
}

/// What a valid configuration changes, or would change.
public struct ConfigurationAnswer: Codable, Equatable, Sendable {
  /// One line for each difference from the running state.
  public var changes: [String]
  /// Keys that differ and take effect only after a restart.
  public var needsRestart: [String]
  /// Seconds until the change is undone unless it is confirmed; absent: it stays.
  public var confirmSeconds: Int?

  public init(changes: [String] = [], needsRestart: [String] = [], confirmSeconds: Int? = nil) {
    self.changes = changes
    self.needsRestart = needsRestart
    self.confirmSeconds = confirmSeconds
  }

  enum CodingKeys: String, CodingKey {
    case changes
    case needsRestart = "needs_restart"
    case confirmSeconds = "confirm_s"
  }
}

/// Keeps a change that waits for confirmation.
public struct ConfirmConfiguration: ControlRequest {
  public typealias Answer = ChangeAnswer
  public static let method = "config.confirm"
  public static let access = ControlAccess.change
  public static let parameterNames = names(of: CodingKeys.self)

  public init() {}

  enum CodingKeys: CodingKey, CaseIterable {}
}

/// Asks what would change, key by key.
public struct DiffConfiguration: ControlRequest {
  public typealias Answer = [ConfigurationDifference]
  public static let method = "config.diff"
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  /// File name for messages; the daemon does not open it.
  public var file: String
  /// The content of a file that would be applied; nil: compares the running configuration with the daemon's own file, as a restart would.
  public var text: String?

  public init(file: String, text: String?) {
    self.file = file
    self.text = text
  }

  enum CodingKeys: CodingKey, CaseIterable { case file, text }
}

/// A key whose value differs.
public struct ConfigurationDifference: Codable, Equatable, Sendable {
  /// Path of the key, e.g. `vnis[5001].ageing-seconds`.
  public var key: String
  /// The value that runs, as the file would have it on one line; nil: there is none.
  @Nullable public var running: String?
  /// The value in the file; nil: there is none.
  @Nullable public var file: String?

  public init(key: String, running: String?, file: String?) {
    self.key = key
    self.running = running
    self.file = file
  }
}

/// Asks for the running configuration, with every change made at run time, or for another one that the daemon knows.
public struct ShowConfiguration: ControlRequest {
  public typealias Answer = ConfigurationText
  public static let method = "config.show"
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  /// nil: the running one.
  public var source: Source?
  /// With `history`: which entry.
  public var number: Int?

  public enum Source: String, Codable, Sendable, CaseIterable {
    case running
    /// The daemon's file, as it is now.
    case saved
    case history
  }

  public init(source: Source? = nil, number: Int? = nil) {
    self.source = source
    self.number = number
  }

  enum CodingKeys: CodingKey, CaseIterable { case source, number }
}

/// A configuration in the file's own format.
public struct ConfigurationText: Codable, Equatable, Sendable {
  /// YAML.
  public var text: String

  public init(text: String) {
    self.text = text
  }
}
