// PortSettings+Policy: converts a port's policy to the snapshot's form.

import Encap

extension PortSettings {
  /// The flags that the port's policy needs.
  var policyFeatures: PortFeatures {
    let policy = policy
    var features: PortFeatures = []
    if !self.isEnabled || policy.antiSpoofing || policy.macLimit > 0 || policy.ingress.isLimited || policy.storm.isLimited {
      features.insert(.isPoliced)
    }
    if policy.egress.isLimited { features.insert(.limitsEgress) }
    return features
  }

  /// With anti-spoofing: all permitted (VLAN, source) pairs, ascending.
  var allowedSources: [UInt64] {
    guard policy.antiSpoofing else { return [] }
    return bindings.flatMap { vlan, _ in macs(vlan: vlan).map { PolicyEntry.source($0, vlan: vlan) } }.sorted()
  }
}
