// MACTableError: the forwarding database's only error type. Only the control side throws.

/// A failed change. The table is unchanged.
public struct MACTableError: Error, Equatable, Sendable, CustomStringConvertible {
  public enum Operation: String, Sendable {
    case create = "create MAC table"
    case setStatic = "set MAC entry"
  }

  public enum Code: String, Sendable {
    case invalidSize = "size out of range"
    case outOfMemory = "the kernel gives no memory for it"
    case indexOutOfRange = "domain, port or VTEP index out of range"
    case learnedNotConfigurable = "a learned entry cannot be configured"
    case outranked = "a static entry for the address takes precedence"
    case tableFull = "table full of static and controller entries"
  }

  public var operation: Operation
  /// The size or the address it was about.
  public var subject: String
  public var code: Code

  public init(_ operation: Operation, subject: String, code: Code) {
    self.operation = operation
    self.subject = subject
    self.code = code
  }

  public var description: String { "\(operation.rawValue) \(subject): \(code.rawValue)" }
}
