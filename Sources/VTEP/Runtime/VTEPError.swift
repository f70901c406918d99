// VTEPError: the data plane's only error type. It names the operation and its subject, the cause, and the remedy.

import CDPDK
import Glibc
import Netlink

/// A failed operation on the data plane.
public struct VTEPError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Whether the daemon can go on.
  public enum Kind: Sendable {
    /// The request is refused; the running state is unchanged.
    case refused
    /// The environment lacks something the data plane needs (hugepages, device, permission).
    case environment
  }

  public var kind: Kind
  /// For example "port vm1: attach".
  public var operation: String
  public var reason: String
  /// What the operator can do, if known.
  public var remedy: String?

  public init(_ kind: Kind, _ operation: String, _ reason: String, remedy: String? = nil) {
    self.kind = kind
    self.operation = operation
    self.reason = reason
    self.remedy = remedy
  }

  public var description: String {
    "\(operation): \(reason)" + (remedy.map { "; \($0)" } ?? "")
  }

  /// Converts DPDK's return code (a negative errno, or -1 with `rte_errno` set) to text. No other code does this.
  static func check(_ code: Int32, _ operation: @autoclosure () -> String, remedy: String? = nil) throws(VTEPError) {
    guard code < 0 else { return }
    let number = code == -1 ? cdpdk_errno() : -code
    throw VTEPError(.environment, operation(), errnoText(number), remedy: remedy)
  }

  /// Adds the operation to an error of netlink or packet sockets. No other code does this.
  static func wrap<Result>(
    _ operation: String, _ body: () throws(NetlinkError) -> Result
  ) throws(VTEPError) -> Result {
    do {
      return try body()
    } catch {
      throw VTEPError(.environment, operation, "\(error)")
    }
  }

  static func errnoText(_ number: Int32) -> String {
    String(cString: strerror(number))
  }
}
