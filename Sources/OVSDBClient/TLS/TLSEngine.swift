// TLSEngine: one TLS connection over memory BIOs: network bytes in, network bytes out, no socket. Nothing but the handshake is sent
// before the peer is verified (RFC 5280; names: RFC 6125).

import COpenSSL

/// Not for concurrent use.
final class TLSEngine {
  enum Role: Equatable {
    /// `serverName`: sent to the server if it is a host name (RFC 6066 §3).
    case client(serverName: String?)
    case server
  }

  private let ssl: OpaquePointer
  private let incoming: OpaquePointer
  private let outgoing: OpaquePointer
  private let context: TLSContext
  private let isServer: Bool
  /// The handshake is complete and the peer is verified.
  private(set) var isEstablished = false
  /// The peer has sent close_notify.
  private(set) var isClosedByPeer = false
  /// Why verification failed, noted while verification continues.
  private var verificationError: TLSError?
  private var hasRightName = false

  init(_ context: TLSContext, _ role: Role) throws(TLSError) {
    ERR_clear_error()
    guard let ssl = SSL_new(context.pointer) else { throw TLSError(during: "TLS set-up") }
    guard let incoming = BIO_new(BIO_s_mem()), let outgoing = BIO_new(BIO_s_mem()) else {
      SSL_free(ssl)
      throw TLSError(during: "TLS set-up")
    }
    self.ssl = ssl
    self.incoming = incoming
    self.outgoing = outgoing
    self.context = context
    isServer = role == .server
    // The connection owns them from here on.
    SSL_set_bio(ssl, incoming, outgoing)
    copenssl_set_owner(ssl, Unmanaged.passUnretained(self).toOpaque())
    SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT) { isGood, context in
      TLSEngine.verified(isGood, context)
    }
    switch role {
    case .server: SSL_set_accept_state(ssl)
    case .client(let serverName):
      SSL_set_connect_state(ssl)
      if let serverName { _ = copenssl_set_server_name(ssl, serverName) }
    }
  }

  deinit { SSL_free(ssl) }

  // -- bytes of the network ------------------------------------------------------------------------------------------

  /// Takes bytes from the network; `advance` and `read` process them.
  func receive(_ bytes: UnsafeRawBufferPointer) {
    BIO_write(incoming, bytes.baseAddress, Int32(bytes.count))
  }

  /// Hands over the bytes to send, and forgets them.
  func takeOutput(_ body: (UnsafeRawBufferPointer) -> Void) {
    var data: UnsafeMutablePointer<CChar>?
    let count = copenssl_memory(outgoing, &data)
    guard count > 0 else { return }
    body(UnsafeRawBufferPointer(start: data, count: count))
    BIO_ctrl(outgoing, BIO_CTRL_RESET, 0, nil)
  }

  // -- the connection ----------------------------------------------------------------------------------------------

  /// Continues the handshake as far as possible; the first call begins it.
  ///
  /// - Throws: why the handshake failed. The output then holds the alert for the peer.
  func advance() throws(TLSError) {
    guard !isEstablished else { return }
    ERR_clear_error()
    let result = SSL_do_handshake(ssl)
    guard result == 1 else {
      try check(result, "TLS handshake")
      return
    }
    // The library has verified the peer. Check the result before anything is sent.
    guard SSL_get_verify_result(ssl) == Int(X509_V_OK), hasRightName else {
      throw verificationError ?? TLSError(.invalid, "the peer's certificate", "it has not been verified")
    }
    isEstablished = true
  }

  /// Decrypts into `buffer`.
  ///
  /// - Returns: the number of bytes; 0: none yet, or no more at all if `isClosedByPeer`.
  func read(into buffer: UnsafeMutableRawBufferPointer) throws(TLSError) -> Int {
    ERR_clear_error()
    var count = 0
    let result = SSL_read_ex(ssl, buffer.baseAddress, buffer.count, &count)
    if result == 1 { return count }
    try check(result, "TLS connection")
    return 0
  }

  /// Encrypts.
  func write(_ bytes: UnsafeRawBufferPointer) throws(TLSError) {
    guard !bytes.isEmpty else { return }
    precondition(isEstablished, "nothing is sent to an unverified peer")
    ERR_clear_error()
    var count = 0
    let result = SSL_write_ex(ssl, bytes.baseAddress, bytes.count, &count)
    guard result == 1 else {
      try check(result, "TLS connection")
      throw TLSError(.libraryFailure, "TLS connection", "the TLS library refuses data to send")
    }
  }

  /// Sends close_notify.
  func close() {
    guard isEstablished else { return }
    ERR_clear_error()
    SSL_shutdown(ssl)
    ERR_clear_error()
  }

  /// For example `TLSv1.3`.
  var version: String { String(cString: SSL_get_version(ssl)) }

  private func check(_ result: Int32, _ operation: String) throws(TLSError) {
    switch SSL_get_error(ssl, result) {
    case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return
    case SSL_ERROR_ZERO_RETURN: isClosedByPeer = true
    default:
      let error = TLSError(during: operation)
      throw verificationError ?? error
    }
  }

  // -- verification ------------------------------------------------------------------------------------------------

  /// Called by the library for each certificate of the chain, the peer's own last, and for each error.
  private static func verified(_ isGood: Int32, _ context: OpaquePointer?) -> Int32 {
    guard let ssl = copenssl_connection(context), let owner = copenssl_owner(ssl) else { return 0 }
    let engine = Unmanaged<TLSEngine>.fromOpaque(owner).takeUnretainedValue()
    let certificate = X509_STORE_CTX_get_current_cert(context)
    if isGood == 1 {
      guard X509_STORE_CTX_get_error_depth(context) == 0, let certificate else { return 1 }
      let names = engine.context.settings.peerNames
      engine.hasRightName = names.isEmpty || names.contains { PeerName.matches($0, certificate) }
      if engine.hasRightName { return 1 }
      X509_STORE_CTX_set_error(context, X509_V_ERR_HOSTNAME_MISMATCH)
    }
    engine.verificationError = TLSError(
      verification: X509_STORE_CTX_get_error(context), subject: certificate.map(PeerName.subject) ?? "",
      validity: certificate.map(PeerName.validity) ?? "", isServer: engine.isServer)
    return 0
  }
}
