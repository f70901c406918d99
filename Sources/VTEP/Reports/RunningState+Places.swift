// RunningState+Places: the indexes that the data plane knows VNIs, ports and VTEPs by, as the operator knows them.

import Encap
import MACTable

/// What indexes stand for at a moment.
struct IndexNames {
  var vnis: [DomainIndex: VNI]
  var ports: [PortIndex: String]
  /// Of VTEPs, tunnels with a key of their own included.
  var vteps: [VTEPIndex: IPAddress]
}

extension RunningState {
  var indexNames: IndexNames {
    IndexNames(vnis: vnisByIndex, ports: portNames, vteps: addressesByIndex())
  }

  var vnisByIndex: [DomainIndex: VNI] { Dictionary(uniqueKeysWithValues: domains.map { ($0.value.index, $0.key) }) }

  var portNames: [PortIndex: String] {
    var names = Dictionary(uniqueKeysWithValues: ports.values.map { ($0.index, $0.settings.name) })
    if !configuration.routers.isEmpty { names[Limits.routerPort] = RouterReport.place }
    return names
  }

  private func addressesByIndex() -> [VTEPIndex: IPAddress] {
    var addresses = Dictionary(uniqueKeysWithValues: underlay.vteps.values.map { ($0.index, $0.address) })
    for (destination, index) in tunnels { addresses[index] = destination.address }
    return addresses
  }

  /// The place that a location of the MAC table stands for; nil: it is gone.
  func place(at location: MACLocation, _ names: IndexNames) -> MACReport.Place? {
    guard location.isVTEP else { return names.ports[location.port].map { .port(name: $0, vlan: location.vlan) } }
    if location.isList { return .vteps(model.vteps[Int(location.vtep)].members.compactMap { names.vteps[$0] }.sorted()) }
    return names.vteps[location.vtep].map { .vtep($0) }
  }
}

extension MACReport.Place: CustomStringConvertible {
  /// `router`, `port bm1`, `port bm1 vlan 100`, `vtep 192.0.2.2` or `vteps 192.0.2.2 192.0.2.3`.
  public var description: String {
    switch self {
    case .port(RouterReport.place, _): "router"
    case .port(let name, let vlan): vlan == 0 ? "port \(name)" : "port \(name) vlan \(vlan)"
    case .vtep(let address): "vtep \(address)"
    case .vteps(let addresses): "vteps " + addresses.map(\.description).joined(separator: " ")
    }
  }
}
