// Configuration+Changes: what a new configuration file changes: applied to the running state, told to the operator.

import Encap
import VTEP
import VTEPControl

extension DesiredState {
  /// This (running) state with what differs between two versions of the file. VNIs, ports and settings that both versions
  /// have alike stay as they run, whoever made them.
  ///
  /// - Parameter differing: `old.differingVNIs(in: new)`, from callers that need it more than once.
  /// - Throws: `refused` when the outcome contradicts itself.
  func merging(from old: DesiredState, to new: DesiredState, differing: Set<VNI>? = nil) throws(ControlError) -> DesiredState {
    var merged = self
    if old.underlay != new.underlay { merged.underlay = new.underlay }
    merged.hasController = new.hasController
    if old.protection != new.protection { merged.protection = new.protection }
    let differing = differing ?? old.differingVNIs(in: new)
    for vni in differing { merged.vnis[vni] = new.vnis[vni] }
    for name in Set(old.profiles.keys).union(new.profiles.keys) where old.profiles[name] != new.profiles[name] {
      merged.profiles[name] = new.profiles[name]
    }
    // A port whose profile alone has changed is as it was: vtepctl may have changed it since.
    for name in Set(old.ports.keys).union(new.ports.keys) where old.ports[name]?.own != new.ports[name]?.own {
      merged.ports[name] = new.ports[name]
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
    for name in Set(profiles.keys).union(new.profiles.keys).sorted() {
      if let line = Self.change("profile \(name)", profiles[name], new.profiles[name]) { lines.append(line) }
    }
    for name in Set(ports.keys).union(new.ports.keys).sorted() {
      if let line = Self.change("port \(name)", ports[name], new.ports[name]) { lines.append(line) }
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
  }

  /// What a new file takes away, in words: one that is cut off does so, too. Nil: nothing.
  ///
  /// - Parameter isWhole: the file's last line has its end.
  func loss(to new: Configuration, isWhole: Bool) -> String? {
    guard new != self else { return nil }
    func gone<Key: Hashable & Comparable, Value>(_ what: String, _ old: [Key: Value], _ new: [Key: Value]) -> String? {
      let names = old.keys.filter { new[$0] == nil }.sorted()
      guard !names.isEmpty else { return nil }
      let listed = names.prefix(5).map { "\($0)" }.joined(separator: ", ") + (names.count > 5 ? ", …" : "")
      return "\(names.count) of \(old.count) \(what) go (\(listed))"
    }
    let losses = [
      gone("ports", desired.ports, new.desired.ports), gone("VNIs", desired.vnis, new.desired.vnis),
      ovsdb != nil && new.ovsdb == nil ? "the controller goes" : nil,
      isWhole ? nil : "the last line has no end, as in a file that is being written",
    ].compactMap(\.self)
    return losses.isEmpty ? nil : losses.joined(separator: ", ")
  }

  /// Keys whose new value takes effect with the next start only.
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
