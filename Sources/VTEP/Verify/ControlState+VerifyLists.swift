// ControlState+VerifyLists: compares access control lists, routers, BFD sessions and the neighbours that the file and the controller state
// with what is to run, and remakes them.

import Encap
import MACTable

extension ControlState {
  func listDiscrepancies() -> [Discrepancy] {
    aclDiscrepancies() + aclBindingDiscrepancies() + routerDiscrepancies() + bfdDiscrepancies() + neighborDiscrepancies()
  }

  // -- access control lists ----------------------------------------------------------------------------------------------

  private func aclDiscrepancies() -> [Discrepancy] {
    var found: [Discrepancy] = []
    func report(_ name: String, _ intended: String, _ actual: String) {
      found.append(Discrepancy(.dataPlane, "acl \(name)", intended: intended, actual: actual))
    }
    for (name, settings) in running.acls.sorted(by: { $0.key < $1.key }) {
      guard let record = acls[name] else {
        report(name, "it exists", "the data plane does not have it")
        continue
      }
      let index = Int(record.index)
      if record.settings != settings {
        report(name, "\(settings.entries.count) entries, as configured", "\(record.settings.entries.count) entries that differ")
      } else if index >= model.acls.count || model.acls[index] !== record.compiled {
        report(name, "workers have it", "they have another list in its place, or none")
      }
    }
    for name in acls.records.keys.sorted() where running.acls[name] == nil {
      report(name, "it does not exist", "the data plane has it")
    }
    return found
  }

  private func aclBindingDiscrepancies() -> [Discrepancy] {
    let names = Dictionary(acls.records.map { ($0.value.index, $0.key) }) { $1 }
    func text(_ index: ACLIndex) -> String { index == .absent ? "no access control list" : "acl \(names[index] ?? "of unknown name")" }
    return running.ports.values.sorted { $0.name < $1.name }.flatMap { settings -> [Discrepancy] in
      guard let record = ports[settings.name] else { return [] }
      let position = Int(record.index)
      let entry = model.policies[position].entry
      var found: [Discrepancy] = []
      func compare(_ place: String, _ intended: ACLIndex, _ actual: ACLIndex) {
        guard intended != actual else { return }
        found.append(Discrepancy(.dataPlane, "port \(settings.name)\(place)", intended: text(intended), actual: text(actual)))
      }
      let ofPort = aclIndex(settings.acl)
      compare("", ofPort, entry.acl)
      if !settings.vlanACLs.isEmpty || entry.vlanACLs != nil {
        for vlan in 1..<UInt16(4095) {
          let actual = entry.acl(vlan: vlan)
          // Without a list of its own a VLAN has the port's; which that is has been compared.
          let intended = settings.vlanACLs[vlan].map(aclIndex) ?? (actual == ofPort ? ofPort : entry.acl)
          compare(" vlan \(vlan)", intended, actual)
        }
      }
      func compareFilter(_ direction: String, _ intended: Bool, _ actual: Bool) {
        guard intended != actual else { return }
        let (lists, none) = ("access lists see \(direction) frames", "no access list sees \(direction) frames")
        found.append(
          Discrepancy(
            .dataPlane, "port \(settings.name)", intended: intended ? lists : none, actual: actual ? lists : none))
      }
      let lists = ([settings.acl].compactMap(\.self) + settings.vlanACLs.values).compactMap { running.acls[$0] }
      func hasEntries(_ direction: ACLEntry.Direction) -> Bool { lists.contains { $0.entries.contains { $0.direction == direction } } }
      let features = model.ports[position].features
      compareFilter("ingress", hasEntries(.ingress), entry.filtersIngress && features.contains(.isPoliced))
      compareFilter("egress", hasEntries(.egress), features.contains(.filtersEgress))
      return found
    }
  }

  // -- routers -----------------------------------------------------------------------------------------------------------

  private func routerDiscrepancies() -> [Discrepancy] {
    let model = routerModel()
    let intended = model.routers
    let actual = Dictionary(self.model.routing.routers.map { ($0.name, $0) }) { first, _ in first }
    var found: [Discrepancy] = []
    if !intended.isEmpty, model.requestMAC != self.model.routing.requestMAC {
      found.append(
        Discrepancy(
          .dataPlane, "routers", intended: "they ask from \(model.requestMAC)", actual: "they ask from \(self.model.routing.requestMAC)"))
    }
    for router in intended {
      let subject = "router \(router.name)"
      guard let other = actual[router.name] else {
        found.append(Discrepancy(.dataPlane, subject, intended: "it exists", actual: "the data plane does not have it"))
        continue
      }
      let texts = (Self.texts(router, domains), Self.texts(other, domains))
      guard texts.0 != texts.1 else { continue }
      found.append(
        Discrepancy(
          .dataPlane, subject, intended: texts.0.subtracting(texts.1).sorted().joined(separator: "; "),
          actual: texts.1.subtracting(texts.0).sorted().joined(separator: "; ")))
    }
    let names = Set(intended.map(\.name))
    for name in actual.keys.sorted() where !names.contains(name) {
      found.append(Discrepancy(.dataPlane, "router \(name)", intended: "it does not exist", actual: "the data plane has it"))
    }
    return found
  }

  /// All that makes up a router.
  private static func texts(_ router: RouterModel.Router, _ domains: DomainTable) -> Set<String> {
    func vni(_ interface: RouterModel.Interface) -> String { domains.vni(at: interface.domain).map { "\($0)" } ?? "?" }
    let interfaces = router.interfaces.map { interface in
      let list = interface.acl == .absent ? "" : ", with list \(interface.acl.rawValue)"
      let addresses = interface.addresses.map(\.description).sorted().joined(separator: ", ")
      return "in VNI \(vni(interface)): \(addresses), interface \(interface.index)\(list)"
    }
    let routes = router.routes.map { route in
      "\(route.prefix) via \(route.next) in VNI \(route.interface < router.interfaces.count ? vni(router.interfaces[route.interface]) : "?")"
    }
    return Set(interfaces + routes + ["MAC address \(router.mac)"])
  }

  // -- BFD ---------------------------------------------------------------------------------------------------------------

  private func bfdDiscrepancies() -> [Discrepancy] {
    let (intended, actual) = (wantedBFD(), effects.bfdSessions)
    return Set(intended.keys).union(actual.keys).sorted().compactMap { address in
      let subject = "BFD with VTEP \(address)"
      guard let target = intended[address] else {
        return Discrepancy(.dataPlane, subject, intended: "no session", actual: "there is one")
      }
      guard let session = actual[address] else {
        return Discrepancy(.dataPlane, subject, intended: "a session", actual: "there is none")
      }
      guard session == target else {
        return Discrepancy(.dataPlane, subject, intended: "timers and form as configured", actual: "the session has others")
      }
      let index = Int(target.vtep)
      guard index < model.vteps.count, model.vteps[index].entry.hasBFD else {
        return Discrepancy(.dataPlane, subject, intended: "workers pass its frames on", actual: "they drop them")
      }
      return nil
    }
  }

  // -- neighbours --------------------------------------------------------------------------------------------------------

  private func neighborDiscrepancies() -> [Discrepancy] {
    neighborDifferences().compactMap { difference in
      guard let vni = domains.vni(at: difference.key.domain) else { return nil }
      func text(_ mac: MACAddress) -> String { mac.isZero ? "none" : "\(mac)" }
      return Discrepancy(
        .dataPlane, "neighbour \(difference.key.address) in VNI \(vni)",
        intended: "\(text(difference.intended)) by the \(difference.source == .file ? "file" : "controller")",
        actual: text(difference.actual))
    }
  }

  /// Where the neighbour table differs from what the file and the controller state.
  private func neighborDifferences() -> [NeighborDifference] {
    var stated = (file: [InnerNeighborKey: MACAddress](), controller: [InnerNeighborKey: MACAddress]())
    for (vni, settings) in running.vnis {
      guard let domain = domains[vni] else { continue }
      for (address, mac) in settings.neighbors { stated.file[InnerNeighborKey(domain: domain.index, address: address)] = mac }
      guard settings.logicalSwitch != nil else { continue }
      for neighbor in controller.neighbors(of: vni) {
        stated.controller[InnerNeighborKey(domain: domain.index, address: neighbor.address)] = controller.owners(of: neighbor).min()
      }
    }
    return effects.neighborTable?.differences(file: stated.file, controller: stated.controller) ?? []
  }

  // -- repair ------------------------------------------------------------------------------------------------------------

  /// Remakes lists, BFD sessions and stated neighbours; what depends on them follows with the next `settle`.
  mutating func restoreLists() {
    var table = acls
    let failures = table.update(to: running.acls)
    for (name, reason) in failures.sorted(by: { $0.key < $1.key }) { effects.log.error("acl \(name): \(reason)") }
    adoptACLs(table, isChanged: true)
    bfdTargets = [:]
    for index in model.vteps.indices { model.vteps[index].entry.hasBFD = false }
    updateBFD(isForced: true)
    for difference in neighborDifferences() {
      effects.neighborTable?.state(
        difference.key, mac: difference.intended.isZero ? nil : difference.intended, by: difference.source,
        isAmbiguous: difference.source == .controller && isAmbiguous(difference.key))
    }
  }

  private func isAmbiguous(_ key: InnerNeighborKey) -> Bool {
    domains.vni(at: key.domain).map { controller.owners(of: ControllerStore.Neighbor(vni: $0, address: key.address)).count > 1 } ?? false
  }
}
