// ConfigurationLoader+Ports: one element of `ports:`.

import Encap
import VTEP
import Yams

extension ConfigurationLoader {
  /// Kinds that a later version brings.
  private static let laterKinds = ["vhost-user", "memif", "virtio-user", "dpdk"]

  /// - Returns: nil when the port cannot even be named.
  func readPort(_ node: Node, _ reader: ConfigurationReader) -> PortSettings? {
    guard var section = ConfigurationSection(node, title: "port", reader: reader) else { return nil }
    let name = section.required("name").flatMap { reader.text($0, "name") }
    let subject = DesiredState.Problem.Subject.port(name ?? "")
    if name != nil {
      reader.remember(section.position, subject)
      for key in ["name", "device", "vni", "vlans", "macs", "mtu"] {
        reader.remember(section.entry(key)?.value.position ?? section.position, subject, [key])
      }
    }
    let kindNode = section.required("kind")
    let kind = kindNode.flatMap { readKind($0, reader) }
    section.refuse(["socket", "role", "queues"])
    // A port of a later kind has no device; its refusal is enough.
    let isLaterKind = Self.laterKinds.contains(kindNode?.scalar?.string ?? "")
    let deviceNode = isLaterKind ? section.node("device") : section.required("device")
    let device = deviceNode.flatMap { reader.text($0, "device") }
    var settings = PortSettings(name: name ?? "", kind: kind ?? .tap, device: device ?? "")
    settings.vni = section.node("vni").flatMap { reader.vni($0, "vni") }
    if let vlans = section.node("vlans") { settings.vlans = readVLANs(vlans, reader, subject) }
    settings.macs = (section.list("macs") ?? []).compactMap { element in
      guard let mac = reader.macAddress(element, "a mac") else { return nil }
      reader.remember(element.position, subject, ["macs", "\(mac)"])
      return mac
    }
    if let macs = section.node("vlan-macs") { settings.vlanMACs = readVLANMACs(macs, reader, subject) }
    settings.mtu = section.integer("mtu", in: PortSettings.mtuRange)
    section.finish()
    return name == nil || device == nil || isLaterKind ? nil : settings
  }

  private func readKind(_ node: Node, _ reader: ConfigurationReader) -> PortSettings.Kind? {
    if let text = node.scalar?.string, Self.laterKinds.contains(text) {
      reader.report(node.position, "kind \(text) is not available in this version")
      return nil
    }
    return reader.choice(node, "kind", as: PortSettings.Kind.self)
  }

  private func readVLANMACs(
    _ node: Node, _ reader: ConfigurationReader, _ subject: DesiredState.Problem.Subject
  ) -> [UInt16: [MACAddress]] {
    guard let section = ConfigurationSection(node, title: "vlan-macs", reader: reader) else { return [:] }
    var macs: [UInt16: [MACAddress]] = [:]
    for entry in section.all {
      guard let vlan = UInt16(entry.key), (1...4094).contains(vlan), String(vlan) == entry.key else {
        reader.report(entry.position, "a VLAN identifier must be a whole number from 1 to 4094, not '\(entry.key)'")
        continue
      }
      reader.remember(entry.position, subject, ["vlan-macs", entry.key])
      macs[vlan] = (reader.list(entry.value, "the macs of VLAN \(vlan)") ?? []).compactMap { reader.macAddress($0, "a mac") }
    }
    return macs
  }

  private func readVLANs(_ node: Node, _ reader: ConfigurationReader, _ subject: DesiredState.Problem.Subject) -> [UInt16: VNI] {
    guard let section = ConfigurationSection(node, title: "vlans", reader: reader) else { return [:] }
    var vlans: [UInt16: VNI] = [:]
    for entry in section.all {
      let vni = reader.vni(entry.value, "the VNI of VLAN \(entry.key)")
      guard let vlan = UInt16(entry.key), (1...4094).contains(vlan), String(vlan) == entry.key else {
        reader.report(entry.position, "a VLAN identifier must be a whole number from 1 to 4094, not '\(entry.key)'")
        continue
      }
      reader.remember(entry.position, subject, ["vlans", entry.key])
      reader.remember(entry.value.position, subject, ["vlans", entry.key, "vni"])
      guard let vni else { continue }
      if vlans.updateValue(vni, forKey: vlan) != nil {
        reader.report(entry.position, "VLAN \(vlan) is given twice")
      }
    }
    return vlans
  }
}
