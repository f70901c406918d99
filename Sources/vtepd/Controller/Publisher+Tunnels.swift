// Publisher+Tunnels: a Tunnel row for each VTEP that the controller uses, in `tunnels` of our Physical_Switch, with `bfd_config_local` and
// `bfd_status` (vtep(5), table Tunnel). The controller's columns of the row are left alone.

import Encap
import OVSDBClient
import VTEP

extension SwitchState {
  /// What is published of the tunnels to other VTEPs.
  struct Tunnels: Equatable, Sendable {
    /// VTEPs in use.
    var remotes: Set<IPAddress> = []
    /// `bfd_status` of those that BFD runs with.
    var status: [IPAddress: [String: String]] = [:]
  }
}

extension Publisher {
  /// Destinations of the frames that we expect, vtep(5).
  private static let localConfiguration = ["bfd_dst_mac": "\(MACAddress.bfdOfOpenVSwitch)", "bfd_dst_ip": "169.254.1.0"]

  mutating func publishTunnels(_ plan: inout Plan, now: Double) {
    guard let own = plan.replica.physicalSwitch(named: plan.state.name) else { return }
    let tunnels = plan.state.tunnels
    var missing = tunnels.remotes.subtracting([plan.state.tunnelAddress].compactMap(\.self))
    var gone: Set<RowID> = []
    for id in own.tunnels.sorted() {
      guard let row = plan.replica.one(HardwareVTEP.Tunnel.self, in: .tunnel, id) else { continue }
      let address = plan.replica.address(ofLocator: row.remote)
      missing.remove(address ?? IPAddress(high: 0, low: 0))
      if isIdle(row, address, tunnels, now: now) {
        gone.insert(id)
        continue
      }
      var new = row
      if row.bfdConfigLocal.isEmpty { new.bfdConfigLocal = Self.localConfiguration }
      new.bfdStatus = Self.status(row, address, tunnels)
      plan.add(row.update(to: new, in: .tunnel))
      // Our address has changed since the row was written.
      if plan.formerLocatorIDs.contains(row.local), let local = plan.ownLocator(for: nil) {
        plan.add(.update(table: HardwareVTEP.Table.tunnel.rawValue, where: [.row(id)], row: ["local": OVSDBDatum(local)]))
      }
    }
    knownTunnels.formUnion(tunnels.remotes)
    let added = missing.isEmpty ? [] : insertTunnels(missing, &plan)
    var mutations: [OVSDBMutation] = []
    // The server deletes rows that no switch refers to.
    if !gone.isEmpty { mutations.append(OVSDBMutation("tunnels", .delete, OVSDBDatum(gone))) }
    if !added.isEmpty { mutations.append(OVSDBMutation("tunnels", .insert, OVSDBDatum(set: added))) }
    if !mutations.isEmpty {
      plan.add(.mutate(table: HardwareVTEP.Table.physicalSwitch.rawValue, where: [.row(own.id)], mutations: mutations))
    }
  }

  /// Nobody uses the tunnel. One from before our start may be used soon, and one with parameters may be the controller's.
  private func isIdle(_ row: HardwareVTEP.Tunnel, _ address: IPAddress?, _ tunnels: SwitchState.Tunnels, now: Double) -> Bool {
    guard let address, !tunnels.remotes.contains(address) else { return false }
    if row.wantsBFD { return false }
    return knownTunnels.contains(address) || now >= adoptionEndSeconds && row.bfdParams.isEmpty
  }

  /// - Parameter addresses: of VTEPs whose locators the controller has written.
  private func insertTunnels(_ addresses: Set<IPAddress>, _ plan: inout Plan) -> [OVSDBAtom] {
    var locators: [IPAddress: RowID] = [:]
    for (id, row) in plan.replica.all(HardwareVTEP.Locator.self, in: .locator) {
      guard let address = IPAddress(database: row.destinationIP), addresses.contains(address) else { continue }
      locators[address] = min(locators[address] ?? id, id)
    }
    var added: [OVSDBAtom] = []
    for (address, remote) in locators.sorted(by: { $0.key < $1.key }) where plan.operations.count < Self.batch {
      guard let local = plan.ownLocator(for: nil) else { return added }
      var row = HardwareVTEP.Tunnel(local: .zero, remote: remote, bfdConfigLocal: Self.localConfiguration)
      row.bfdStatus = Self.status(row, address, plan.state.tunnels)
      let name = "tunnel\(plan.operations.count)"
      plan.add(row.insertion(into: .tunnel, name: name, references: ["local": OVSDBDatum(local)]))
      added.append(.named(name))
    }
    return added
  }

  private static func status(_ row: HardwareVTEP.Tunnel, _ address: IPAddress?, _ tunnels: SwitchState.Tunnels) -> [String: String] {
    guard row.wantsBFD else { return [:] }
    // "false if the VTEP cannot support BFD or has insufficient resources".
    return address.flatMap { tunnels.status[$0] } ?? [
      "enabled": "false", "info": "nothing can be sent to this address (vtepctl show vteps)",
    ]
  }
}

extension BFDReport {
  /// As `bfd_status`.
  var status: [String: String] {
    var status = [
      "enabled": "true", "state": state.name, "forwarding": isForwarding ? "true" : "false", "diagnostic": diagnostic.text,
      "remote_state": remoteState.name, "remote_diagnostic": remoteDiagnostic.text,
    ]
    if counts.wrongKeys > 0, state != .up { status["info"] = "frames with a tunnel key other than 0 are refused (check_tnl_key)" }
    return status
  }
}
