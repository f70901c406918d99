// ConfigurationLoader+Ports: one element of `ports:`.

import Encap
import VTEP

extension ConfigurationLoader {
  /// - Returns: nil when the port cannot even be named.
  func readPort(_ node: YAMLNode, _ reader: ConfigurationReader) -> PortSettings? {
    guard var section = ConfigurationSection(node, title: "port", reader: reader) else { return nil }
    let name = section.required("name").flatMap { reader.text($0, "name") }
    let subject = DesiredState.Problem.Subject.port(name ?? "")
    if name != nil {
      reader.remember(section.position, subject)
      section.remember(["name", "profile", "macs"] + PortAttachment.Key.allCases.map(\.rawValue), of: subject)
    }
    let kind = section.required("kind").flatMap { reader.choice($0, "kind", as: PortKind.self) }
    let attachment = readAttachment(kind, &section, reader)
    var settings = PortSettings(name: name ?? "", attachment: attachment)
    settings.profile = section.text("profile")
    settings.options = readPortOptions(&section, subject)
    settings.macs = (section.list("macs") ?? []).compactMap { element in
      guard let mac = reader.macAddress(element, "a mac") else { return nil }
      reader.remember(element.position, subject, ["macs", "\(mac)"])
      return mac
    }
    if let macs = section.node("vlan-macs") { settings.vlanMACs = readVLANMACs(macs, reader, subject) }
    section.finish()
    return name == nil || kind == nil || attachment.place.isEmpty ? nil : settings
  }

  /// The keys that depend on the kind. All are read when there is none, so that none of them counts as unknown.
  private func readAttachment(
    _ kind: PortKind?, _ section: inout ConfigurationSection, _ reader: ConfigurationReader
  ) -> PortAttachment {
    var attachment = PortAttachment(kind ?? .tap)
    for key in PortAttachment.Key.allCases {
      let name = key.rawValue
      if let kind, kind.requiredKeys.contains(key) {
        guard section.required(name) != nil else { continue }
      } else if let kind, !kind.optionalKeys.contains(key) {
        if let entry = section.entry(name) {
          reader.report(entry.position, "port: a port of kind \(kind.rawValue) has no '\(name)'")
        }
        continue
      }
      switch key {
      case .device: attachment.device = section.text(name)
      case .socket: attachment.socket = section.text(name)
      case .devargs: attachment.devargs = section.text(name)
      case .role: attachment.role = section.choice(name, as: PortAttachment.Role.self) ?? attachment.role
      case .queues: attachment.queues = section.integer(name, in: PortAttachment.queueRange) ?? attachment.queues
      case .socketOwner: attachment.socketOwner = section.text(name)
      case .socketGroup: attachment.socketGroup = section.text(name)
      case .socketMode: attachment.socketMode = section.node(name).flatMap { reader.mode($0, name) }
      case .memifID: attachment.memifID = UInt32(section.integer(name, in: 0...Int(UInt32.max)) ?? 0)
      }
    }
    return attachment
  }

  private func readVLANMACs(
    _ node: YAMLNode, _ reader: ConfigurationReader, _ subject: DesiredState.Problem.Subject
  ) -> [UInt16: [MACAddress]] {
    guard let section = ConfigurationSection(node, title: "vlan-macs", reader: reader) else { return [:] }
    var macs: [UInt16: [MACAddress]] = [:]
    for entry in section.all {
      guard let vlan = reader.vlan(entry) else { continue }
      reader.remember(entry.position, subject, ["vlan-macs", entry.key])
      macs[vlan] = (reader.list(entry.value, "the macs of VLAN \(vlan)") ?? []).compactMap { reader.macAddress($0, "a mac") }
    }
    return macs
  }
}
