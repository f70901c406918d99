// PeerName: compares a certificate with a configured peer-name, and describes the certificate.

import COpenSSL

enum PeerName {
  /// Prefix of a fingerprint.
  static let fingerprintPrefix = "sha256:"

  /// Whether the certificate matches: by host name (also by wildcard), IP address or fingerprint.
  static func matches(_ name: String, _ certificate: OpaquePointer) -> Bool {
    if name.hasPrefix(fingerprintPrefix) { return digits(of: name) == fingerprint(certificate) }
    if X509_check_ip_asc(certificate, name, 0) == 1 { return true }
    return X509_check_host(certificate, name, name.utf8.count, 0, nil) == 1
  }

  /// The 64 hexadecimal digits of a fingerprint, with or without colons; nil if invalid.
  static func digits(of name: String) -> String? {
    let digits = name.dropFirst(fingerprintPrefix.count).lowercased().filter { $0 != ":" }
    return digits.utf8.count == 64 && digits.allSatisfy(\.isHexDigit) ? digits : nil
  }

  /// SHA-256 of the certificate in hexadecimal digits.
  static func fingerprint(_ certificate: OpaquePointer) -> String {
    var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
    var count: UInt32 = 0
    guard X509_digest(certificate, EVP_sha256(), &digest, &count) == 1 else { return "" }
    return digest[..<Int(count)].map { byte in
      let text = String(byte, radix: 16)
      return byte < 16 ? "0" + text : text
    }.joined()
  }

  /// The distinguished name, RFC 4514.
  static func subject(_ certificate: OpaquePointer) -> String {
    printed { copenssl_print_name($0, X509_get_subject_name(certificate)) }
  }

  /// Who issued a revocation list, RFC 4514.
  static func issuer(_ list: OpaquePointer) -> String {
    printed { copenssl_print_name($0, X509_CRL_get_issuer(list)) }
  }

  /// `from … to …`.
  static func validity(_ certificate: OpaquePointer) -> String {
    let from = printed { ASN1_TIME_print($0, X509_get0_notBefore(certificate)) }
    let to = printed { ASN1_TIME_print($0, X509_get0_notAfter(certificate)) }
    return "from \(from) to \(to)"
  }

  private static func printed(_ print: (OpaquePointer) -> Int32) -> String {
    guard let bio = BIO_new(BIO_s_mem()) else { return "" }
    defer { BIO_free(bio) }
    _ = print(bio)
    var data: UnsafeMutablePointer<CChar>?
    let count = copenssl_memory(bio, &data)
    return String(decoding: UnsafeRawBufferPointer(start: data, count: max(count, 0)), as: UTF8.self)
  }
}
