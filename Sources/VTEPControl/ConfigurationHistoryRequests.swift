// ConfigurationHistoryRequests: `vtepctl config history|rollback|save`: earlier configurations, and the daemon's own file. The daemon need not be
// able to write that file: vtepctl does, with the rights of whoever runs it.

/// Asks for the configurations that were in force, the present one first.
public struct ShowHistory: ControlRequest {
  public typealias Answer = HistoryAnswer
  public static let method = "config.history"
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  public init() {}

  enum CodingKeys: CodingKey, CaseIterable {}
}

public struct HistoryAnswer: Codable, Equatable, Sendable {
  public var entries: [HistoryRow]
  /// Changes that vtepctl has made since the present entry, one line for each object.
  public var changesSince: [String]
  /// Seconds until the present configuration is undone unless it is confirmed; nil: it stays.
  @Nullable public var confirmSeconds: Int?

  public init(entries: [HistoryRow], changesSince: [String], confirmSeconds: Int?) {
    self.entries = entries
    self.changesSince = changesSince
    self.confirmSeconds = confirmSeconds
  }

  enum CodingKeys: String, CodingKey {
    case entries
    case changesSince = "changes_since"
    case confirmSeconds = "confirm_s"
  }
}

/// A configuration that was in force.
public struct HistoryRow: Codable, Equatable, Sendable {
  /// How far back: 0 is the present one.
  public var number: Int
  /// Seconds since 1970, UTC.
  public var seconds: Int64
  /// Who made it so; nil: the daemon itself.
  @Nullable public var user: String?
  @Nullable public var pid: Int32?
  @Nullable public var command: String?
  /// What led to it.
  public var action: String
  /// One line for each object that changed; at most 20.
  public var changes: [String]
  /// How many objects changed.
  public var changeCount: Int

  public init(
    number: Int, seconds: Int64, user: String?, pid: Int32?, command: String?, action: String, changes: [String], changeCount: Int
  ) {
    self.number = number
    self.seconds = seconds
    self.user = user
    self.pid = pid
    self.command = command
    self.action = action
    self.changes = changes
    self.changeCount = changeCount
  }

  enum CodingKeys: String, CodingKey {
    case number, seconds, user, pid, command, action, changes
    case changeCount = "change_count"
  }
}

/// Returns to an earlier configuration.
public struct RollBackConfiguration: ControlRequest {
  public typealias Answer = ConfigurationAnswer
  public static let method = "config.rollback"
  public static let access = ControlAccess.change
  public static let parameterNames = names(of: CodingKeys.self)

  /// As in the history; nil: undoes the change that waits for confirmation, or else the latest one (1).
  public var number: Int?
  /// As for `config.apply`.
  public var confirmSeconds: Int?

  public init(number: Int? = nil, confirmSeconds: Int? = nil) {
    self.number = number
    self.confirmSeconds = confirmSeconds
  }

  enum CodingKeys: String, CodingKey, CaseIterable {
    case number
    case confirmSeconds = "confirm_s"
  }
}

/// Asks for the text that the daemon's file needs so that it says what runs.
public struct MergeConfiguration: ControlRequest {
  public typealias Answer = MergedConfiguration
  public static let method = "config.merge"
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  /// True: also if the file has changes that were not applied, which are lost then.
  public var force: Bool?

  public init(force: Bool? = nil) {
    self.force = force
  }

  enum CodingKeys: CodingKey, CaseIterable { case force }
}

public struct MergedConfiguration: Codable, Equatable, Sendable {
  /// The daemon's file.
  public var path: String
  /// Its new content.
  public var text: String
  /// Whether that differs from the old one.
  public var isChanged: Bool
  /// Why comments could not be kept; nil: they were, where the key is unchanged.
  @Nullable public var lostComments: String?

  public init(path: String, text: String, isChanged: Bool, lostComments: String?) {
    self.path = path
    self.text = text
    self.isChanged = isChanged
    self.lostComments = lostComments
  }

  enum CodingKeys: String, CodingKey {
    case path, text
    case isChanged = "changed"
    case lostComments = "lost_comments"
  }
}

/// Tells the daemon that its file was written, with this content: from now on, changes of the file are differences from it.
public struct SavedConfiguration: ControlRequest {
  public typealias Answer = ChangeAnswer
  public static let method = "config.saved"
  public static let access = ControlAccess.change
  public static let parameterNames = names(of: CodingKeys.self)

  public var file: String
  public var text: String

  public init(file: String, text: String) {
    self.file = file
    self.text = text
  }

  enum CodingKeys: CodingKey, CaseIterable { case file, text }
}
