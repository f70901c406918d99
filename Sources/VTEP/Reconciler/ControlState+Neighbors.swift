// ControlState+Neighbors: what the operator and the controller say about IP addresses goes into the neighbour table, which workers ask.
// Learned addresses come from the learner.

import Encap
import MACTable

extension ControlState {
  /// After a change of these VNIs: what the operator's `macs` say of their addresses.
  mutating func updateNeighbors(of vnis: Set<VNI>) {
    guard let table = effects.neighborTable else { return }
    for vni in vnis {
      guard let domain = domains[vni], let settings = running.vnis[vni] else { continue }
      let old = installedNeighbors[domain.index] ?? [:]
      let new = settings.neighbors
      guard old != new else { continue }
      for (address, mac) in new where old[address] != mac {
        if !table.state(InnerNeighborKey(domain: domain.index, address: address), mac: mac, by: .file) {
          effects.log.error("VNI \(vni): the neighbour table is full: \(address) is not entered; raise dataplane.mac-table-size")
        }
      }
      for address in old.keys where new[address] == nil {
        table.state(InnerNeighborKey(domain: domain.index, address: address), mac: nil, by: .file)
      }
      installedNeighbors[domain.index] = new.isEmpty ? nil : new
    }
  }

  /// Nobody uses a domain any more.
  mutating func forgetNeighbors(of domain: DomainIndex) {
    installedNeighbors[domain] = nil
    effects.neighborTable?.forget(domain)
  }

  /// Enters what the controller says about IP addresses.
  mutating func enterNeighbors(_ addresses: [ControllerEdit.Address]) {
    var changed: Set<ControllerStore.Neighbor> = []
    for address in addresses { changed.formUnion(controller.enterNeighbors(address)) }
    state(changed)
  }

  /// The same for all of a VNI, whose domain is new.
  mutating func restateNeighbors(of vni: VNI) { state(controller.neighbors(of: vni)) }

  private func state(_ neighbors: some Sequence<ControllerStore.Neighbor>) {
    guard let table = effects.neighborTable else { return }
    for neighbor in neighbors {
      guard let domain = domains[neighbor.vni], running.vnis[neighbor.vni]?.logicalSwitch != nil else { continue }
      let owners = controller.owners(of: neighbor)
      table.state(
        InnerNeighborKey(domain: domain.index, address: neighbor.address), mac: owners.min(), by: .controller,
        isAmbiguous: owners.count > 1)
    }
  }
}
