// ConfigurationLoader+Routers: one element of `routers:`.

import Encap
import VTEP

extension ConfigurationLoader {
  func readRouters(_ nodes: [YAMLNode], _ reader: ConfigurationReader) -> [String: RouterSettings] {
    var routers: [String: RouterSettings] = [:]
    for node in nodes {
      guard let settings = readRouter(node, reader) else { continue }
      if routers.updateValue(settings, forKey: settings.name) != nil {
        reader.report(DesiredState.Problem(.router(settings.name), ["name"], "router name '\(settings.name)' is given twice"))
      }
    }
    return routers
  }

  /// - Returns: nil if the router's name cannot be read.
  private func readRouter(_ node: YAMLNode, _ reader: ConfigurationReader) -> RouterSettings? {
    guard var section = ConfigurationSection(node, title: "router", reader: reader) else { return nil }
    // Reads the other keys even without a name, to report their problems, too.
    let name = section.required("name").flatMap { reader.text($0, "name") }
    let subject = DesiredState.Problem.Subject.router(name ?? "")
    if name != nil {
      reader.remember(section.position, subject)
      section.remember(["name", "mac", "interfaces", "routes"], of: subject)
    }
    var settings = RouterSettings(name: name ?? "")
    settings.mac = section.node("mac").flatMap { reader.macAddress($0, "mac") }
    for element in section.list("interfaces") ?? [] {
      guard let (vni, addresses, acl) = readInterface(element, reader, subject) else { continue }
      settings.acls[vni] = acl
      if settings.interfaces.updateValue(addresses, forKey: vni) != nil {
        reader.report(DesiredState.Problem(subject, ["interfaces", "\(vni)"], "the interface in VNI \(vni) is given twice"))
      }
    }
    for element in section.list("routes") ?? [] {
      guard let (prefix, next) = readRoute(element, reader, subject) else { continue }
      if settings.routes.updateValue(next, forKey: prefix) != nil {
        reader.report(DesiredState.Problem(subject, ["routes", "\(prefix)"], "the route to \(prefix) is given twice"))
      }
    }
    section.finish()
    return name == nil ? nil : settings
  }

  private func readInterface(
    _ node: YAMLNode, _ reader: ConfigurationReader, _ subject: DesiredState.Problem.Subject
  ) -> (vni: VNI, addresses: [RouterAddress], acl: String?)? {
    guard var section = ConfigurationSection(node, title: "router interface", reader: reader) else { return nil }
    let vni = section.required("vni").flatMap { reader.vni($0, "vni") }
    if let vni { reader.remember(section.position, subject, ["interfaces", "\(vni)"]) }
    let aclNode = section.node("acl")
    let acl = aclNode.flatMap { reader.text($0, "acl") }
    if let vni, let aclNode { reader.remember(aclNode.position, subject, ["interfaces", "\(vni)", "acl"]) }
    let nodes = section.required("addresses").flatMap { reader.list($0, "addresses") } ?? []
    section.finish()
    let addresses = nodes.compactMap { node -> RouterAddress? in
      guard let text = node.text, let address = RouterAddress(text) else {
        reader.report(
          node.position,
          "an address of a router must have a prefix length, like 192.0.2.1/24 or 2001:db8::1/64, not \(node.shortDescription)")
        return nil
      }
      if let vni { reader.remember(node.position, subject, ["interfaces", "\(vni)", "\(address)"]) }
      return address
    }
    // A problem of its addresses has been reported.
    guard let vni, addresses.count == nodes.count else { return nil }
    return (vni, addresses, acl)
  }

  private func readRoute(
    _ node: YAMLNode, _ reader: ConfigurationReader, _ subject: DesiredState.Problem.Subject
  ) -> (IPPrefix, IPAddress)? {
    guard var section = ConfigurationSection(node, title: "route", reader: reader) else { return nil }
    let prefixNode = section.required("prefix")
    let next = section.required("via").flatMap { reader.address($0, "via") }
    section.finish()
    guard let prefixNode else { return nil }
    guard let text = prefixNode.text, let prefix = IPPrefix(text) else {
      reader.report(
        prefixNode.position, "prefix must be a prefix like 198.51.100.0/24 or 2001:db8::/32, not \(prefixNode.shortDescription)")
      return nil
    }
    reader.remember(prefixNode.position, subject, ["routes", "\(prefix)"])
    return next.map { (prefix, $0) }
  }
}
