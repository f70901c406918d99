// ConfigurationRequests: `vtepctl config check|apply|show`. The file's text is sent to the daemon, which has the only checker.

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

  public init(file: String, text: String) {
    self.file = file
    self.text = text
  }

  enum CodingKeys: CodingKey, CaseIterable { case file, text }
}

/// What a valid configuration changes, or would change.
public struct ConfigurationAnswer: Codable, Equatable, Sendable {
  /// One line for each difference from the running state.
  public var changes: [String]
  /// Keys that differ and take effect only after a restart.
  public var needsRestart: [String]

  public init(changes: [String] = [], needsRestart: [String] = []) {
    self.changes = changes
    self.needsRestart = needsRestart
  }

  enum CodingKeys: String, CodingKey {
    case changes
    case needsRestart = "needs_restart"
  }
}

/// Asks for the running configuration, with every change made at run time.
public struct ShowConfiguration: ControlRequest {
  public typealias Answer = ConfigurationText
  public static let method = "config.show"
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  public init() {}

  enum CodingKeys: CodingKey, CaseIterable {}
}

/// A configuration in the file's own format.
public struct ConfigurationText: Codable, Equatable, Sendable {
  /// YAML.
  public var text: String

  public init(text: String) {
    self.text = text
  }
}
