// CertificateValidity: when certificates of TLSSettings are valid, to tell the operator before a connection fails.

import COpenSSL
import Glibc

/// The life of one certificate or revocation list. Times in seconds since 1970.
public struct CertificateValidity: Equatable, Sendable {
  public enum Kind: Equatable, Sendable {
    case certificate
    /// `notBefore` is its last update, `notAfter` its next one.
    case revocationList
  }

  public var kind: Kind
  /// The file that it is in.
  public var path: String
  /// The distinguished name, RFC 4514; of a revocation list, its issuer's.
  public var subject: String
  public var notBefore: Int
  public var notAfter: Int

  public init(kind: Kind = .certificate, path: String, subject: String, notBefore: Int, notAfter: Int) {
    self.kind = kind
    self.path = path
    self.subject = subject
    self.notBefore = notBefore
    self.notAfter = notAfter
  }
}

extension TLSSettings {
  /// Reads the files, as each connection does.
  ///
  /// - Returns: our certificates, those of the authorities and the revocation lists, in the order of the files; and why a connection
  ///   could not use them.
  public func inspect() -> (certificates: [CertificateValidity], problem: TLSError?) {
    do throws(TLSError) {
      let material = try TLSMaterial(reading: self)
      let certificates =
        try Self.validity(material.certificate, certificatePath, "certificate")
        + Self.validity(material.caCertificate, caCertificatePath, "ca-certificate") + revocationLists(material)
      do throws(TLSError) {
        _ = try TLSContext(material)
        return (certificates, nil)
      } catch {
        return (certificates, error)
      }
    } catch {
      return ([], error)
    }
  }

  private static func validity(_ bytes: [UInt8], _ path: String, _ key: String) throws(TLSError) -> [CertificateValidity] {
    try PEM.certificates(in: bytes, "\(key) \(path)").map { certificate in
      CertificateValidity(
        path: path, subject: PeerName.subject(certificate.pointer), notBefore: seconds(X509_get0_notBefore(certificate.pointer)),
        notAfter: seconds(X509_get0_notAfter(certificate.pointer)))
    }
  }

  private func revocationLists(_ material: TLSMaterial) throws(TLSError) -> [CertificateValidity] {
    guard let path = crlPath, let bytes = material.crl else { return [] }
    return try PEM.revocationLists(in: bytes, "crl \(path)").map { list in
      let next = X509_CRL_get0_nextUpdate(list.pointer)
      return CertificateValidity(
        kind: .revocationList, path: path, subject: PeerName.issuer(list.pointer),
        notBefore: Self.seconds(X509_CRL_get0_lastUpdate(list.pointer)), notAfter: next == nil ? .max : Self.seconds(next))
    }
  }

  private static func seconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int {
    var parts = tm()
    guard ASN1_TIME_to_tm(time, &parts) == 1 else { return 0 }
    return timegm(&parts)
  }
}
