// TLSError+OpenSSL: maps the library's codes to our reasons. Two sources: the result of verifying the peer's certificate, and the
// error queue, which also holds the peer's alerts about our side (RFC 8446 §6).

import COpenSSL

extension TLSError {
  /// The peer's certificate was refused.
  ///
  /// - Parameters:
  ///   - code: X509_V_ERR_….
  ///   - subject: of the faulty certificate, which may be a CA's.
  ///   - validity: `from … to …` of that certificate.
  init(verification code: Int32, subject: String, validity: String, isServer: Bool) {
    let certificate = subject.isEmpty ? "the peer's certificate" : "the peer's certificate '\(subject)'"
    let text = String(cString: X509_verify_cert_error_string(Int(code)))
    switch code {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      self.init(.expired, certificate, "it has expired: valid \(validity)", remedy: "renew it, or set this host's clock")
    case X509_V_ERR_CERT_NOT_YET_VALID:
      self.init(.notYetValid, certificate, "it is not valid yet: valid \(validity)", remedy: "set this host's clock, or the issuer's")
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      self.init(.selfSigned, certificate, "it is self-signed", remedy: "get it signed by the authority in ca-certificate")
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
      X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_CERT_SIGNATURE_FAILURE, X509_V_ERR_CERT_UNTRUSTED:
      self.init(
        .unknownAuthority, certificate, "it is not signed by the authority in ca-certificate: \(text)",
        remedy: "name the authority that signs the peers' certificates")
    case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH:
      self.init(.wrongName, certificate, "it does not match peer-name", remedy: "correct peer-name, or connect to the right peer")
    case X509_V_ERR_INVALID_PURPOSE:
      let role = isServer ? "clients" : "servers"
      self.init(
        .wrongPurpose, certificate, "it is not for TLS \(role)", remedy: "reissue it without extended key usage, or with the right one")
    case X509_V_ERR_CERT_REVOKED:
      self.init(.revoked, certificate, "it is revoked by the list in crl", remedy: "issue another, or correct the list")
    case X509_V_ERR_UNABLE_TO_GET_CRL, X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
      self.init(
        .noRevocationList, certificate, "crl has no revocation list of the authority that signed it",
        remedy: "add the list of each authority to the file")
    case X509_V_ERR_CRL_HAS_EXPIRED:
      self.init(
        .noRevocationList, certificate, "the revocation list in crl has expired, so nobody can tell whether it is revoked",
        remedy: "fetch the authority's latest list")
    case X509_V_ERR_CRL_NOT_YET_VALID:
      self.init(
        .noRevocationList, certificate, "the revocation list in crl is not valid yet", remedy: "set this host's clock, or the issuer's")
    case X509_V_ERR_CRL_SIGNATURE_FAILURE, X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE:
      self.init(
        .noRevocationList, certificate, "the revocation list in crl is not signed by its authority: \(text)",
        remedy: "fetch the authority's own list")
    case X509_V_ERR_EE_KEY_TOO_SMALL, X509_V_ERR_CA_KEY_TOO_SMALL, X509_V_ERR_CA_MD_TOO_WEAK:
      self.init(.tooWeak, certificate, text, remedy: "issue it with a longer key or a newer digest")
    default:
      self.init(.invalid, certificate, text)
    }
  }

  /// The text of the oldest entry in the thread's error queue; empties the queue.
  static func nextReason() -> String {
    let code = ERR_get_error()
    ERR_clear_error()
    return text(code)
  }

  private static func text(_ code: UInt) -> String {
    code == 0 ? "no reason given" : ERR_reason_error_string(code).map { String(cString: $0) } ?? "error \(code)"
  }

  /// From the thread's error queue; empties the queue.
  init(during operation: String) {
    let code = ERR_get_error()
    ERR_clear_error()
    let text = Self.text(code)
    guard copenssl_error_library(code) == ERR_LIB_SSL else {
      self.init(.libraryFailure, operation, text)
      return
    }
    switch copenssl_error_reason(code) {
    case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_WRONG_SSL_VERSION, SSL_R_VERSION_TOO_LOW, SSL_R_UNKNOWN_PROTOCOL,
      SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
      self.init(
        .protocolVersion, operation, "the peer speaks neither TLS 1.2 nor TLS 1.3 (\(text))", remedy: "enable TLS 1.2 or later there")
    case SSL_R_WRONG_VERSION_NUMBER, SSL_R_HTTP_REQUEST, SSL_R_BAD_RECORD_TYPE, SSL_R_PACKET_LENGTH_TOO_LONG:
      self.init(.notTLS, operation, "the peer does not speak TLS on this port (\(text))", remedy: "use another port, or tcp: without TLS")
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      self.init(.noCertificate, operation, "the peer sent no certificate", remedy: "configure one there")
    case SSL_R_NO_SHARED_CIPHER, SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, SSL_R_TLSV1_ALERT_INSUFFICIENT_SECURITY:
      self.init(.noCommonCipher, operation, "no cipher or key type is accepted by both sides (\(text))")
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
      self.init(.refusedByPeer, "our certificate", "the peer requires one and none is configured")
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
      self.init(
        .refusedByPeer, "our certificate", "the peer does not trust the authority that signed it",
        remedy: "get it signed by an authority that the peer trusts")
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
      self.init(.refusedByPeer, "our certificate", "the peer considers it expired or not yet valid", remedy: "renew it or set the clocks")
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
      self.init(.refusedByPeer, "our certificate", "the peer considers it revoked", remedy: "issue another")
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN,
      SSL_R_SSLV3_ALERT_NO_CERTIFICATE, SSL_R_TLSV1_ALERT_ACCESS_DENIED, SSL_R_TLSV1_ALERT_DECRYPT_ERROR:
      self.init(.refusedByPeer, "our certificate", "the peer rejects it (\(text))")
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
      self.init(.closed, operation, "the peer closed the connection")
    default:
      self.init(.protocolViolation, operation, text)
    }
  }
}
