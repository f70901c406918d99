// ACLSettings+YAML: access control lists in the file's own format, an entry to a line.

import VTEP

extension ACLSettings {
  var node: YAMLNode { .block([("name", YAMLNode(text: name)), ("entries", .block(entries.map(\.node)))]) }
}

extension ACLEntry {
  fileprivate var node: YAMLNode {
    .flow(
      [
        (Key.sequence.rawValue, YAMLNode(number: sequence)), (Key.direction.rawValue, YAMLNode(text: direction.rawValue)),
        (Key.action.rawValue, YAMLNode(text: action.rawValue)),
      ] + matches.map { ($0.key.rawValue, YAMLNode(text: $0.text)) })
  }
}
