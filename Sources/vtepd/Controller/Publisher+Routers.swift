// Publisher+Routers: Arp_Sources_Local, the MAC address from which we ask for neighbours of our routers (vtep(5)). Rows with our locator are
// ours.

import Encap
import OVSDBClient
import VTEP

extension Publisher {
  /// - Parameter wanted: nil: we have no router, and no row.
  func publishARPSource(_ wanted: MACAddress?, _ plan: inout Plan) {
    let (own, former) = (plan.ownLocatorIDs, plan.formerLocatorIDs)
    var isThere = false
    for row in plan.replica.all(HardwareVTEP.ArpSource.self, in: .arpSourcesLocal).values.sorted(by: { $0.id < $1.id }) {
      guard own.contains(row.locator) || former.contains(row.locator) else { continue }
      if own.contains(row.locator), !isThere, let wanted, MACAddress(database: row.mac) == wanted {
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
