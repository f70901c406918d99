// ConfigurationLoader+OVSDB: the `ovsdb:` section.

import Encap
import OVSDBClient

extension ConfigurationLoader {
  /// - Parameter addresses: those of the underlay; empty if they are invalid, which is reported elsewhere.
  func readOVSDB(_ node: YAMLNode, addresses: [IPAddress], _ reader: ConfigurationReader) -> OVSDBSettings {
    var settings = OVSDBSettings()
    guard var section = ConfigurationSection(node, title: "ovsdb", reader: reader) else { return settings }
    let nodes = section.list("remotes") ?? []
    settings.remotes = readRemotes(nodes, reader)
    let areFilesGiven = readFiles(&section, &settings, reader)
    if let node = section.node("peer-name") {
      let names = readPeerNames(node, reader)
      settings.tls?.peerNames = names
      if !settings.remotes.contains(where: \.usesTLS) {
        reader.report(node.position, "peer-name needs a remote with TLS: ssl: or pssl:")
      }
    }
    if let entry = section.entry("crl") {
      let path = readPath(entry.value, "crl", reader)
      if settings.tls == nil {
        reader.report(entry.position, "crl needs private-key, certificate and ca-certificate, too")
      } else if nodes.isEmpty {
        reader.report(
          entry.position,
          """
          crl needs remotes: ovsdb-server cannot check revocation lists; leave crl out, or run the database elsewhere and name it in \
          remotes
          """)
      }
      settings.tls?.crlPath = path
    }
    if !areFilesGiven, let (node, remote) = zip(nodes, settings.remotes).first(where: { $1.usesTLS }) {
      reader.report(node.position, "\(remote) needs private-key, certificate and ca-certificate")
    }
    settings.inactivityProbeSeconds = section.integer("inactivity-probe-seconds", in: 0...3600) ?? settings.inactivityProbeSeconds
    settings.maxBackoffSeconds = section.integer("max-backoff-seconds", in: 1...3600) ?? settings.maxBackoffSeconds
    settings.dscp = section.integer("dscp", in: 0...63) ?? settings.dscp
    settings.staleHoldSeconds = section.integer("stale-hold", in: 0...86400) ?? settings.staleHoldSeconds
    if let node = section.node("tunnel-address"), let address = reader.address(node, "tunnel-address") {
      settings.tunnelAddress = address
      if !addresses.isEmpty, !addresses.contains(address) {
        let choices = addresses.map { "\($0)" }.joinedAsChoice
        reader.report(node.position, "tunnel-address must be one of underlay.addresses, \(choices), not \(address)")
      }
    }
    section.finish()
    return settings
  }

  /// Invalid remotes are reported and left out.
  private func readRemotes(_ nodes: [YAMLNode], _ reader: ConfigurationReader) -> [Remote] {
    var remotes: [Remote] = []
    for node in nodes {
      guard let text = reader.text(node, "a remote") else { continue }
      let remote: Remote
      do {
        remote = try Remote(parsing: text)
      } catch {
        reader.report(node.position, "remote \(error)")
        continue
      }
      if remotes.contains(remote) { reader.report(node.position, "remote \(remote) is given twice") }
      remotes.append(remote)
    }
    return remotes
  }

  /// - Returns: whether any of the three is present. Reports missing ones.
  private func readFiles(
    _ section: inout ConfigurationSection, _ settings: inout OVSDBSettings, _ reader: ConfigurationReader
  ) -> Bool {
    let keys = ["private-key", "certificate", "ca-certificate"]
    let entries = keys.map { section.entry($0) }
    guard let first = entries.lazy.compactMap({ $0 }).first else { return false }
    let missing = zip(keys, entries).filter { $1 == nil }.map(\.0)
    if !missing.isEmpty {
      reader.report(first.position, "\(first.key) needs \(missing.joined(separator: " and ")), too")
    }
    let paths = zip(keys, entries).map { key, entry in entry.flatMap { readPath($0.value, key, reader) } ?? "" }
    settings.tls = TLSSettings(privateKeyPath: paths[0], certificatePath: paths[1], caCertificatePath: paths[2])
    return true
  }

  private func readPath(_ node: YAMLNode, _ key: String, _ reader: ConfigurationReader) -> String? {
    guard let path = reader.text(node, key) else { return nil }
    if path.hasPrefix("/") { return path }
    reader.report(node.position, "\(key) must be an absolute path, not '\(path)'")
    return nil
  }

  /// One name, or a list of them.
  private func readPeerNames(_ node: YAMLNode, _ reader: ConfigurationReader) -> [String] {
    let nodes = node.sequence ?? [node]
    return nodes.compactMap { node in
      guard let name = reader.text(node, "peer-name") else { return nil }
      guard !TLSSettings.isPeerName(name) else { return name }
      reader.report(node.position, "peer-name '\(name)': a fingerprint is sha256: and 64 hexadecimal digits, with or without colons")
      return nil
    }
  }
}
