// LayerReader+Routers: Logical_Router and Arp_Sources_Remote (vtep(5)). Everything in them is text that nobody has checked: what cannot be
// read is reported with the router that it belongs to (`LR_fault_status`), and the rest is carried out.

import Encap
import OVSDBClient
import VTEP

extension LayerReader {
  /// Routers that join a logical switch of ours; of a database with one switch, all.
  ///
  /// - Parameter bound: the logical switches that our ports are bound to.
  mutating func readRouters(bound: Set<RowID>) {
    let isAlone = replica.rows(HardwareVTEP.Table.physicalSwitch.rawValue).count == 1
    let rows = replica.all(HardwareVTEP.LogicalRouter.self, in: .logicalRouter).values.sorted { $0.id < $1.id }
    for row in rows {
      for id in row.switchBinding.values { if let vni = vnis[id] { layer.routedVNIs.insert(vni) } }
      if isAlone || row.joins(bound) { read(row) }
    }
    if !rows.isEmpty { readARPSources() }
  }

  private mutating func read(_ row: HardwareVTEP.LogicalRouter) {
    // Also of a router without faults: those of an earlier state are cleared.
    faults.ofRouters[row.name, default: []].formUnion([])
    var router = RouterSettings(name: row.name)
    var lacksKey = false
    for (text, id) in row.switchBinding.sorted(by: { $0.key < $1.key }) {
      guard let address = RouterAddress(database: text) else {
        faults.report(router: row.name, "switch_binding: '\(text)' is not an address with a prefix length")
        continue
      }
      guard let vni = vnis[id] else {
        // Many controllers bind first and set the key later.
        lacksKey = true
        let name = replica.one(HardwareVTEP.LogicalSwitch.self, in: .logicalSwitch, id)?.name
        faults.report(
          router: row.name,
          "switch_binding: \(text): \(name.map { "logical switch '\($0)' has no tunnel_key" } ?? "there is no logical switch \(id)")")
        continue
      }
      if router.interfaces[vni]?.contains(address) != true { router.interfaces[vni, default: []].append(address) }
    }
    for (text, next) in row.staticRoutes.sorted(by: { $0.key < $1.key }) {
      guard let prefix = IPPrefix(database: text), let next = IPAddress(database: next) else {
        faults.report(router: row.name, "static_routes: '\(text)' to '\(next)' is not a prefix and an address")
        continue
      }
      // Two spellings of one prefix: the first one counts.
      if let other = router.routes.updateValue(next, forKey: prefix), other != next {
        router.routes[prefix] = other
        faults.report(router: row.name, "static_routes: \(prefix) has two next hops; using \(other)")
      }
      // Its interface may be about to come.
      if lacksKey, !router.leadsTo(next) { router.routes[prefix] = nil }
    }
    readACLs(row, &router)
    layer.routers[row.name] = router
  }

  /// Access lists of interfaces, which are named by one of their addresses, spelled somehow, with a prefix length or without.
  private mutating func readACLs(_ row: HardwareVTEP.LogicalRouter, _ router: inout RouterSettings) {
    func address(_ text: String) -> IPAddress? { RouterAddress(database: text)?.address ?? IPAddress(database: text) }
    for (text, id) in row.aclBinding.sorted(by: { $0.key < $1.key }) {
      let bound = address(text)
      guard let bound, let vni = router.interfaces.filter({ $0.value.contains { $0.address == bound } }).keys.min() else {
        // Its interface may be about to come.
        if bound == nil || !row.switchBinding.keys.contains(where: { address($0) == bound }) {
          faults.report(
            router: row.name, fault: "invalid_ACL_binding", "acl_binding: '\(text)' is not the address of an interface in switch_binding")
        }
        continue
      }
      guard let name = aclNames[id] else {
        faults.report(router: row.name, fault: "invalid_ACL_binding", "acl_binding: \(text) is bound to ACL \(id), which cannot be used")
        continue
      }
      if let other = router.acls[vni], other != name {
        faults.report(
          router: row.name, fault: "invalid_ACL_binding",
          "acl_binding: the interface in VNI \(vni) has two lists; using '\(other)', not '\(name)'")
      } else {
        router.acls[vni] = name
      }
    }
  }

  /// The MAC addresses from which other VTEPs ask for neighbours of routers: answers go to their VTEPs, whatever else is seen. A row that
  /// cannot be used is a fault of each router here: any of them may run on that VTEP, too.
  private mutating func readARPSources() {
    for row in replica.all(HardwareVTEP.ArpSource.self, in: .arpSourcesRemote).values.sorted(by: { $0.id < $1.id }) {
      guard let mac = MACAddress(database: row.mac), mac.reasonAgainstStation == nil else {
        faults.report(allRouters: "Arp_Sources_Remote: '\(row.mac)' is not a station's MAC address")
        continue
      }
      switch locators.destination(row.locator, replica, vni: VNI(truncating: 0)) {
      case .success(let destination):
        if let other = layer.arpSources[mac], other != destination.address {
          faults.report(
            allRouters: "Arp_Sources_Remote: several rows for \(mac); using the one with the lowest UUID, which leads to \(other)")
        } else {
          layer.arpSources[mac] = destination.address
        }
      case .failure(let reason): faults.report(allRouters: "Arp_Sources_Remote: \(mac): \(reason.text)")
      }
    }
  }
}

extension RouterSettings {
  /// Whether a next hop is in one of the router's networks.
  fileprivate func leadsTo(_ next: IPAddress) -> Bool {
    interfaces.values.contains { $0.contains { $0.prefix.contains(next) } }
  }
}

extension HardwareVTEP.LogicalRouter {
  /// Whether it joins one of these logical switches.
  func joins(_ switches: Set<RowID>) -> Bool { switchBinding.values.contains(where: switches.contains) }
}
