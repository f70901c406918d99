// OVSDBSettings+YAML: the `ovsdb:` section in the file's own format.

import OVSDBClient

extension OVSDBSettings {
  var node: YAMLNode {
    var pairs: [(String, YAMLNode)] = []
    if !remotes.isEmpty { pairs.append(("remotes", .flow(remotes.map { YAMLNode(text: "\($0)") }))) }
    if let tls {
      pairs += [
        ("private-key", YAMLNode(text: tls.privateKeyPath)), ("certificate", YAMLNode(text: tls.certificatePath)),
        ("ca-certificate", YAMLNode(text: tls.caCertificatePath)),
      ]
      if let path = tls.crlPath { pairs.append(("crl", YAMLNode(text: path))) }
      if !tls.peerNames.isEmpty { pairs.append(("peer-name", .flow(tls.peerNames.map { YAMLNode(text: $0) }))) }
    }
    pairs += [
      ("inactivity-probe-seconds", YAMLNode(number: inactivityProbeSeconds)), ("max-backoff-seconds", YAMLNode(number: maxBackoffSeconds)),
      ("dscp", YAMLNode(number: dscp)), ("stale-hold", YAMLNode(number: staleHoldSeconds)),
    ]
    if let tunnelAddress { pairs.append(("tunnel-address", YAMLNode(text: "\(tunnelAddress)"))) }
    return .block(pairs)
  }
}
