// PortSettings+YAML: ports and profiles in the file's own format, by the table of PortFields. A port is written without the settings that it
// takes from its profile.

import VTEP
import VTEPControl

extension PortSettings {
  var node: YAMLNode {
    let fields = PortField.all.filter { $0.key.scope != .attachment || kind.takes($0.key.name) }
    return .block([("name", YAMLNode(text: name)), ("kind", YAMLNode(text: kind.rawValue))] + pairs(of: fields))
  }

  /// The keys that have a value of their own, with these values.
  ///
  /// - Parameter depth: of the mapping that they are for.
  fileprivate func pairs(of fields: [PortField], depth: Int = 0) -> [(String, YAMLNode)] {
    fields.byKey(at: depth).compactMap { name, fields in
      if let field = fields.first, field.key.path.count == depth + 1 { return field.own(self).map { (name, YAMLNode(setting: $0)) } }
      let inner = pairs(of: fields, depth: depth + 1)
      return inner.isEmpty ? nil : (name, .flow(inner))
    }
  }
}

extension PortOptions {
  /// A profile's keys.
  var node: YAMLNode {
    var settings = PortSettings(name: "", attachment: PortAttachment(.tap))
    settings.options = self
    return .block(settings.pairs(of: PortField.options))
  }
}

extension YAMLNode {
  /// On one line. Mappings are by VLAN.
  fileprivate init(setting: SettingValue) {
    switch setting {
    case .null: self.init(content: .scalar("null", isPlain: true))
    case .flag(let flag): self.init(flag: flag)
    case .number(let number): self.init(number: number)
    case .text(let text): self.init(text: text)
    case .list(let list): self = .flow(list.map { YAMLNode(setting: $0) })
    case .map(let map):
      let entries = map.compactMap { key, value in Int(key).map { ($0, YAMLNode(setting: value)) } }
      self = .flow(entries.sorted { $0.0 < $1.0 })
    }
  }
}
