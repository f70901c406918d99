// Configuration+YAML: writes a configuration in the file's own format, so that what `vtepctl config show` prints can be
// loaded again. Every key is written, defaults too: the output says what is in force, not what was typed.

import Encap
import MulticastLearn
import VTEP
import Yams

extension Configuration {
  /// The configuration file that says the same.
  ///
  /// - Throws: what the YAML library reports; it has no reason to.
  func yaml() throws(YamlError) -> String {
    var sections = [
      ("name", Node(text: name)),
      ("mode", Node(text: mode.rawValue)),
      ("run-dir", Node(text: runDirectory)),
      ("state-dir", Node(text: stateDirectory)),
      ("dataplane", dataplane.node),
      ("underlay", desired.underlay.node),
      ("protection", desired.protection.node),
      ("vnis", Node(desired.vnis.values.sorted { $0.vni < $1.vni }.map(\.node), .implicit, .block)),
    ]
    if !desired.profiles.isEmpty {
      let profiles = desired.profiles.sorted { $0.key < $1.key }
      sections.append(("profiles", Node(profiles.map { (Node(text: $0.key), Node.block($0.value.pairs)) }, .implicit, .block)))
    }
    sections.append(("ports", Node(desired.ports.values.sorted { $0.name < $1.name }.map(\.node), .implicit, .block)))
    if let ovsdb { sections.append(("ovsdb", ovsdb.node)) }
    let file = Node.block(sections)
    do {
      return try serialize(node: file, width: -1, allowUnicode: true)
    } catch let error as YamlError {
      throw error
    } catch {
      throw .emitter(problem: "\(error)")
    }
  }
}

extension Node {
  /// Text that no YAML reader takes for something else.
  init(text: String) {
    let isPlain =
      !text.isEmpty
      && text.utf8.allSatisfy { character in
        switch character {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "/"), UInt8(ascii: "_"),
          UInt8(ascii: "-"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."):
          true
        default: false
        }
      }
    // Words such as "null" and numbers resolve to other types unless they are quoted.
    let isText = isPlain && Node(text).tag == Tag(.str)
    self.init(text, Tag(.str), isText ? .plain : .doubleQuoted)
  }

  init(number: some BinaryInteger) {
    self.init("\(number)", .implicit, .plain)
  }

  init(flag value: Bool) {
    self.init(value ? "true" : "false", .implicit, .plain)
  }

  /// A word of the file format, written as it is. YAML 1.1 readers take `on` and `off` for booleans; ours does not.
  init(word: String) {
    self.init(word, .implicit, .plain)
  }

  static func block(_ pairs: [(String, Node)]) -> Node {
    Node(pairs.map { (Node(word: $0.0), $0.1) }, .implicit, .block)
  }

  static func flow(_ elements: [Node]) -> Node {
    Node(elements, .implicit, .flow)
  }
}

extension DataplaneSettings {
  fileprivate var node: Node {
    var pairs = [("workers", Node(number: workers))]
    if !cores.isEmpty { pairs.append(("cores", .flow(cores.map { Node(number: $0) }))) }
    pairs += [
      ("polling", Node(word: polling.rawValue)),
      ("hugepages", Node(word: hugepages.rawValue)),
      ("memory-mb", Node(number: memoryMiB)),
      ("mac-table-size", Node(number: macTableSize)),
    ]
    return .block(pairs)
  }
}

extension UnderlaySettings {
  fileprivate var node: Node {
    let ttlNode = if case .fixed(let value) = ttl { Node(number: value) } else { Node(word: "inherit") }
    let dscpNode = if case .fixed(let value) = dscp { Node(number: value) } else { Node(word: "inherit") }
    var pairs: [(String, Node)] = [
      ("addresses", .flow(addresses.map { Node(text: "\($0)") })),
      ("device", devices.count == 1 ? Node(text: devices[0]) : .flow(devices.map { Node(text: $0) })),
      ("driver", Node(word: driver.rawValue)),
      ("udp-port", Node(number: udpPort)),
      ("ttl", ttlNode),
      ("multicast-ttl", Node(number: multicastTTL)),
      ("dscp", dscpNode),
      ("pcp-to-dscp", .flow(priorities.dscpOfPCP.map { Node(number: $0) })),
      ("udp-checksum", Node(word: udpChecksum.rawValue)),
      ("udp6-zero-checksum-rx", Node(flag: acceptsZeroUDP6Checksum)),
      ("ipsec-policy", Node(word: ipsecPolicy.rawValue)),
    ]
    if !priorities.pcpOfDSCP.isEmpty {
      let entries = priorities.pcpOfDSCP.sorted { $0.key < $1.key }.map { (Node(number: $0.key), Node(number: $0.value)) }
      pairs.append(("dscp-to-pcp", Node(entries, .implicit, .flow)))
    }
    return .block(pairs)
  }
}

extension VNISettings {
  fileprivate var node: Node {
    var pairs = [("vni", Node(number: vni.rawValue))]
    switch flood {
    case .multicast(let group): pairs += [("flood", Node(word: "multicast")), ("group", Node(text: "\(group)"))]
    case .replicate(let peers):
      pairs += [("flood", Node(word: "replicate")), ("peers", .flow(peers.map { Node(text: "\($0)") }))]
    case .none: pairs.append(("flood", Node(word: "none")))
    }
    pairs += [
      ("learning", Node(flag: learning)),
      ("accept-from", Node(word: acceptFrom.rawValue)),
      ("inner-vlan", Node(word: innerVLAN.rawValue)),
      ("ageing-seconds", Node(number: ageingSeconds)),
      ("mac-limit", Node(number: macLimit)),
      ("storm-control", Node(storm.named.map { (Node(word: $0.key), Node(number: $0.limit)) }, .implicit, .flow)),
    ]
    if let macMoveAction {
      pairs.append(("mac-move", Node([(Node(word: "action"), Node(word: macMoveAction.rawValue))], .implicit, .flow)))
    }
    if !macs.isEmpty {
      let entries = macs.sorted { $0.key < $1.key }.map { mac, vtep in
        Node([(Node(word: "mac"), Node(text: "\(mac)")), (Node(word: "vtep"), Node(text: "\(vtep)"))], .implicit, .flow)
      }
      pairs.append(("macs", Node(entries, .implicit, .block)))
    }
    return .block(pairs)
  }
}
