// TestCertificates: authorities and certificates, valid and invalid, created by the openssl command when a test needs them.

import Foundation
import Testing

@testable import OVSDBClient

/// A folder with keys and certificates, removed with its last reference.
final class TestCertificates: Sendable {
  let path: String

  init() throws {
    path = "/tmp/vtepd-tls-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String) -> String { "\(path)/\(name)" }

  func write(_ name: String, _ text: String) throws {
    try text.write(toFile: file(name), atomically: true, encoding: .utf8)
  }

  /// `NAME.key` and `NAME.pem` of an authority, or of any self-signed certificate.
  func selfSigned(_ name: String) throws {
    try openssl(
      "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=\(name)",
      "-keyout", file("\(name).key"), "-out", file("\(name).pem"))
  }

  /// `NAME.key` and `NAME.pem`, signed by an authority. Times as `20260102030405Z`.
  func issue(
    _ name: String, by authority: String, from start: String = "20200101000000Z", to end: String = "20990101000000Z",
    extensions: String = "subjectAltName=DNS:db.example.net,IP:192.0.2.1"
  ) throws {
    try openssl(
      "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=\(name)",
      "-keyout", file("\(name).key"), "-out", file("\(name).csr"))
    try write("\(name).index", "")
    try write("\(name).ext", extensions)
    try write(
      "\(name).conf",
      """
      [ca]
      default_ca = d
      [d]
      database = \(file("\(name).index"))
      new_certs_dir = \(path)
      rand_serial = yes
      default_md = sha256
      policy = p
      [p]
      commonName = supplied
      """)
    try openssl(
      "ca", "-batch", "-notext", "-config", file("\(name).conf"), "-cert", file("\(authority).pem"), "-keyfile", file("\(authority).key"),
      "-in", file("\(name).csr"), "-out", file("\(name).pem"), "-startdate", start, "-enddate", end, "-extfile", file("\(name).ext"))
  }

  /// `NAME.crl`: a list of an authority that revokes certificates; in force for an hour, or expired.
  func revoke(_ certificates: [String], by authority: String, as name: String, isExpired: Bool = false) throws {
    let configuration = try String(contentsOfFile: file("\(certificates.first ?? "server").conf"), encoding: .utf8)
    try write("\(name).index", "")
    try write(
      "\(name).conf",
      configuration.split(separator: "\n").map { $0.hasPrefix("database") ? "database = \(file("\(name).index"))" : String($0) }
        .joined(separator: "\n") + "\n")
    let common = ["ca", "-config", file("\(name).conf"), "-cert", file("\(authority).pem"), "-keyfile", file("\(authority).key")]
    for certificate in certificates { try openssl(common + ["-revoke", file("\(certificate).pem")]) }
    let life = isExpired ? ["-crl_lastupdate", "20200101000000Z", "-crl_nextupdate", "20200201000000Z"] : ["-crlhours", "1"]
    try openssl(common + ["-gencrl", "-md", "sha256", "-out", file("\(name).crl")] + life)
  }

  /// Settings of `name`, which trusts `authority`.
  func settings(_ name: String, trusts authority: String = "ca", peerNames: [String] = []) -> TLSSettings {
    TLSSettings(
      privateKeyPath: file("\(name).key"), certificatePath: file("\(name).pem"), caCertificatePath: file("\(authority).pem"),
      peerNames: peerNames)
  }

  @discardableResult
  func openssl(_ arguments: String...) throws -> String { try openssl(arguments) }

  @discardableResult
  func openssl(_ arguments: [String]) throws -> String {
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(filePath: "/usr/bin/openssl")
    process.arguments = arguments
    process.standardOutput = output
    process.standardError = output
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    let text = String(decoding: data, as: UTF8.self)
    try #require(process.terminationStatus == 0, "openssl \(arguments): \(text)")
    return text
  }
}
