// CertificateValidity: when certificates of TLSSettings are valid, to tell the operator before a connection fails.

import COpenSSL
import Glibc

/// The life of one certificate. Times in seconds since 1970.
public struct CertificateValidity: Equatable, Sendable {
  /// The file that it is in.
  public var path: String
  /// The distinguished name, RFC 4514.
  public var subject: String
  public var notBefore: Int
  public var notAfter: Int

  public init(path: String, subject: String, notBefore: Int, notAfter: Int) {
    self.path = path
    self.subject = subject
    self.notBefore = notBefore
    self.notAfter = notAfter
  }
}

extension TLSSettings {
  /// Reads the files, as each connection does.
  ///
  /// - Returns: our certificates and those of the authorities, in the order of the files; and why a connection could not use them.
  public func inspect() -> (certificates: [CertificateValidity], problem: TLSError?) {
    do throws(TLSError) {
      let material = try TLSMaterial(reading: self)
      let certificates =
        try Self.validity(material.certificate, certificatePath, "certificate")
        + Self.validity(material.caCertificate, caCertificatePath, "ca-certificate")
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

  private static func seconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int {
    var parts = tm()
    guard ASN1_TIME_to_tm(time, &parts) == 1 else { return 0 }
    return timegm(&parts)
  }
}
