// ConfigurationLoader+PortOptions: `profiles:`, and keys of ports and profiles by the table of PortFields.

import VTEP
import VTEPControl

extension ConfigurationLoader {
  /// `profiles:`, a mapping of names to settings.
  func readProfiles(_ node: YAMLNode, _ reader: ConfigurationReader) -> [String: PortOptions] {
    guard let section = ConfigurationSection(node, title: "profiles", reader: reader) else { return [:] }
    var profiles: [String: PortOptions] = [:]
    for entry in section.all {
      // An unreadable profile still exists, so that the ports that name it are not reported as well.
      profiles[entry.key] = PortOptions()
      let subject = DesiredState.Problem.Subject.profile(entry.key)
      reader.remember(entry.position, subject)
      guard var keys = ConfigurationSection(entry.value, title: "profile \(entry.key)", reader: reader) else { continue }
      // Only its options are used.
      var settings = PortSettings(name: entry.key, attachment: PortAttachment(.tap))
      read(PortField.options, &keys, subject, into: &settings)
      keys.finish()
      profiles[entry.key] = settings.options
    }
    return profiles
  }

  /// Reads the given keys, and those inside them.
  ///
  /// - Parameter depth: of the section.
  func read(
    _ fields: [PortField], _ section: inout ConfigurationSection, _ subject: DesiredState.Problem.Subject,
    into settings: inout PortSettings, depth: Int = 0
  ) {
    let keys = fields.byKey(at: depth)
    if depth == 0 { section.remember(keys.map(\.name), of: subject) }
    for (name, fields) in keys {
      if let field = fields.first, field.key.path.count == depth + 1 {
        guard let node = section.node(name) else { continue }
        field.read(ConfigurationReader.Value(node: node, name: name, subject: subject, reader: section.reader), &settings)
      } else if var inner = section.section(name) {
        read(fields, &inner, subject, into: &settings, depth: depth + 1)
        inner.finish()
      }
    }
  }
}
