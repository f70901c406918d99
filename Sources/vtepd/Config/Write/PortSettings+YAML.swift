// PortSettings+YAML: ports and profiles in the file's own format. What a port takes from its profile is the profile's to say.

import Encap
import VTEP

extension PortSettings {
  var node: YAMLNode {
    var pairs = [("name", YAMLNode(text: name)), ("kind", YAMLNode(text: kind.rawValue))] + attachment.pairs
    if let profile { pairs.append(("profile", YAMLNode(text: profile))) }
    pairs += options.pairs
    if !macs.isEmpty { pairs.append(("macs", .flow(macs.map { YAMLNode(text: "\($0)") }))) }
    let tagged = vlanMACs.filter { !$0.value.isEmpty }.sorted { $0.key < $1.key }
    if !tagged.isEmpty {
      pairs.append(("vlan-macs", .flow(tagged.map { ($0.key, .flow($0.value.map { YAMLNode(text: "\($0)") })) })))
    }
    return .block(pairs)
  }
}

extension PortAttachment {
  /// The keys that the kind takes.
  fileprivate var pairs: [(String, YAMLNode)] {
    (kind.requiredKeys + kind.optionalKeys).compactMap { key in
      let value: YAMLNode? =
        switch key {
        case .device: device.map { YAMLNode(text: $0) }
        case .socket: socket.map { YAMLNode(text: $0) }
        case .devargs: devargs.map { YAMLNode(text: $0) }
        case .role: YAMLNode(text: role.rawValue)
        case .queues: YAMLNode(number: queues)
        case .memifID: YAMLNode(number: memifID)
        case .socketOwner: socketOwner.map { YAMLNode(text: $0) }
        case .socketGroup: socketGroup.map { YAMLNode(text: $0) }
        case .socketMode: socketMode.map { YAMLNode(text: "0" + String($0, radix: 8)) }
        }
      return value.map { (key.rawValue, $0) }
    }
  }
}

extension PortOptions {
  /// Keys that are said here, with their values.
  var pairs: [(String, YAMLNode)] {
    var pairs: [(String, YAMLNode)] = []
    if let vni { pairs.append(("vni", YAMLNode(number: vni.rawValue))) }
    if let vlans {
      let entries = vlans.sorted { $0.key < $1.key }
      pairs.append(("vlans", .flow(entries.map { ($0.key, YAMLNode(number: $0.value.rawValue)) })))
    }
    if let mtu { pairs.append(("mtu", YAMLNode(number: mtu))) }
    if let offloads { pairs.append(("offloads", YAMLNode(text: offloads.rawValue))) }
    if let isEnabled { pairs.append(("enabled", YAMLNode(flag: isEnabled))) }
    if let antiSpoofing { pairs.append(("anti-spoofing", YAMLNode(flag: antiSpoofing))) }
    if let isAnnounced { pairs.append(("announce", YAMLNode(flag: isAnnounced))) }
    if let isIsolated { pairs.append(("isolated", YAMLNode(flag: isIsolated))) }
    if let tpid { pairs.append(("tpid", YAMLNode(text: tpid.text))) }
    if let linkProtocols { pairs.append(("l2-protocols", YAMLNode(text: linkProtocols.rawValue))) }
    if let hasBPDUGuard { pairs.append(("bpdu-guard", YAMLNode(flag: hasBPDUGuard))) }
    if let probesLoops { pairs.append(("loop-probe", YAMLNode(flag: probesLoops))) }
    if let macLimit { pairs.append(("mac-limit", YAMLNode(number: macLimit))) }
    pairs += Self.mapping("rate-limit", Self.mapping("ingress", ingress.pairs) + Self.mapping("egress", egress.pairs))
    pairs += Self.mapping("storm-control", storm.pairs)
    return pairs
  }

  /// A mapping under a key; nothing when it is empty.
  private static func mapping(_ key: String, _ pairs: [(String, YAMLNode)]) -> [(String, YAMLNode)] {
    pairs.isEmpty ? [] : [(key, .flow(pairs))]
  }
}

extension PortOptions.RateOptions {
  fileprivate var pairs: [(String, YAMLNode)] {
    [("bits", bits), ("packets", packets)].compactMap { key, value in value.map { (key, YAMLNode(number: $0)) } }
  }
}

extension PortOptions.StormOptions {
  fileprivate var pairs: [(String, YAMLNode)] {
    [("broadcast", broadcast), ("unknown-unicast", unknownUnicast), ("unknown-multicast", unknownMulticast)].compactMap {
      key, value in value.map { (key, YAMLNode(number: $0)) }
    }
  }
}
