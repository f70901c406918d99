// TLSSettings: the files and names for a client's TLS connections. Only paths: the files are read for each connection.

/// Our credentials, the trusted authorities, and the acceptable peers.
public struct TLSSettings: Equatable, Sendable {
  /// PEM file with our private key, unencrypted.
  public var privateKeyPath: String
  /// PEM file with our certificate first, then any intermediate certificates.
  public var certificatePath: String
  /// PEM file with the certificates of the trusted authorities.
  public var caCertificatePath: String
  /// PEM file with a revocation list of each authority (RFC 5280 §5); nil: revocation is not checked.
  public var crlPath: String?
  /// Names of which the peer's certificate must match one: host names, IP addresses, or `sha256:` and the certificate's fingerprint
  /// in hexadecimal digits. Empty: any certificate signed by the authority.
  public var peerNames: [String]

  public init(
    privateKeyPath: String, certificatePath: String, caCertificatePath: String, crlPath: String? = nil, peerNames: [String] = []
  ) {
    self.privateKeyPath = privateKeyPath
    self.certificatePath = certificatePath
    self.caCertificatePath = caCertificatePath
    self.crlPath = crlPath
    self.peerNames = peerNames
  }
}

extension TLSSettings {
  /// Whether `peerNames` may hold this text: anything but a malformed fingerprint.
  public static func isPeerName(_ text: String) -> Bool {
    text.hasPrefix(PeerName.fingerprintPrefix) ? PeerName.digits(of: text) != nil : !text.isEmpty
  }
}
