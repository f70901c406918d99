// NetlinkError: this module's only error type. It names the operation and its subject, and carries the errno. Only this file turns
// errno into text.

import Glibc

/// A failed operation on the kernel's network state.
public struct NetlinkError: Error, Equatable, Sendable, CustomStringConvertible {
  /// For example "set MTU".
  public var operation: String
  /// The operation's object, for example "interface 7"; empty if there is nothing to name.
  public var subject: String
  /// errno.
  public var code: Int32
  /// The kernel's message (extended acknowledgement), or ours where errno's text would mislead.
  public var detail: String?

  public init(_ operation: String, subject: String = "", code: Int32, detail: String? = nil) {
    self.operation = operation
    self.subject = subject
    self.code = code
    self.detail = detail
  }

  public var description: String {
    let text = String(cString: strerror(code)) + (detail.map { " (\($0))" } ?? "")
    return subject.isEmpty ? "\(operation): \(text)" : "\(subject): \(operation): \(text)"
  }
}
