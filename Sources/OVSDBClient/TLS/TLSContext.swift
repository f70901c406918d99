// TLSContext: key, certificates and rules for TLS connections: TLS 1.2 and 1.3, verification in both directions, no resumption
// (every connection verifies anew), no renegotiation.

import COpenSSL

/// Thread-safe once created: OpenSSL counts references, and nothing changes it any more.
final class TLSContext: Sendable {
  nonisolated(unsafe) let pointer: OpaquePointer
  /// The files' contents.
  let material: TLSMaterial

  var settings: TLSSettings { material.settings }

  /// - Throws: what is wrong with the key or a certificate, with the path of its file.
  init(_ material: TLSMaterial) throws(TLSError) {
    ERR_clear_error()
    guard let pointer = SSL_CTX_new(TLS_method()) else { throw TLSError(during: "TLS set-up") }
    self.pointer = pointer
    self.material = material
    guard copenssl_set_min_version(pointer, TLS1_2_VERSION) == 1 else { throw TLSError(during: "TLS set-up") }
    copenssl_forbid_renegotiation(pointer)
    copenssl_forbid_resumption(pointer)
    SSL_CTX_set_verify(pointer, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
    try useCertificates()
    try useKey()
    try trustAuthorities()
    try useRevocationLists()
  }

  deinit { SSL_CTX_free(pointer) }

  private func useCertificates() throws(TLSError) {
    let subject = "certificate \(settings.certificatePath)"
    let certificates = try PEM.certificates(in: material.certificate, subject)
    for (index, certificate) in certificates.enumerated() {
      // Both hold a reference of their own.
      let result =
        index == 0 ? SSL_CTX_use_certificate(pointer, certificate.pointer) : copenssl_add_chain_certificate(pointer, certificate.pointer)
      guard result == 1 else {
        throw TLSError(.fileRefused, subject, TLSError.nextReason(), remedy: "issue it with a longer key or a newer digest")
      }
    }
  }

  private func useKey() throws(TLSError) {
    let subject = "private-key \(settings.privateKeyPath)"
    let key = try PEM.privateKey(in: material.privateKey, subject)
    defer { EVP_PKEY_free(key) }
    guard SSL_CTX_use_PrivateKey(pointer, key) == 1, SSL_CTX_check_private_key(pointer) == 1 else {
      ERR_clear_error()
      throw TLSError(
        .keyMismatch, subject, "it does not belong to certificate \(settings.certificatePath)",
        remedy: "name the key that this certificate was issued for")
    }
  }

  private func trustAuthorities() throws(TLSError) {
    let subject = "ca-certificate \(settings.caCertificatePath)"
    let store = SSL_CTX_get_cert_store(pointer)
    for certificate in try PEM.certificates(in: material.caCertificate, subject) {
      guard X509_STORE_add_cert(store, certificate.pointer) == 1, SSL_CTX_add_client_CA(pointer, certificate.pointer) == 1 else {
        throw TLSError(.fileRefused, subject, TLSError.nextReason())
      }
    }
  }

  /// Every certificate of a peer's chain must be in force according to a list of its authority; without a list, it is refused.
  private func useRevocationLists() throws(TLSError) {
    guard let path = settings.crlPath, let bytes = material.crl else { return }
    let subject = "crl \(path)"
    let store = SSL_CTX_get_cert_store(pointer)
    for list in try PEM.revocationLists(in: bytes, subject) {
      guard X509_STORE_add_crl(store, list.pointer) == 1 else { throw TLSError(.fileRefused, subject, TLSError.nextReason()) }
    }
    X509_STORE_set_flags(store, UInt(X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL))
  }
}
