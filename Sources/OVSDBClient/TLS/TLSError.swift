// TLSError: why a TLS connection failed: what is wrong, with which certificate or file, and the remedy.

/// A failed TLS connection.
public struct TLSError: Error, Equatable, Sendable, CustomStringConvertible {
  /// One for each cause with a remedy of its own.
  public enum Reason: String, Sendable {
    // Our own files.
    case fileUnreadable, fileNotPEM, keyEncrypted, keyMismatch, fileRefused
    // The peer's certificate, rejected by us.
    case expired, notYetValid, unknownAuthority, selfSigned, wrongName, wrongPurpose, revoked, tooWeak, invalid, noCertificate
    /// No list can tell whether it is revoked.
    case noRevocationList
    // Our certificate, rejected by the peer.
    case refusedByPeer
    // The protocol.
    case protocolVersion, noCommonCipher, notTLS, protocolViolation, closed
    case libraryFailure
  }

  public var reason: Reason
  /// The file or certificate; empty if there is none.
  public var subject: String
  /// What is wrong with it.
  public var message: String
  /// What to do about it; empty if there is no advice.
  public var remedy: String

  init(_ reason: Reason, _ subject: String = "", _ message: String, remedy: String = "") {
    self.reason = reason
    self.subject = subject
    self.message = message
    self.remedy = remedy
  }

  public var description: String {
    let text = subject.isEmpty ? message : "\(subject): \(message)"
    return remedy.isEmpty ? text : "\(text) (\(remedy))"
  }
}
