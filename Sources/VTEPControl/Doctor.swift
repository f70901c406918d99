// Doctor: `vtepctl doctor`: what on the host keeps vtepd from working, or from working well.

/// Asks the daemon to look at the host as it sees it: its namespace, its permissions, its devices.
public struct RunDoctor: ControlRequest {
  public typealias Answer = [DoctorFinding]
  public static let method = "doctor"
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  public init() {}

  enum CodingKeys: CodingKey, CaseIterable {}
}

/// The result of one check, of one thing that it looked at.
public struct DoctorFinding: Codable, Equatable, Sendable {
  public enum Status: String, Codable, Sendable, CaseIterable, Comparable {
    case ok
    /// It works, but worse than it could, or not for long.
    case warning
    /// Something does not work.
    case error

    public static func < (left: Status, right: Status) -> Bool {
      (allCases.firstIndex(of: left) ?? 0) < (allCases.firstIndex(of: right) ?? 0)
    }
  }

  /// Name of the check, e.g. `hugepages`.
  public var check: String
  /// What it was about: an interface, a port, a file; nil: the host.
  @Nullable public var subject: String?
  public var status: Status
  /// What was looked at, and what was there.
  public var found: String
  /// Why that is not right; nil: it is.
  @Nullable public var cause: String?
  /// What to do about it; nil: nothing, or the cause says it.
  @Nullable public var remedy: String?

  public init(check: String, subject: String? = nil, status: Status = .ok, found: String, cause: String? = nil, remedy: String? = nil) {
    self.check = check
    self.subject = subject
    self.status = status
    self.found = found
    self.cause = cause
    self.remedy = remedy
  }

  enum CodingKeys: CodingKey { case check, subject, status, found, cause, remedy }
}
