// ConfigurationLoader+Ports: one element of `ports:`.

import VTEP
import VTEPControl

extension ConfigurationLoader {
  /// - Returns: nil without a valid name, kind and place to attach it to.
  func readPort(_ node: YAMLNode, _ reader: ConfigurationReader) -> PortSettings? {
    guard var section = ConfigurationSection(node, title: "port", reader: reader) else { return nil }
    let name = section.required("name").flatMap { reader.text($0, "name") }
    let subject = DesiredState.Problem.Subject.port(name ?? "")
    if name != nil {
      reader.remember(section.position, subject)
      section.remember(["name"], of: subject)
    }
    let kind = section.required("kind").flatMap { reader.choice($0, "kind", as: PortKind.self) }
    var settings = PortSettings(name: name ?? "", attachment: PortAttachment(kind ?? .tap))
    read(fields(of: kind, &section), &section, subject, into: &settings)
    section.finish()
    return name == nil || kind == nil || settings.attachment.place.isEmpty ? nil : settings
  }

  /// The keys that a port of a kind takes. Reports those that it lacks, and those that other kinds take; without a kind, all are read, so
  /// that none of them counts as unknown.
  private func fields(of kind: PortKind?, _ section: inout ConfigurationSection) -> [PortField] {
    guard let kind else { return PortField.all }
    return PortField.all.filter { field in
      guard field.key.scope == .attachment else { return true }
      let name = field.key.name
      if kind.requires(name) { return section.required(name) != nil }
      if kind.takes(name) { return true }
      if let entry = section.entry(name) {
        section.reader.report(entry.position, "port: a port of kind \(kind.rawValue) has no '\(name)'")
      }
      return false
    }
  }
}

extension PortKind {
  fileprivate func requires(_ name: String) -> Bool { requiredKeys.contains { $0.rawValue == name } }

  /// Whether a port of this kind may have a key of attachments.
  func takes(_ name: String) -> Bool { requires(name) || optionalKeys.contains { $0.rawValue == name } }
}
