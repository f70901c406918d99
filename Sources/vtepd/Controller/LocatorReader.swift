// LocatorReader: converts rows of Physical_Locator to the data plane's destinations; each row is read once.

import Encap
import OVSDBClient
import VTEP

struct LocatorReader: Sendable {
  /// Why a row cannot be used.
  struct Useless: Error, Hashable, Sendable {
    var text: String
  }

  private var known: [RowID: Result<TunnelDestination, Useless>] = [:]

  mutating func forget(_ id: RowID) { known[id] = nil }

  /// A locator's destination in a logical switch. A tunnel key equal to the logical switch's is redundant.
  mutating func destination(_ id: RowID, _ replica: Replica, vni: VNI) -> Result<TunnelDestination, Useless> {
    let result = known[id] ?? Self.read(id, replica)
    // A missing row may still arrive.
    if replica[HardwareVTEP.Table.locator.rawValue, id] != nil { known[id] = result }
    return Self.inLogicalSwitch(result, vni)
  }

  /// The same without keeping it.
  static func read(_ id: RowID, _ replica: Replica, vni: VNI?) -> Result<TunnelDestination, Useless> {
    inLogicalSwitch(read(id, replica), vni)
  }

  private static func inLogicalSwitch(_ result: Result<TunnelDestination, Useless>, _ vni: VNI?) -> Result<TunnelDestination, Useless> {
    result.map { $0.key == vni ? TunnelDestination($0.address) : $0 }
  }

  private static func read(_ id: RowID, _ replica: Replica) -> Result<TunnelDestination, Useless> {
    guard let row = replica.one(HardwareVTEP.Locator.self, in: .locator, id) else {
      return .failure(Useless(text: "locator \(id) does not exist"))
    }
    guard row.encapsulation.isEmpty || row.encapsulation == HardwareVTEP.Locator.vxlan else {
      return .failure(Useless(text: "encapsulation '\(row.encapsulation)' is not supported"))
    }
    guard let address = IPAddress(database: row.destinationIP) else {
      return .failure(Useless(text: "'\(row.destinationIP)' is not an IP address"))
    }
    // Some controllers write 0 for "none".
    guard let key = row.tunnelKey, key != 0 else { return .success(TunnelDestination(address)) }
    guard let vni = VNI(key) else { return .failure(Useless(text: "tunnel key \(key) is not a VNI")) }
    return .success(TunnelDestination(address, key: vni))
  }
}
