// ACLCommands: `vtepctl acl add|delete|bind|unbind` as edits of the desired state, and `vtepctl show acls`. An entry is read by the
// reader of the configuration file.

import Encap
import VTEP
import VTEPControl

extension Daemon {
  nonisolated func addACLCommands(to commands: inout ControlCommands) {
    commands.add(AddACL.self, change)
    commands.add(DeleteACL.self, change)
    commands.add(BindACL.self, change)
    commands.add(ShowACLs.self, handle)
  }

  func handle(_ request: ShowACLs) async throws(ControlError) -> [ACLRow] {
    let reports = try running().running.aclReports(name: request.name)
    if let name = request.name, reports.isEmpty { throw ControlError(.notFound, "there is no access control list '\(name)'") }
    return reports.map(ACLRow.init)
  }
}

extension ACLRow {
  init(_ report: ACLReport) {
    self.init(
      name: report.name, source: report.isController ? .ovsdb : .config,
      bindings: report.bindings.map { Binding(port: $0.port, vlan: $0.vlan) },
      routers: report.routers.map { RouterBinding(router: $0.router, vni: $0.vni.rawValue) },
      entries: report.entries.map { counted in
        let matches = counted.entry?.matches ?? []
        return Entry(
          sequence: counted.entry?.sequence, direction: counted.direction.rawValue, action: (counted.entry?.action ?? .permit).rawValue,
          matches: Dictionary(matches.map { ($0.key.rawValue, $0.text) }) { first, _ in first },
          text: counted.entry.map(\.matchText) ?? "no entry matches",
          packets: counted.packets, bytes: counted.bytes)
      })
  }
}

extension AddACL: DesiredStateEdit {
  func edit(_ state: inout DesiredState) throws(ControlError) {
    if state.acls[name] == nil, state.controller.acls[name] != nil {
      throw ControlError(.refused, "ACL '\(name)' belongs to the controller; choose another name")
    }
    var acl = state.acls[name] ?? ACLSettings(name: name)
    if let entry {
      let new = try read(entry, after: acl.entries.map(\.sequence).max() ?? 0)
      if let old = acl.entries.first(where: { $0.sequence == new.sequence && $0.direction == new.direction }) {
        guard old == new else {
          let which = "\(new.direction.rawValue) entry \(new.sequence)"
          throw ControlError(.refused, "ACL '\(name)' has another \(which): \(old.text); delete it first")
        }
      } else {
        acl.entries.append(new)
        acl.entries.sort { ($0.sequence, $0.direction.rawValue) < ($1.sequence, $1.direction.rawValue) }
      }
    }
    state.acls[name] = acl
  }

  /// - Throws: `invalidParameters` with everything that is wrong with the values.
  private func read(_ settings: [String: SettingValue], after previous: Int64) throws(ControlError) -> ACLEntry {
    let reader = ConfigurationReader()
    let mapping = YAMLMapping(settings.sorted { $0.key < $1.key }.map { ($0.key, YAMLNode($0.value)) })
    let entry = ConfigurationLoader(hostName: "").readACLEntry(YAMLNode(content: .mapping(mapping)), reader, .acl(name), after: previous)
    if let first = reader.problems.first {
      throw ControlError(.invalidParameters, "acl \(name): \(first.message)", details: reader.problems.dropFirst().map(\.message))
    }
    guard let entry else { throw ControlError(.invalidParameters, "acl \(name): the entry cannot be read") }
    return entry
  }
}

extension DeleteACL: DesiredStateEdit {
  func edit(_ state: inout DesiredState) throws(ControlError) {
    guard var acl = state.acls[name] else {
      if state.controller.acls[name] != nil { throw ControlError(.refused, "ACL '\(name)' belongs to the controller") }
      throw ControlError(.notFound, "there is no access control list '\(name)'")
    }
    let direction = try direction.converted { text throws(ControlError) in try ACLEntry.Direction(parameter: text, "direction") }
    guard sequence != nil || direction != nil else {
      let ports = state.ports.values.filter { $0.acl == name || $0.vlanACLs.values.contains(name) }.map(\.name).sorted()
      guard ports.isEmpty else {
        throw ControlError(.refused, "ACL '\(name)' is bound to: \(ports.joined(separator: ", ")); unbind it first (vtepctl acl unbind)")
      }
      let routers = state.routers.values.filter { $0.acls.values.contains(name) }.map(\.name).sorted()
      guard routers.isEmpty else {
        let names = routers.joined(separator: ", ")
        throw ControlError(.refused, "ACL '\(name)' is bound to interfaces of: \(names); take their acl out first (vtepctl config apply)")
      }
      state.acls[name] = nil
      return
    }
    let count = acl.entries.count
    acl.entries.removeAll { (sequence == nil || $0.sequence == sequence) && (direction == nil || $0.direction == direction) }
    guard acl.entries.count < count else {
      let which = [direction?.rawValue, sequence.map { "entry \($0)" } ?? "entries"].compactMap(\.self).joined(separator: " ")
      throw ControlError(.notFound, "ACL '\(name)' has no \(which)")
    }
    state.acls[name] = acl
  }
}

extension BindACL: DesiredStateEdit {
  func edit(_ state: inout DesiredState) throws(ControlError) {
    if let vlan, !(1...4094).contains(vlan) {
      throw ControlError(.invalidParameters, "vlan must be from 1 to 4094, not \(vlan); omit it for the whole port")
    }
    var settings = try state.existing(port: port)
    if let name, state.acls[name] == nil {
      if state.controller.acls[name] != nil { throw ControlError(.refused, "ACL '\(name)' belongs to the controller, which binds it") }
      throw ControlError(.notFound, "there is no access control list '\(name)'")
    }
    if let vlan {
      var lists = settings.vlanACLs
      guard name != nil || lists[vlan] != nil else {
        throw ControlError(.notFound, "VLAN \(vlan) of port \(port) has no access control list")
      }
      lists[vlan] = name
      settings.options.vlanACLs.own = lists.isEmpty ? nil : lists
    } else {
      guard name != nil || settings.acl != nil else { throw ControlError(.notFound, "port \(port) has no access control list") }
      settings.options.acl = name
      if name == nil, let profile = settings.profile, settings.acl != nil {
        throw ControlError(.refused, "port \(port) gets its access control list from profile \(profile); change the profile")
      }
    }
    state.ports[port] = settings
  }
}
