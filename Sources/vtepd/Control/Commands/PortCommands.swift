// PortCommands: `vtepctl port add|set|prepare|delete`. The first two are edits of the desired state: a command's keys are merged over those
// that the configuration file would have for the port, and read by the file's reader: every key of the file is a key of the command.

import Encap
import VTEP
import VTEPControl

extension Daemon {
  nonisolated func addPortCommands(to commands: inout ControlCommands) {
    commands.add(AddPort.self, handle)
    commands.add(SetPort.self, handle)
    commands.add(PreparePort.self, handle)
    commands.add(DeletePort.self, change)
  }

  func handle(_ request: AddPort) async throws(ControlError) -> ChangeAnswer {
    // The file may name an interface that appears later; a command must name an existing one.
    if case .text(let kind)? = request.settings["kind"], PortKind(rawValue: kind)?.awaitsInterface == true,
      case .text(let device)? = request.settings["device"], !(await (try running()).interfaceExists(device))
    {
      throw ControlError(.refused, "port \(request.name): there is no interface '\(device)'")
    }
    return try await change(request)
  }

  func handle(_ request: SetPort) async throws(ControlError) -> ChangeAnswer {
    var answer = try await change(request)
    // Enabling a port reopens it at once, even if a guard shut it.
    if request.settings["enabled"] == .flag(true), await (try running()).release(port: request.name) { answer.changed = true }
    return answer
  }

  func handle(_ request: PreparePort) async throws(ControlError) -> ChangeAnswer {
    let reconciler = try running()
    let vni = try VNI(parameter: request.vni)
    var vteps: [IPAddress] = []
    for text in request.vteps { vteps.append(try IPAddress(parameter: text, "vtep")) }
    guard (1...86400).contains(request.seconds) else {
      throw ControlError(.invalidParameters, "seconds must be from 1 to 86400, not \(request.seconds)")
    }
    do {
      return ChangeAnswer(changed: try await reconciler.prepare(vni: vni, vteps: vteps, seconds: request.seconds))
    } catch {
      throw Self.refusal(error)
    }
  }
}

extension AddPort: DesiredStateEdit {
  func edit(_ state: inout DesiredState) throws(ControlError) {
    guard let old = state.ports[name] else {
      state.ports[name] = try PortSettings(name: name, settings, replacing: nil)
      return
    }
    let exists = ControlError(.refused, "port \(name) exists already, as \(old.kind.rawValue) \(old.attachment.place)")
    // The keys of another kind would only conflict with the existing ones.
    if case .text(let kind)? = settings["kind"], PortKind(rawValue: kind) != nil, kind != old.kind.rawValue { throw exists }
    let new = try PortSettings(name: name, settings, replacing: old)
    guard old.attachment == new.attachment else { throw exists }
    try new.checkOffloads(against: old)
    if let key = new.firstDifference(from: old) {
      throw ControlError(.refused, "port \(name) exists: use port set to change its \(key)")
    }
  }
}

extension SetPort: DesiredStateEdit {
  func edit(_ state: inout DesiredState) throws(ControlError) {
    let old = try state.existing(port: name)
    if case .text(let kind)? = settings["kind"], kind != old.kind.rawValue {
      throw ControlError(fixed: "kind", port: name)
    }
    let new = try PortSettings(name: name, settings, replacing: old)
    if let key = new.attachmentDifference(from: old) {
      throw ControlError(fixed: key, port: name)
    }
    try new.checkOffloads(against: old)
    state.ports[name] = new
  }
}

extension DeletePort: DesiredStateEdit {
  func edit(_ state: inout DesiredState) throws(ControlError) {
    _ = try state.existing(port: name)
    state.ports[name] = nil
  }
}

extension ControlError {
  /// A setting that cannot change while the port exists.
  fileprivate init(fixed key: String, port name: String) {
    self.init(.refused, "port \(name): \(key) cannot change while the port exists; delete the port and add it again")
  }
}

extension PortSettings {
  /// The key of the attachment in which the two differ; nil: none.
  fileprivate func attachmentDifference(from old: PortSettings) -> String? {
    PortField.attachments.first { $0.own(self) != $0.own(old) }?.key.name
  }

  /// The key of the configuration file in which the two differ, among those that can change; nil: they do not.
  fileprivate func firstDifference(from old: PortSettings) -> String? {
    let (new, old) = (node.mapping ?? YAMLMapping(), old.node.mapping ?? YAMLMapping())
    return (new.pairs + old.pairs).compactMap(\.key.text).filter { new[$0] != old[$0] }.min()
  }

  /// - Throws: `refused` when the guest's driver has negotiated other offloads with the device.
  fileprivate func checkOffloads(against old: PortSettings) throws(ControlError) {
    guard kind != .vhostUser || self.offloads == old.offloads else {
      throw ControlError(fixed: "offloads", port: name)
    }
  }

  /// - Throws: `invalidParameters` with everything that is wrong with the values.
  fileprivate init(name: String, _ settings: [String: SettingValue], replacing old: PortSettings?) throws(ControlError) {
    let reader = ConfigurationReader()
    var keys = old?.node.mapping ?? YAMLMapping()
    // The command's name overrides the settings.
    keys.lay(settings.filter { $0.key != "name" })
    keys["name"] = YAMLNode(text: name)
    let read = ConfigurationLoader(hostName: "").readPort(YAMLNode(content: .mapping(keys)), reader)
    if let first = reader.problems.first {
      throw ControlError(.invalidParameters, "port \(name): \(first.message)", details: reader.problems.dropFirst().map(\.message))
    }
    guard let read else { throw ControlError(.invalidParameters, "port \(name) cannot be read") }
    self = read
  }
}

extension YAMLMapping {
  /// Replaces existing keys with the given ones; within the limits, key by key.
  fileprivate mutating func lay(_ settings: [String: SettingValue]) {
    for (key, value) in settings.sorted(by: { $0.key < $1.key }) {
      switch value {
      case .null: self[key] = nil
      case .map(let inner) where PortKey.groups.contains(key):
        var mapping = self[key]?.mapping ?? YAMLMapping()
        mapping.lay(inner)
        self[key] = YAMLNode(content: .mapping(mapping))
      default: self[key] = YAMLNode(value)
      }
    }
  }
}

extension YAMLNode {
  init(_ value: SettingValue) {
    switch value {
    case .null: self.init(content: .scalar("null", isPlain: true))
    case .flag(let flag): self.init(flag: flag)
    case .number(let number): self.init(number: number)
    // The value was given as text, whatever it looks like.
    case .text(let text): self.init(content: .scalar(text, isPlain: false))
    case .list(let list): self.init(content: .sequence(list.map { YAMLNode($0) }))
    case .map(let map): self.init(content: .mapping(YAMLMapping(map.map { ($0.key, YAMLNode($0.value)) })))
    }
  }
}
