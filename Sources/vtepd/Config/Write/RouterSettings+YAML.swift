// RouterSettings+YAML: one element of `routers:`.

import Encap
import VTEP

extension RouterSettings {
  var node: YAMLNode {
    var pairs = [("name", YAMLNode(text: name))]
    if let mac { pairs.append(("mac", YAMLNode(text: "\(mac)"))) }
    let interfaces = interfaces.sorted { $0.key < $1.key }.map { vni, addresses in
      YAMLNode.flow(
        [("vni", YAMLNode(number: vni.rawValue)), ("addresses", .flow(addresses.map { YAMLNode(text: "\($0)") }))]
          + (acls[vni].map { [("acl", YAMLNode(text: $0))] } ?? []))
    }
    pairs.append(("interfaces", .block(interfaces)))
    if !routes.isEmpty {
      let routes = routes.sorted { ($0.key.address, $0.key.length) < ($1.key.address, $1.key.length) }
      pairs.append(
        ("routes", .block(routes.map { .flow([("prefix", YAMLNode(text: "\($0.key)")), ("via", YAMLNode(text: "\($0.value)"))]) })))
    }
    return .block(pairs)
  }
}
