// TLSTests: two TLS endpoints that exchange bytes in memory: valid ones connect, and each invalid one is rejected for its reason.

import COpenSSL
import Foundation
import Testing

@testable import OVSDBClient

/// Two engines and the wire between them.
private struct Wire {
  let client: TLSEngine
  let server: TLSEngine
  var clientError: TLSError?
  var serverError: TLSError?
  /// Everything that was sent on the wire.
  var seen: [UInt8] = []
  /// The octet that changes in transit.
  var damagedOctet: Int?
  /// The octet that changes has been sent, and is none that a receiver ignores: the version of a record (RFC 8446 section 5.1).
  var isDamaged: Bool {
    guard let damagedOctet, damagedOctet < seen.count else { return false }
    var record = 0
    while record + 5 <= seen.count {
      if damagedOctet == record + 1 || damagedOctet == record + 2 { return false }
      record += 5 + Int(seen[record + 3]) << 8 + Int(seen[record + 4])
    }
    return true
  }

  init(client: TLSSettings, server: TLSSettings, clientVersion: Int32? = nil) throws {
    let context = try TLSContext(TLSMaterial(reading: client))
    if let clientVersion { SSL_CTX_ctrl(context.pointer, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(clientVersion), nil) }
    self.client = try TLSEngine(context, .client(serverName: "db.example.net"))
    self.server = try TLSEngine(TLSContext(TLSMaterial(reading: server)), .server)
  }

  /// Carries bytes until neither side has any. `pieces`: how many bytes at once.
  mutating func settle(pieces: Int = .max) {
    var isMoving = true
    while isMoving {
      isMoving = false
      for (sender, receiver, isClient) in [(client, server, true), (server, client, false)] {
        advance(sender, isClient)
        var bytes: [UInt8] = []
        sender.takeOutput { bytes = Array($0) }
        if let damagedOctet, (seen.count..<seen.count + bytes.count).contains(damagedOctet) { bytes[damagedOctet - seen.count] ^= 0x55 }
        seen += bytes
        var rest = bytes[...]
        while !rest.isEmpty {
          isMoving = true
          let piece = rest.prefix(pieces)
          rest = rest.dropFirst(pieces)
          piece.withUnsafeBytes { receiver.receive($0) }
          advance(receiver, !isClient)
        }
      }
    }
  }

  private mutating func advance(_ engine: TLSEngine, _ isClient: Bool) {
    do {
      try engine.advance()
      // Alerts and TLS 1.3's messages after the handshake arrive here.
      if engine.isEstablished {
        var none = [UInt8](repeating: 0, count: 0)
        _ = try none.withUnsafeMutableBytes { try engine.read(into: $0) }
      }
    } catch {
      if isClient { clientError = clientError ?? error as? TLSError } else { serverError = serverError ?? error as? TLSError }
    }
  }
}

@Suite struct TLSTests {
  private static func right() throws -> TestCertificates {
    let folder = try TestCertificates()
    try folder.selfSigned("ca")
    try folder.issue("server", by: "ca")
    try folder.issue("client", by: "ca")
    return folder
  }

  @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION], [1, 100, Int.max])
  func validPeersConnectInBothVersionsAndAnyPieces(version: Int32, pieces: Int) throws {
    let folder = try Self.right()
    var wire = try Wire(client: folder.settings("client"), server: folder.settings("server"), clientVersion: version)
    wire.settle(pieces: pieces)
    #expect(wire.clientError == nil && wire.serverError == nil)
    #expect(wire.client.isEstablished && wire.server.isEstablished)
    #expect(wire.client.version == (version == TLS1_2_VERSION ? "TLSv1.2" : "TLSv1.3"))

    let text = Array((0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 7) })
    for (from, to) in [(wire.client, wire.server), (wire.server, wire.client)] {
      try text.withUnsafeBytes { try from.write($0) }
      from.takeOutput { to.receive($0) }
      var received: [UInt8] = []
      var block = [UInt8](repeating: 0, count: 5000)
      while received.count < text.count {
        let count = try block.withUnsafeMutableBytes { try to.read(into: $0) }
        try #require(count > 0)
        received += block[..<count]
      }
      #expect(received == text)
    }
  }

  @Test func closingIsReported() throws {
    let folder = try Self.right()
    var wire = try Wire(client: folder.settings("client"), server: folder.settings("server"))
    wire.settle()
    wire.server.close()
    wire.server.takeOutput { wire.client.receive($0) }
    var block = [UInt8](repeating: 0, count: 100)
    #expect(try block.withUnsafeMutableBytes { try wire.client.read(into: $0) } == 0)
    #expect(wire.client.isClosedByPeer)
  }

  @Test func rightNamesAreAccepted() throws {
    let folder = try Self.right()
    let fingerprint = try folder.openssl("x509", "-in", folder.file("server.pem"), "-noout", "-fingerprint", "-sha256")
    let digits = try #require(fingerprint.split(separator: "=").last).trimmingCharacters(in: .whitespacesAndNewlines)
    for name in ["db.example.net", "192.0.2.1", "sha256:\(digits)", "sha256:\(digits.lowercased().filter { $0 != ":" })"] {
      var wire = try Wire(client: folder.settings("client", peerNames: ["elsewhere.example.net", name]), server: folder.settings("server"))
      wire.settle()
      #expect(wire.client.isEstablished && wire.server.isEstablished, "\(name): \(wire.clientError?.description ?? "")")
    }
  }

  /// What is wrong with the server, from a client's point of view; and the other way round.
  @Test(arguments: [
    ("expired", TLSError.Reason.expired, "it has expired"),
    ("early", .notYetValid, "it is not valid yet"),
    ("alone", .selfSigned, "it is self-signed"),
    ("stranger", .unknownAuthority, "not signed by the authority in ca-certificate"),
    ("other", .wrongName, "does not match peer-name"),
    ("purpose", .wrongPurpose, "it is not for TLS"),
  ])
  func aWrongPeerIsRefusedForItsReason(name: String, reason: TLSError.Reason, words: String) throws {
    let folder = try Self.right()
    for isServer in [true, false] {
      switch name {
      case "expired": try folder.issue(name, by: "ca", to: "20200201000000Z")
      case "early": try folder.issue(name, by: "ca", from: "20980101000000Z")
      case "alone": try folder.selfSigned(name)
      case "stranger":
        try folder.selfSigned("ca2")
        try folder.issue(name, by: "ca2")
      case "other": try folder.issue(name, by: "ca", extensions: "subjectAltName=DNS:other.example.net")
      default: try folder.issue(name, by: "ca", extensions: "extendedKeyUsage=\(isServer ? "clientAuth" : "serverAuth")")
      }
      let names = name == "other" ? ["db.example.net"] : []
      var wire =
        isServer
        ? try Wire(client: folder.settings("client", peerNames: names), server: folder.settings(name))
        : try Wire(client: folder.settings(name), server: folder.settings("server", peerNames: names))
      wire.settle()
      let error = try #require(isServer ? wire.clientError : wire.serverError)
      #expect(error.reason == reason, "\(error)")
      #expect(error.description.contains(words) && error.description.contains("CN=\(name)"), "\(error)")
      #expect(!error.remedy.isEmpty)
      #expect(!(isServer ? wire.client : wire.server).isEstablished)
      // The other side learns the reason, as far as TLS can express it.
      #expect((isServer ? wire.serverError : wire.clientError)?.reason == .refusedByPeer)
    }
  }

  @Test func anOldVersionIsRefused() throws {
    let folder = try Self.right()
    let context = try TLSContext(TLSMaterial(reading: folder.settings("client")))
    copenssl_set_min_version(context.pointer, TLS1_1_VERSION)
    SSL_CTX_ctrl(context.pointer, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(TLS1_1_VERSION), nil)
    SSL_CTX_set_cipher_list(context.pointer, "DEFAULT@SECLEVEL=0")
    let old = try TLSEngine(context, .client(serverName: nil))
    let server = try TLSEngine(TLSContext(TLSMaterial(reading: folder.settings("server"))), .server)
    try old.advance()
    old.takeOutput { server.receive($0) }
    let error = try #require(throws: TLSError.self) { try server.advance() }
    #expect(error.reason == .protocolVersion, "\(error)")
    #expect(error.description.contains("neither TLS 1.2 nor TLS 1.3"))
    server.takeOutput { old.receive($0) }
    #expect(throws: TLSError.self) { try old.advance() }
  }

  @Test(arguments: ["GET / HTTP/1.0\r\n\r\n", #"{"method":"echo","params":[],"id":"echo"}"#])
  func plaintextIsRefused(text: String) throws {
    let folder = try Self.right()
    for role in [TLSEngine.Role.server, .client(serverName: nil)] {
      let engine = try TLSEngine(TLSContext(TLSMaterial(reading: folder.settings("server"))), role)
      try engine.advance()
      engine.takeOutput { _ in }
      Array(text.utf8).withUnsafeBytes { engine.receive($0) }
      let error = try #require(throws: TLSError.self) { try engine.advance() }
      #expect(error.reason == .notTLS, "\(error)")
      engine.takeOutput { #expect(!$0.contains(UInt8(ascii: "{"))) }
    }
  }

  /// Every fault in our own files is reported with its path.
  @Test(arguments: [
    ("missing key", TLSError.Reason.fileUnreadable, "nowhere.key", "No such file"),
    ("folder", .fileUnreadable, "/tmp", "Is a directory"),
    ("certificate as key", .fileNotPEM, "client.pem", "it holds a certificate, not a private key"),
    ("key as certificate", .fileNotPEM, "client.key", "it holds a private key, not a certificate"),
    ("empty authority", .fileNotPEM, "empty.pem", "no PEM certificate"),
    ("damaged certificate", .fileNotPEM, "damaged.pem", "damaged"),
    ("encrypted key", .keyEncrypted, "locked.key", "encrypted with a passphrase"),
    ("another's key", .keyMismatch, "server.key", "does not belong to certificate"),
    ("short key", .fileRefused, "weak.pem", "key too small"),
  ])
  func ourOwnFilesAreJudged(name: String, reason: TLSError.Reason, path: String, words: String) throws {
    let folder = try Self.right()
    var settings = folder.settings("client")
    switch name {
    case "missing key": settings.privateKeyPath = folder.file("nowhere.key")
    case "folder": settings.caCertificatePath = "/tmp"
    case "certificate as key": settings.privateKeyPath = settings.certificatePath
    case "key as certificate": settings.certificatePath = settings.privateKeyPath
    case "empty authority":
      try folder.write("empty.pem", "")
      settings.caCertificatePath = folder.file("empty.pem")
    case "damaged certificate":
      let text = try String(contentsOfFile: settings.certificatePath, encoding: .utf8)
      try folder.write("damaged.pem", text.replacingOccurrences(of: "MII", with: "AAA"))
      settings.certificatePath = folder.file("damaged.pem")
    case "encrypted key":
      try folder.openssl("pkey", "-in", settings.privateKeyPath, "-aes256", "-passout", "pass:secret", "-out", folder.file("locked.key"))
      settings.privateKeyPath = folder.file("locked.key")
    case "another's key": settings.privateKeyPath = folder.file("server.key")
    default:
      try folder.openssl(
        "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-days", "1", "-subj", "/CN=weak", "-keyout", folder.file("weak.key"), "-out",
        folder.file("weak.pem"))
      settings = folder.settings("weak")
    }
    let error = try #require(throws: TLSError.self) { try TLSContext(TLSMaterial(reading: settings)) }
    #expect(error.reason == reason, "\(error)")
    #expect(error.description.contains(path) && error.description.contains(words), "\(error)")
  }

  /// Each list decides; one that cannot tell refuses.
  @Test(arguments: [
    ("nobody", nil, ""), ("revoked", TLSError.Reason.revoked, "it is revoked by the list in crl"),
    ("another is revoked", nil, ""), ("expired", .noRevocationList, "has expired"),
    ("another authority's", .noRevocationList, "no revocation list of the authority"),
  ])
  func revocationIsChecked(name: String, reason: TLSError.Reason?, words: String) throws {
    let folder = try Self.right()
    var settings = folder.settings("client")
    settings.crlPath = folder.file("list.crl")
    switch name {
    case "nobody": try folder.revoke([], by: "ca", as: "list")
    case "revoked": try folder.revoke(["client", "server"], by: "ca", as: "list")
    case "another is revoked": try folder.revoke(["client"], by: "ca", as: "list")
    case "expired": try folder.revoke([], by: "ca", as: "list", isExpired: true)
    default:
      try folder.selfSigned("ca2")
      try folder.revoke([], by: "ca2", as: "list")
    }
    var wire = try Wire(client: settings, server: folder.settings("server"))
    wire.settle()
    #expect(wire.clientError?.reason == reason, "\(wire.clientError.map { "\($0)" } ?? "")")
    #expect(wire.client.isEstablished == (reason == nil))
    #expect(words.isEmpty || wire.clientError?.description.contains(words) == true, "\(wire.clientError.map { "\($0)" } ?? "")")
    // As a server, the same.
    var server = folder.settings("server")
    server.crlPath = settings.crlPath
    var reverse = try Wire(client: folder.settings("client"), server: server)
    reverse.settle()
    let isClientGood = reason == nil && name != "another is revoked"
    #expect(reverse.server.isEstablished == isClientGood, "\(reverse.serverError.map { "\($0)" } ?? "")")
    let inspected = settings.inspect()
    #expect(inspected.problem == nil && inspected.certificates.last?.kind == .revocationList)
    #expect(inspected.certificates.last.map { $0.notAfter < $0.notBefore + 86_400 * 40 && $0.subject.hasPrefix("CN=ca") } == true)
  }

  @Test(arguments: [("client.pem", "it holds a certificate, not a revocation list"), ("nowhere", "cannot read it")])
  func aFileWithoutARevocationListIsRefused(file: String, words: String) throws {
    let folder = try Self.right()
    var settings = folder.settings("client")
    settings.crlPath = folder.file(file)
    let error = try #require(throws: TLSError.self) { try TLSContext(TLSMaterial(reading: settings)) }
    #expect(error.description.contains(words) && error.description.contains("crl "), "\(error)")
  }

  @Test func aChangedFileIsNoticed() throws {
    let folder = try Self.right()
    let before = try TLSMaterial(reading: folder.settings("client"))
    #expect(try TLSMaterial(reading: folder.settings("client")) == before)
    try folder.issue("client", by: "ca")
    #expect(try TLSMaterial(reading: folder.settings("client")) != before)
  }

  /// However the bytes of a handshake are damaged in transit, it ends with an error or not at all, and never with an unverified
  /// peer.
  @Test func damagedHandshakesAreRefused() throws {
    let folder = try Self.right()
    var random = SystemRandomNumberGenerator()
    for _ in 0..<200 {
      var wire = try Wire(client: folder.settings("client"), server: folder.settings("server"))
      wire.damagedOctet = Int.random(in: 0..<4000, using: &random)
      wire.settle(pieces: Int.random(in: 1...2000, using: &random))
      if wire.client.isEstablished && wire.server.isEstablished { #expect(!wire.isDamaged) }
    }
  }

  /// A chain: our certificate, then the intermediate one.
  @Test func aChainOfCertificatesIsSent() throws {
    let folder = try Self.right()
    try folder.issue("between", by: "ca", extensions: "basicConstraints=critical,CA:TRUE")
    try folder.issue("leaf", by: "between")
    let chain = try ["leaf.pem", "between.pem"].map { try String(contentsOfFile: folder.file($0), encoding: .utf8) }.joined()
    try folder.write("leaf.pem", chain)
    var wire = try Wire(client: folder.settings("leaf"), server: folder.settings("server"))
    wire.settle()
    #expect(wire.server.isEstablished, "\(wire.serverError?.description ?? "")")
  }
}
