// PEM: keys, certificates and revocation lists from the text of a file (RFC 7468), with errors that say what is wrong with the file.

import COpenSSL

/// A certificate; freed with its last reference.
final class Certificate {
  let pointer: OpaquePointer

  /// Takes ownership of the reference.
  init(_ pointer: OpaquePointer) { self.pointer = pointer }
  deinit { X509_free(pointer) }
}

/// A revocation list; freed with its last reference.
final class RevocationList {
  let pointer: OpaquePointer

  /// Takes ownership of the reference.
  init(_ pointer: OpaquePointer) { self.pointer = pointer }
  deinit { X509_CRL_free(pointer) }
}

enum PEM {
  /// All certificates in a file, at least one.
  ///
  /// - Parameter subject: the file, for messages.
  static func certificates(in bytes: [UInt8], _ subject: String) throws(TLSError) -> [Certificate] {
    let certificates = try all("certificate", in: bytes, subject) { PEM_read_bio_X509($0, nil, noPassphrase, nil).map(Certificate.init) }
    guard !certificates.isEmpty else {
      let holdsKey = contains("PRIVATE KEY-----", bytes)
      throw TLSError(
        .fileNotPEM, subject, holdsKey ? "it holds a private key, not a certificate" : "there is no PEM certificate in it",
        remedy: "name a file with -----BEGIN CERTIFICATE-----")
    }
    return certificates
  }

  /// All revocation lists in a file, at least one.
  ///
  /// - Parameter subject: the file, for messages.
  static func revocationLists(in bytes: [UInt8], _ subject: String) throws(TLSError) -> [RevocationList] {
    let lists = try all("revocation list", in: bytes, subject) {
      PEM_read_bio_X509_CRL($0, nil, noPassphrase, nil).map(RevocationList.init)
    }
    guard !lists.isEmpty else {
      let holdsCertificate = contains("-----BEGIN CERTIFICATE-----", bytes)
      throw TLSError(
        .fileNotPEM, subject, holdsCertificate ? "it holds a certificate, not a revocation list" : "there is no PEM revocation list in it",
        remedy: "name a file with -----BEGIN X509 CRL----- (openssl crl -inform DER -in FILE -out NEWFILE converts a binary one)")
    }
    return lists
  }

  /// Reads objects until the end of the file.
  private static func all<Object>(
    _ kind: String, in bytes: [UInt8], _ subject: String, _ next: (OpaquePointer) -> Object?
  ) throws(TLSError) -> [Object] {
    guard let bio = memory(bytes) else { throw TLSError(during: subject) }
    defer { BIO_free(bio) }
    var objects: [Object] = []
    while let object = next(bio) { objects.append(object) }
    let code = ERR_peek_last_error()
    // After the last one, the library finds no further BEGIN line.
    let isEnd = copenssl_error_library(code) == ERR_LIB_PEM && copenssl_error_reason(code) == PEM_R_NO_START_LINE
    let reason = TLSError.nextReason()
    guard isEnd else {
      throw TLSError(.fileNotPEM, subject, "\(kind) \(objects.count + 1) in it is damaged: \(reason)", remedy: "replace it")
    }
    return objects
  }

  /// The first private key in a file. The caller frees it.
  static func privateKey(in bytes: [UInt8], _ subject: String) throws(TLSError) -> OpaquePointer {
    guard let bio = memory(bytes) else { throw TLSError(during: subject) }
    defer { BIO_free(bio) }
    if let key = PEM_read_bio_PrivateKey(bio, nil, noPassphrase, nil) { return key }
    let reason = TLSError.nextReason()
    if contains("ENCRYPTED", bytes) {
      throw TLSError(
        .keyEncrypted, subject, "the key is encrypted with a passphrase", remedy: "decrypt it: openssl pkey -in FILE -out NEWFILE")
    }
    guard contains("PRIVATE KEY-----", bytes) else {
      let holdsCertificate = contains("-----BEGIN CERTIFICATE-----", bytes)
      throw TLSError(
        .fileNotPEM, subject, holdsCertificate ? "it holds a certificate, not a private key" : "there is no PEM private key in it",
        remedy: "name a file with -----BEGIN PRIVATE KEY-----")
    }
    throw TLSError(.fileNotPEM, subject, "the private key in it is damaged: \(reason)", remedy: "replace it")
  }

  /// Copies the bytes: the BIO must not depend on the lifetime of the array.
  private static func memory(_ bytes: [UInt8]) -> OpaquePointer? {
    ERR_clear_error()
    guard let bio = BIO_new(BIO_s_mem()) else { return nil }
    BIO_write(bio, bytes, Int32(bytes.count))
    // By default an empty memory BIO reports "try again" instead of end of file.
    copenssl_end_memory(bio)
    return bio
  }

  private static func contains(_ word: StaticString, _ bytes: [UInt8]) -> Bool {
    String(decoding: bytes, as: UTF8.self).contains("\(word)")
  }
}

/// Replaces the library's passphrase prompt on the terminal.
private func noPassphrase(_: UnsafeMutablePointer<CChar>?, _: Int32, _: Int32, _: UnsafeMutableRawPointer?) -> Int32 { -1 }
