// ControlState+Verify: compares the records and the MAC table with what is to run, and repairs them: everything is settled again. Parts:
// +VerifyLists.

import Encap
import MACTable

extension ControlState {
  /// What differs from the running configuration. Call it when everything is settled.
  mutating func discrepancies() -> [Discrepancy] {
    portDiscrepancies() + domainDiscrepancies() + listDiscrepancies() + tableDiscrepancies()
  }

  private func portDiscrepancies() -> [Discrepancy] {
    var found: [Discrepancy] = []
    for settings in running.ports.values.sorted(by: { $0.name < $1.name }) {
      let subject = "port \(settings.name)"
      guard let record = ports[settings.name] else {
        found.append(Discrepancy(.dataPlane, subject, intended: "it exists", actual: "the data plane does not have it"))
        continue
      }
      let intended = Dictionary(settings.bindings.map { ($0.vlan, $0.vni) }) { first, _ in first }
      let actual = record.bound.compactMapValues { domains.vni(at: $0) }
      if intended != actual {
        found.append(Discrepancy(.dataPlane, subject, intended: Self.text(intended), actual: Self.text(actual)))
      }
      if record.device == nil, let fault = record.fault, fault.cause == .attachment, settings.wantsDevice {
        found.append(
          Discrepancy(.kernel, subject, intended: "attached to \(settings.attachment.place)", actual: fault.reason))
      }
    }
    for name in ports.keys.sorted() where running.ports[name] == nil {
      found.append(Discrepancy(.dataPlane, "port \(name)", intended: "it does not exist", actual: "the data plane has it"))
    }
    return found
  }

  private static func text(_ bindings: [UInt16: VNI]) -> String {
    bindings.isEmpty
      ? "no bindings"
      : bindings.sorted { $0.key < $1.key }.map { "\($0 == 0 ? "untagged" : "VLAN \($0)") in VNI \($1)" }.joined(separator: ", ")
  }

  private func domainDiscrepancies() -> [Discrepancy] {
    var found: [Discrepancy] = []
    for (vni, settings) in running.vnis.sorted(by: { $0.key < $1.key }) {
      guard let index = domains[vni].map({ Int($0.index) }), index < model.domains.count, model.domains[index].entry.isInUse,
        model.domains[index].entry.vni == vni
      else {
        found.append(Discrepancy(.dataPlane, "VNI \(vni)", intended: "it exists", actual: "the data plane does not have it"))
        continue
      }
      guard settings.logicalSwitch == nil else { continue }
      let missing = settings.flood.destinations.filter { address in
        // Nothing is flooded to what BFD has lost.
        guard !underlay.hasFailed(address) else { return false }
        guard let record = underlay.vteps[address] else { return !running.underlay.addresses.contains(address) }
        return !model.domains[index].flood.contains(record.index)
      }
      if !missing.isEmpty {
        let names = missing.map { "\($0)" }.joined(separator: ", ")
        found.append(Discrepancy(.dataPlane, "VNI \(vni)", intended: "floods to \(names)", actual: "it does not"))
      }
    }
    return found
  }

  /// Addresses of the operator and of the controller that the MAC table must have.
  private mutating func tableDiscrepancies() -> [Discrepancy] {
    let statics = staticEntries()
    let controlled = controller.addresses.flatMap { vni, addresses -> [MACKey] in
      guard let domain = domains[vni], running.vnis[vni]?.logicalSwitch != nil else { return [] }
      return addresses.keys.map { MACKey(domain: domain.index, mac: $0) }.filter { statics[$0] == nil }
    }
    let wrong = effects.write { table -> (statics: [MACKey], controlled: [MACKey]) in
      func look(_ key: MACKey) -> MACLookup { table.reader.lookup(key, hash: table.reader.hash(key)) }
      let missing = statics.filter { key, location in
        let found = look(key)
        return !found.isHit || found.type != .static || found.location != location
      }
      return (missing.map(\.key), controlled.filter { key in !look(key).isHit })
    }
    func name(_ key: MACKey) -> String { "address \(key.mac) in VNI \(domains.vni(at: key.domain).map { "\($0)" } ?? "?")" }
    return wrong.statics.map { Discrepancy(.dataPlane, name($0), intended: "a static entry", actual: "the MAC table has another or none") }
      + wrong.controlled.map {
        Discrepancy(.dataPlane, name($0), intended: "where the controller has it", actual: "the MAC table has no entry")
      }
  }

  // -- repair --------------------------------------------------------------------------------------------------------------

  /// Carries everything out again, as if all of it had just changed.
  mutating func settleAgain() {
    settle()
    restoreLists()
    installedStatics = [:]
    domains.forgetControllerEntries()
    // The next hops are requested again.
    underlay.wanted = []
    stale.routes = true
    stale.ports = true
    stale.routers = true
    stale.slowPath = true
    stale.memberships = true
    stale.controllerEntries = true
    stale.vnis = Set(running.vnis.keys)
    settle()
  }
}
