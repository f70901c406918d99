// ConfigurationLoader+ACLs: one element of `acls:`, and of its entries, which `vtepctl acl add` gives in the same form.

import Encap
import VTEP

extension ConfigurationLoader {
  /// - Returns: nil without a valid name.
  func readACL(_ node: YAMLNode, _ reader: ConfigurationReader) -> ACLSettings? {
    guard var section = ConfigurationSection(node, title: "ACL", reader: reader) else { return nil }
    let name = section.required("name").flatMap { reader.text($0, "name") }
    let subject = DesiredState.Problem.Subject.acl(name ?? "")
    if name != nil {
      reader.remember(section.position, subject)
      section.remember(["name", "entries"], of: subject)
    }
    var settings = ACLSettings(name: name ?? "")
    var sequence: Int64 = 0
    for element in section.list("entries") ?? [] {
      guard let entry = readACLEntry(element, reader, subject, after: sequence) else { continue }
      settings.entries.append(entry)
      sequence = entry.sequence
    }
    section.finish()
    return name == nil ? nil : settings
  }

  /// - Parameter after: sequence of the entry before; without a sequence, this one's is 10 higher.
  /// - Returns: nil if something is wrong, which is reported.
  func readACLEntry(
    _ node: YAMLNode, _ reader: ConfigurationReader, _ subject: DesiredState.Problem.Subject, after previous: Int64 = 0
  ) -> ACLEntry? {
    guard var section = ConfigurationSection(node, title: "ACL entry", reader: reader) else { return nil }
    let before = reader.problems.count
    let sequence = section.node("sequence").flatMap { reader.integer($0, "sequence", in: 0...Int(UInt32.max)) }
    let direction = section.required("direction").flatMap { reader.choice($0, "direction", as: ACLEntry.Direction.self) }
    let action = section.required("action").flatMap { reader.choice($0, "action", as: ACLEntry.Action.self) }
    var entry = ACLEntry(
      sequence: sequence.map(Int64.init) ?? previous + 10, direction: direction ?? .ingress, action: action ?? .deny)
    for key in ACLEntry.Key.matches {
      guard let node = section.node(key.rawValue) else { continue }
      if let text = node.text, !node.isNull, entry.set(key, text) { continue }
      reader.report(node.position, "\(key.rawValue) must be \(key.form), not \(node.shortDescription)")
    }
    section.finish()
    reader.remember(section.position, subject, entry.path)
    for key in ACLEntry.Key.allCases {
      if let value = section.entry(key.rawValue)?.value { reader.remember(value.position, subject, entry.path + [key.rawValue]) }
    }
    return reader.problems.count == before ? entry : nil
  }
}
