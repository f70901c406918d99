// PortSettings+YAML: ports and profiles in the file's own format. What a port takes from its profile is the profile's to say.

import Encap
import VTEP
import Yams

extension PortSettings {
  var node: Node {
    var pairs = [("name", Node(text: name)), ("kind", Node(word: kind.rawValue))] + attachment.pairs
    if let profile { pairs.append(("profile", Node(text: profile))) }
    pairs += options.pairs
    if !macs.isEmpty { pairs.append(("macs", .flow(macs.map { Node(text: "\($0)") }))) }
    let tagged = vlanMACs.filter { !$0.value.isEmpty }.sorted { $0.key < $1.key }
    if !tagged.isEmpty {
      let entries = tagged.map { (Node(number: $0.key), Node.flow($0.value.map { Node(text: "\($0)") })) }
      pairs.append(("vlan-macs", Node(entries, .implicit, .flow)))
    }
    return .block(pairs)
  }
}

extension PortAttachment {
  /// The keys that the kind takes.
  fileprivate var pairs: [(String, Node)] {
    (kind.requiredKeys + kind.optionalKeys).compactMap { key in
      let value: Node? =
        switch key {
        case .device: device.map { Node(text: $0) }
        case .socket: socket.map { Node(text: $0) }
        case .devargs: devargs.map { Node(text: $0) }
        case .role: Node(word: role.rawValue)
        case .queues: Node(number: queues)
        case .memifID: Node(number: memifID)
        case .socketOwner: socketOwner.map { Node(text: $0) }
        case .socketGroup: socketGroup.map { Node(text: $0) }
        case .socketMode: socketMode.map { Node(text: "0" + String($0, radix: 8)) }
        }
      return value.map { (key.rawValue, $0) }
    }
  }
}

extension PortOptions {
  /// Keys that are said here, with their values.
  var pairs: [(String, Node)] {
    var pairs: [(String, Node)] = []
    if let vni { pairs.append(("vni", Node(number: vni.rawValue))) }
    if let vlans {
      let entries = vlans.sorted { $0.key < $1.key }.map { (Node(number: $0.key), Node(number: $0.value.rawValue)) }
      pairs.append(("vlans", Node(entries, .implicit, .flow)))
    }
    if let mtu { pairs.append(("mtu", Node(number: mtu))) }
    if let offloads { pairs.append(("offloads", Node(word: offloads.rawValue))) }
    if let isEnabled { pairs.append(("enabled", Node(flag: isEnabled))) }
    if let hasAntiSpoofing { pairs.append(("anti-spoofing", Node(flag: hasAntiSpoofing))) }
    if let isAnnounced { pairs.append(("announce", Node(flag: isAnnounced))) }
    if let isIsolated { pairs.append(("isolated", Node(flag: isIsolated))) }
    if let tpid { pairs.append(("tpid", Node(text: tpid.text))) }
    if let linkProtocols { pairs.append(("l2-protocols", Node(word: linkProtocols.rawValue))) }
    if let hasBPDUGuard { pairs.append(("bpdu-guard", Node(flag: hasBPDUGuard))) }
    if let probesLoops { pairs.append(("loop-probe", Node(flag: probesLoops))) }
    if let macLimit { pairs.append(("mac-limit", Node(number: macLimit))) }
    pairs += Self.mapping("rate-limit", Self.mapping("ingress", ingress.pairs) + Self.mapping("egress", egress.pairs))
    pairs += Self.mapping("storm-control", storm.pairs)
    return pairs
  }

  /// A mapping under a key; nothing when it is empty.
  private static func mapping(_ key: String, _ pairs: [(String, Node)]) -> [(String, Node)] {
    pairs.isEmpty ? [] : [(key, Node(pairs.map { (Node(word: $0.0), $0.1) }, .implicit, .flow))]
  }
}

extension PortOptions.RateOptions {
  fileprivate var pairs: [(String, Node)] {
    [("bits", bits), ("packets", packets)].compactMap { key, value in value.map { (key, Node(number: $0)) } }
  }
}

extension PortOptions.StormOptions {
  fileprivate var pairs: [(String, Node)] {
    [("broadcast", broadcast), ("unknown-unicast", unknownUnicast), ("unknown-multicast", unknownMulticast)].compactMap {
      key, value in value.map { (key, Node(number: $0)) }
    }
  }
}
