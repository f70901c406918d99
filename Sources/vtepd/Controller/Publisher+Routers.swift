// Publisher+Routers: LR_fault_status of the routers that concern us, and Arp_Sources_Local: the MAC address from which we ask for their
// neighbours (vtep(5)). Rows with our locator are ours.

import Encap
import OVSDBClient
import VTEP

extension Publisher {
  func publishRouters(_ plan: inout Plan) {
    let faults = plan.state.faults
    for row in plan.replica.all(HardwareVTEP.LogicalRouter.self, in: .logicalRouter).values.sorted(by: { $0.id < $1.id }) {
      guard let found = faults.ofRouters[row.name] else { continue }
      var new = row
      new.faults = found
      plan.add(row.update(to: new, in: .logicalRouter))
    }
    publishARPSource(plan.state.arpSource, &plan)
  }

  /// - Parameter wanted: nil: we have no router, and no row.
  func publishARPSource(_ wanted: MACAddress?, _ plan: inout Plan) {
    let (own, former) = (plan.ownLocatorIDs, plan.formerLocatorIDs)
    var isThere = false
    for row in plan.replica.all(HardwareVTEP.ArpSource.self, in: .arpSourcesLocal).values.sorted(by: { $0.id < $1.id }) {
      guard own.contains(row.locator) || former.contains(row.locator) else { continue }
      if own.contains(row.locator), !isThere, let wanted, MACAddress(row.mac) == wanted {
        isThere = true
      } else {
        plan.add(row.deletion(from: .arpSourcesLocal))
      }
    }
    guard !isThere, let wanted, let locator = plan.ownLocator(for: nil) else { return }
    let row = HardwareVTEP.ArpSource(mac: "\(wanted)", locator: .zero)
    plan.add(row.insertion(into: .arpSourcesLocal, references: ["locator": OVSDBDatum(locator)]))
  }
}
