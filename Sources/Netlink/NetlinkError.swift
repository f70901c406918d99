// NetlinkError: the one error type of this module. It names the operation and its subject, and carries the errno.
// errno is turned into text in this file only.

import Glibc

/// An operation on the kernel's network state that could not be carried out.
public struct NetlinkError: Error, Equatable, Sendable, CustomStringConvertible {
  /// For example "set MTU".
  public var operation: String
  /// What it was done to, for example "interface 7"; empty when there is nothing to name.
  public var subject: String
  /// errno.
  public var code: Int32
  /// The kernel's own words (extended acknowledgement), or ours where errno's text would mislead.
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
