// TLSMaterial: the contents of the files in TLSSettings. They are read for each connection, so changed certificates are used at
// once, and compared on SIGHUP, so a session is interrupted only by a change.

import Glibc

/// Key and certificates as read from disk at one time.
struct TLSMaterial: Equatable, Sendable {
  let settings: TLSSettings
  let privateKey: [UInt8]
  let certificate: [UInt8]
  let caCertificate: [UInt8]
  /// Nil: revocation is not checked.
  let crl: [UInt8]?

  /// Longer files cannot be certificate files. A revocation list has about 40 bytes for each certificate.
  private static let byteLimit = 16 << 20

  /// - Throws: `fileUnreadable`, with the path.
  init(reading settings: TLSSettings) throws(TLSError) {
    self.settings = settings
    privateKey = try Self.read(settings.privateKeyPath, "private-key")
    certificate = try Self.read(settings.certificatePath, "certificate")
    caCertificate = try Self.read(settings.caCertificatePath, "ca-certificate")
    if let path = settings.crlPath { crl = try Self.read(path, "crl") } else { crl = nil }
  }

  private static func read(_ path: String, _ key: String) throws(TLSError) -> [UInt8] {
    let subject = "\(key) \(path)"
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw unreadable(subject) }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 16384)
    while true {
      let count = Glibc.read(descriptor, &block, block.count)
      guard count >= 0 else { throw unreadable(subject) }
      if count == 0 { return bytes }
      bytes += block[..<count]
      guard bytes.count <= byteLimit else {
        throw TLSError(.fileUnreadable, subject, "it is longer than 16 MiB: not a certificate file")
      }
    }
  }

  private static func unreadable(_ subject: String) -> TLSError {
    let code = errno
    let remedy = code == ENOENT ? "create it, or correct the path" : "correct the path or its permissions"
    return TLSError(.fileUnreadable, subject, "cannot read it: \(String(cString: strerror(code)))", remedy: remedy)
  }
}
