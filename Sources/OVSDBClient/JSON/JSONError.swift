// JSONError: invalid JSON, or JSON beyond the limits.

/// Why a peer's bytes are rejected as JSON.
public struct JSONError: Error, Sendable, Equatable, CustomStringConvertible {
  /// What is wrong.
  public var reason: Reason
  /// Where, in bytes from the start of the message.
  public var offset: Int
  /// What was being read, for example "table Logical_Switch, column tunnel_key"; empty if unknown.
  public var context = ""

  /// The kinds of errors.
  public enum Reason: Sendable, Equatable {
    /// An unexpected byte; the text says what was expected.
    case unexpected(UInt8, expected: String)
    /// The text ends in the middle of a value.
    case truncated
    /// A string with octets that are not UTF-8.
    case notUTF8
    /// A string with an octet below 0x20, which must be escaped.
    case controlCharacter(UInt8)
    /// A backslash followed by something that RFC 8259 §7 does not allow, or half a surrogate pair.
    case escape
    /// A number that does not follow RFC 8259 §6, or exceeds `Double`.
    case number
    /// Arrays and objects nested deeper than the limit.
    case tooDeep(limit: Int)
    /// A message longer than the limit, in bytes.
    case tooLong(limit: Int)
    /// Extra bytes after the value.
    case trailing
    /// Valid JSON, but not what the schema or RFC 7047 requires here; the text says what was expected.
    case mismatch(expected: String)
  }

  public init(_ reason: Reason, offset: Int) {
    self.reason = reason
    self.offset = offset
  }

  /// The same error with `name` put in front of its context.
  func within(_ name: @autoclosure () -> String) -> JSONError {
    var error = self
    error.context = context.isEmpty ? name() : "\(name()), \(context)"
    return error
  }

  public var description: String {
    let text =
      switch reason {
      case .unexpected(let byte, let expected): "\(Self.name(byte)) where \(expected) was expected"
      case .truncated: "the text ends within a value"
      case .notUTF8: "a string is not UTF-8"
      case .controlCharacter(let byte): "a string contains an unescaped control character (\(byte))"
      case .escape: "an invalid escape in a string"
      case .number: "a malformed number, or one that is too large"
      case .tooDeep(let limit): "nested more than \(limit) deep"
      case .tooLong(let limit): "a message longer than \(limit) bytes"
      case .trailing: "more text after the value"
      case .mismatch(let expected): "\(expected) was expected"
      }
    return "JSON, byte \(offset): " + (context.isEmpty ? text : "\(context): \(text)")
  }

  private static func name(_ byte: UInt8) -> String {
    byte > 0x20 && byte < 0x7f ? "'\(Character(Unicode.Scalar(byte)))'" : "byte \(byte)"
  }
}
