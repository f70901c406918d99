// Publisher+Switch: our Physical_Switch in Global.switches, and one Physical_Port per port.

import OVSDBClient

extension Publisher {
  func publishSwitch(_ plan: inout Plan) {
    let state = plan.state
    let former = plan.formerSwitch
    guard let row = plan.replica.physicalSwitch(named: state.name) ?? former else {
      insertSwitch(&plan)
      return
    }
    // Somebody has already made a row of the new name.
    if let former, former.id != row.id {
      let list = OVSDBMutation("switches", .delete, OVSDBDatum(former.id))
      plan.add(.mutate(table: HardwareVTEP.Table.global.rawValue, where: [], mutations: [list]))
    }
    var new = row
    new.name = state.name
    new.description = state.description
    new.tunnelIPs = state.tunnelIPs
    // The controller may know better which address reaches us.
    if row.managementIPs.isEmpty { new.managementIPs = state.managementIPs }
    new.faults = Set(state.faults.ofSwitch.map(\.rawValue))
    plan.add(row.update(to: new, in: .physicalSwitch))
    publishPorts(&plan, of: row)
    let isListed = plan.replica.all(HardwareVTEP.Global.self, in: .global).values.contains { $0.switches.contains(row.id) }
    if !isListed { enlist(.uuid(row.id), &plan) }
  }

  private func insertSwitch(_ plan: inout Plan) {
    let state = plan.state
    let row = HardwareVTEP.PhysicalSwitch(
      name: state.name, description: state.description, managementIPs: state.managementIPs,
      tunnelIPs: state.tunnelIPs, faults: Set(state.faults.ofSwitch.map(\.rawValue)))
    var ports: [OVSDBAtom] = []
    for name in state.ports.keys.sorted() { ports.append(insertPort(name, &plan)) }
    plan.add(row.insertion(into: .physicalSwitch, name: "switch", references: ["ports": OVSDBDatum(set: ports)]))
    enlist(.named("switch"), &plan)
  }

  /// Adds a switch to Global.switches; a new database has no row in Global.
  private func enlist(_ id: OVSDBAtom, _ plan: inout Plan) {
    let table = HardwareVTEP.Table.global.rawValue
    if plan.replica.rows(table).isEmpty {
      plan.add(.insert(table: table, row: ["switches": OVSDBDatum(id)]))
    } else {
      plan.add(.mutate(table: table, where: [], mutations: [OVSDBMutation("switches", .insert, OVSDBDatum(id))]))
    }
  }

  private func insertPort(_ name: String, _ plan: inout Plan) -> OVSDBAtom {
    // A UUID name must be an identifier; a port's name need not be one.
    let reference = "port\(plan.operations.count)"
    let row = HardwareVTEP.PhysicalPort(
      name: name, description: plan.state.ports[name]?.description ?? "",
      faults: Set((plan.state.faults.ofPorts[name] ?? []).map(\.rawValue)))
    plan.add(row.insertion(into: .physicalPort, name: reference))
    return .named(reference)
  }

  private func publishPorts(_ plan: inout Plan, of row: HardwareVTEP.PhysicalSwitch) {
    let state = plan.state
    var kept: Set<RowID> = []
    var missing = Set(state.ports.keys)
    for old in plan.replica.ports(of: row) {
      guard let port = state.ports[old.name] else { continue }
      missing.remove(old.name)
      kept.insert(old.id)
      var new = old
      new.description = port.description
      new.faults = Set((state.faults.ofPorts[old.name] ?? []).map(\.rawValue))
      plan.add(old.update(to: new, in: .physicalPort))
    }
    let added = missing.sorted().map { insertPort($0, &plan) }
    var mutations: [OVSDBMutation] = []
    let gone = row.ports.subtracting(kept)
    // The server deletes rows that no switch refers to.
    if !gone.isEmpty { mutations.append(OVSDBMutation("ports", .delete, OVSDBDatum(gone))) }
    if !added.isEmpty { mutations.append(OVSDBMutation("ports", .insert, OVSDBDatum(set: added))) }
    if !mutations.isEmpty {
      plan.add(.mutate(table: HardwareVTEP.Table.physicalSwitch.rawValue, where: [.row(row.id)], mutations: mutations))
    }
  }
}
