// TLSSettings: which files and names the TLS connections of a client use. Only names: the files are read for each connection.

/// Our credentials, whom we trust, and who the peer has to be.
public struct TLSSettings: Equatable, Sendable {
  /// PEM file with our private key, not encrypted.
  public var privateKeyPath: String
  /// PEM file with our certificate first, then those between it and the CA's, if any.
  public var certificatePath: String
  /// PEM file with the certificates of the authorities whose peers we trust.
  public var caCertificatePath: String
  /// What the peer's certificate has to be for, one of them: host names, IP addresses, or `sha256:` and the certificate's
  /// fingerprint in hexadecimal digits. Empty: any certificate of the authority.
  public var peerNames: [String]

  public init(privateKeyPath: String, certificatePath: String, caCertificatePath: String, peerNames: [String] = []) {
    self.privateKeyPath = privateKeyPath
    self.certificatePath = certificatePath
    self.caCertificatePath = caCertificatePath
    self.peerNames = peerNames
  }
}

extension TLSSettings {
  /// Whether a text can stand in `peerNames`: a fingerprint has to be one, anything else is a name.
  public static func isPeerName(_ text: String) -> Bool {
    text.hasPrefix(PeerName.fingerprintPrefix) ? PeerName.digits(of: text) != nil : !text.isEmpty
  }
}
