// UnderlayBFD+YAML: `underlay.bfd` in the file's own format, every key of it.

import Encap
import VTEP

extension UnderlayBFD? {
  var node: YAMLNode {
    guard let self else { return YAMLNode(flag: false) }
    let settings = self.settings
    var pairs = [
      ("vteps", self.vteps.map { .flow($0.sorted().map { YAMLNode(text: "\($0)") }) } ?? YAMLNode(text: "all")),
      ("min-tx-ms", YAMLNode(number: settings.minTx)),
      ("min-rx-ms", YAMLNode(number: settings.minRx)),
      ("multiplier", YAMLNode(number: settings.multiplier)),
      ("form", YAMLNode(text: settings.form.rawValue)),
      ("check-tunnel-key", YAMLNode(flag: settings.checksTunnelKey)),
      ("forwarding-if-rx", YAMLNode(flag: settings.forwardingIfRx)),
      ("decay-min-rx-ms", YAMLNode(number: settings.decayMinRx)),
    ]
    if let vni = settings.vni { pairs.append(("vni", YAMLNode(number: vni.rawValue))) }
    return .block(pairs)
  }
}
