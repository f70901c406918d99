// Configuration+Changes: what a new configuration file changes, as an edit of the running state and as text for the operator.

import Encap
import VTEP
import VTEPControl

extension DesiredState {
  /// Applies the difference between two versions of the file to this (running) state. VNIs, ports and settings that are the same in both
  /// versions keep their running values, even if those came from vtepctl.
  ///
  /// - Parameter differing: `old.differingVNIs(in: new)`, from callers that need it more than once.
  /// - Throws: `refused` when the result is not valid.
  func merging(from old: DesiredState, to new: DesiredState, differing: Set<VNI>? = nil) throws(ControlError) -> DesiredState {
    var merged = self
    if old.underlay != new.underlay { merged.underlay = new.underlay }
    merged.hasController = new.hasController
    if old.protection != new.protection { merged.protection = new.protection }
    let differing = differing ?? old.differingVNIs(in: new)
    for vni in differing { merged.vnis[vni] = new.vnis[vni] }
    for name in Set(old.acls.keys).union(new.acls.keys) where old.acls[name] != new.acls[name] { merged.acls[name] = new.acls[name] }
    for name in Set(old.profiles.keys).union(new.profiles.keys) where old.profiles[name] != new.profiles[name] {
      merged.profiles[name] = new.profiles[name]
    }
    // Compares the ports' own settings: a port does not count as changed because its profile changed.
    for name in Set(old.ports.keys).union(new.ports.keys) where old.ports[name]?.own != new.ports[name]?.own {
      merged.ports[name] = new.ports[name]
    }
    for name in Set(old.routers.keys).union(new.routers.keys) where old.routers[name] != new.routers[name] {
      merged.routers[name] = new.routers[name]
    }
    merged.resolveProfiles()
    if let error = ControlError(merged.problems(since: self, differingVNIs: differing)) { throw error }
    return merged
  }

  /// One line for each object that differs.
  func changes(to new: DesiredState, differing: Set<VNI>? = nil) -> [String] {
    var lines = underlay == new.underlay ? [] : ["underlay changed"]
    if protection != new.protection { lines.append("protection changed") }
    for vni in (differing ?? differingVNIs(in: new)).sorted() {
      if let line = Self.change("vni \(vni)", vnis[vni], new.vnis[vni]) { lines.append(line) }
    }
    for name in Set(acls.keys).union(new.acls.keys).sorted() {
      if let line = Self.change("acl \(name)", acls[name], new.acls[name]) { lines.append(line) }
    }
    for name in Set(profiles.keys).union(new.profiles.keys).sorted() {
      if let line = Self.change("profile \(name)", profiles[name], new.profiles[name]) { lines.append(line) }
    }
    for name in Set(ports.keys).union(new.ports.keys).sorted() {
      if let line = Self.change("port \(name)", ports[name], new.ports[name]) { lines.append(line) }
    }
    for name in Set(routers.keys).union(new.routers.keys).sorted() {
      if let line = Self.change("router \(name)", routers[name], new.routers[name]) { lines.append(line) }
    }
    return lines
  }

  private static func change<Value: Equatable>(_ subject: String, _ old: Value?, _ new: Value?) -> String? {
    guard old != new else { return nil }
    if old == nil { return "\(subject) added" }
    return new == nil ? "\(subject) deleted" : "\(subject) changed"
  }
}

extension Configuration {
  /// One line for each part that differs and can be applied now.
  func changes(to new: Configuration, differing: Set<VNI>? = nil) -> [String] {
    desired.changes(to: new.desired, differing: differing) + (ovsdb == new.ovsdb ? [] : ["ovsdb changed"])
      + (metrics == new.metrics ? [] : ["metrics changed"])
  }

  /// What a new file would remove, for the log: a truncated file removes things, too. Nil: nothing.
  ///
  /// - Parameter isWhole: the file's last line ends with a newline.
  func loss(to new: Configuration, isWhole: Bool) -> String? {
    guard new != self else { return nil }
    func gone<Key: Hashable & Comparable, Value>(_ what: String, _ old: [Key: Value], _ new: [Key: Value]) -> String? {
      let names = old.keys.filter { new[$0] == nil }.sorted()
      guard !names.isEmpty else { return nil }
      let listed = names.prefix(5).map { "\($0)" }.joined(separator: ", ") + (names.count > 5 ? ", …" : "")
      return "\(names.count) of \(old.count) \(what) will be removed (\(listed))"
    }
    let losses = [
      gone("ports", desired.ports, new.desired.ports), gone("VNIs", desired.vnis, new.desired.vnis),
      gone("routers", desired.routers, new.desired.routers),
      gone("ACLs", desired.acls, new.desired.acls),
      ovsdb != nil && new.ovsdb == nil ? "the controller will be removed" : nil,
      isWhole ? nil : "the last line is incomplete, as in a file that is being written",
    ].compactMap(\.self)
    return losses.isEmpty ? nil : losses.joined(separator: ", ")
  }

  /// Keys whose new value takes effect only after a restart.
  func keysNeedingRestart(for new: Configuration) -> [String] {
    var keys: [String] = []
    if name != new.name { keys.append("name") }
    if mode != new.mode { keys.append("mode") }
    if runDirectory != new.runDirectory { keys.append("run-dir") }
    if stateDirectory != new.stateDirectory { keys.append("state-dir") }
    if dataplane != new.dataplane { keys.append("dataplane") }
    return keys
  }
}
