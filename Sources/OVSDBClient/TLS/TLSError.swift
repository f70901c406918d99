// TLSError: why a TLS connection did not come about, or ended: what is wrong, with which certificate or file, and what to do.

/// A failed TLS connection.
public struct TLSError: Error, Equatable, Sendable, CustomStringConvertible {
  /// One for each cause that an operator has to treat in a way of its own.
  public enum Reason: String, Sendable {
    // Our own files.
    case fileUnreadable, fileNotPEM, keyEncrypted, keyMismatch, fileRefused
    // The peer's certificate, refused by us.
    case expired, notYetValid, unknownAuthority, selfSigned, wrongName, wrongPurpose, revoked, tooWeak, invalid, noCertificate
    // Our certificate, refused by the peer.
    case refusedByPeer
    // The protocol.
    case protocolVersion, noCommonCipher, notTLS, protocolViolation, closed
    case libraryFailure
  }

  public var reason: Reason
  /// The file or certificate; empty where there is none.
  public var subject: String
  /// What is wrong with it.
  public var message: String
  /// What to do about it; empty where nothing can be advised.
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
