// OVSDBSettings+YAML: the `ovsdb:` section in the file's own format.

import OVSDBClient
import Yams

extension OVSDBSettings {
  var node: Node {
    var pairs: [(String, Node)] = []
    if !remotes.isEmpty { pairs.append(("remotes", .flow(remotes.map { Node(text: "\($0)") }))) }
    if let tls {
      pairs += [
        ("private-key", Node(text: tls.privateKeyPath)), ("certificate", Node(text: tls.certificatePath)),
        ("ca-certificate", Node(text: tls.caCertificatePath)),
      ]
      if !tls.peerNames.isEmpty { pairs.append(("peer-name", .flow(tls.peerNames.map { Node(text: $0) }))) }
    }
    pairs += [("inactivity-probe-seconds", Node(number: inactivityProbeSeconds)), ("stale-hold", Node(number: staleHoldSeconds))]
    if let tunnelAddress { pairs.append(("tunnel-address", Node(text: "\(tunnelAddress)"))) }
    return .block(pairs)
  }
}
