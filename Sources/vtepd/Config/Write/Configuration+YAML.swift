// Configuration+YAML: writes a configuration in the file's own format, so that what `vtepctl config show` prints can be
// loaded again. It writes every key, including defaults: the output is the configuration in force.

import Encap
import MulticastLearn
import VTEP

extension Configuration {
  /// The equivalent configuration file.
  ///
  /// - Throws: as `YAMLNode.document()`.
  func yaml() throws(YAMLError) -> String { try node.document() }

  /// As a tree.
  var node: YAMLNode {
    var sections = [
      ("name", YAMLNode(text: name)),
      ("mode", YAMLNode(text: mode.rawValue)),
      ("run-dir", YAMLNode(text: runDirectory)),
      ("state-dir", YAMLNode(text: stateDirectory)),
      ("dataplane", dataplane.node),
      ("underlay", desired.underlay.node),
      ("protection", desired.protection.node),
      ("vnis", .block(desired.vnis.values.sorted { $0.vni < $1.vni }.map(\.node))),
    ]
    if !desired.acls.isEmpty { sections.append(("acls", .block(desired.acls.values.sorted { $0.name < $1.name }.map(\.node)))) }
    if !desired.profiles.isEmpty {
      let profiles = desired.profiles.sorted { $0.key < $1.key }
      sections.append(("profiles", .block(profiles.map { ($0.key, $0.value.node) })))
    }
    sections.append(("ports", .block(desired.ports.values.sorted { $0.name < $1.name }.map(\.node))))
    if !desired.routers.isEmpty {
      sections.append(("routers", .block(desired.routers.values.sorted { $0.name < $1.name }.map(\.node))))
    }
    if let ovsdb { sections.append(("ovsdb", ovsdb.node)) }
    if !metrics.isEmpty { sections.append(("metrics", metrics.node)) }
    return YAMLNode.block(sections)
  }
}

extension DataplaneSettings {
  fileprivate var node: YAMLNode {
    var pairs = [("workers", YAMLNode(number: workers))]
    if !cores.isEmpty { pairs.append(("cores", .flow(cores.map { YAMLNode(number: $0) }))) }
    if !ioCores.isEmpty { pairs.append(("io-cores", .flow(ioCores.map { YAMLNode(number: $0) }))) }
    pairs += [
      ("polling", YAMLNode(text: polling.rawValue)),
      ("hugepages", YAMLNode(text: hugepages.rawValue)),
      ("memory-mb", YAMLNode(number: memoryMiB)),
      ("mac-table-size", YAMLNode(number: macTableSize)),
    ]
    return .block(pairs)
  }
}

extension UnderlaySettings {
  fileprivate var node: YAMLNode {
    let ttlNode = if case .fixed(let value) = ttl { YAMLNode(number: value) } else { YAMLNode(text: "inherit") }
    let dscpNode = if case .fixed(let value) = dscp { YAMLNode(number: value) } else { YAMLNode(text: "inherit") }
    func names(_ names: [String]) -> YAMLNode { names.count == 1 ? YAMLNode(text: names[0]) : .flow(names.map { YAMLNode(text: $0) }) }
    var pairs: [(String, YAMLNode)] = [("addresses", .flow(addresses.map { YAMLNode(text: "\($0)") }))]
    if ownsNICs {
      pairs += [("dpdk", names(nics)), ("tap", names(devices)), ("offloads", YAMLNode(text: offloads.rawValue))]
    } else {
      pairs += [("device", names(devices)), ("driver", YAMLNode(text: driver.rawValue))]
    }
    pairs += [
      ("udp-port", YAMLNode(number: udpPort)),
      ("ttl", ttlNode),
      ("multicast-ttl", YAMLNode(number: multicastTTL)),
      ("dscp", dscpNode),
      ("pcp-to-dscp", .flow(priorities.dscpOfPCP.map { YAMLNode(number: $0) })),
      ("udp-checksum", YAMLNode(text: udpChecksum.rawValue)),
      ("udp6-zero-checksum-rx", YAMLNode(flag: acceptsZeroUDP6Checksum)),
      ("pmtu", YAMLNode(text: pmtu.rawValue)),
      ("ipsec-policy", YAMLNode(text: ipsecPolicy.rawValue)),
      ("bfd", bfd.node),
    ]
    if !priorities.pcpOfDSCP.isEmpty {
      let entries = priorities.pcpOfDSCP.sorted { $0.key < $1.key }
      pairs.append(("dscp-to-pcp", .flow(entries.map { ($0.key, YAMLNode(number: $0.value)) })))
    }
    return .block(pairs)
  }
}

extension VNISettings {
  var node: YAMLNode {
    var pairs = [("vni", YAMLNode(number: vni.rawValue))]
    switch flood {
    case .multicast(let group): pairs += [("flood", YAMLNode(text: "multicast")), ("group", YAMLNode(text: "\(group)"))]
    case .replicate(let peers):
      pairs += [("flood", YAMLNode(text: "replicate")), ("peers", .flow(peers.map { YAMLNode(text: "\($0)") }))]
    case .none: pairs.append(("flood", YAMLNode(text: "none")))
    }
    pairs += [
      ("learning", YAMLNode(flag: learning)),
      ("accept-from", YAMLNode(text: acceptFrom.rawValue)),
      ("inner-vlan", YAMLNode(text: innerVLAN.rawValue)),
      ("neighbor-suppression", YAMLNode(text: neighborSuppression.rawValue)),
      ("ageing-seconds", YAMLNode(number: ageingSeconds)),
      ("mac-limit", YAMLNode(number: macLimit)),
      ("storm-control", .flow(storm.named.map { ($0.key, YAMLNode(number: $0.limit)) })),
    ]
    if let macMoveAction {
      pairs.append(("mac-move", .flow([("action", YAMLNode(text: macMoveAction.rawValue))])))
    }
    let stations = Set(macs.keys).union(neighbors.values)
    if !stations.isEmpty {
      let entries = stations.sorted().map { mac in
        let addresses = neighbors.filter { $0.value == mac }.keys.sorted().map { YAMLNode(text: "\($0)") }
        let vtep = macs[mac].map { [("vtep", YAMLNode(text: "\($0)"))] } ?? []
        return YAMLNode.flow([("mac", YAMLNode(text: "\(mac)"))] + vtep + (addresses.isEmpty ? [] : [("ip", .flow(addresses))]))
      }
      pairs.append(("macs", .block(entries)))
    }
    return .block(pairs)
  }
}
