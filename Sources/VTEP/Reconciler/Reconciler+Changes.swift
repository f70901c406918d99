// Reconciler+Changes: changes made by the operator and the controller, and reports for the controller.

import Encap
import MACTable
import Netlink

extension Reconciler {
  /// What the operator and the controller ask for.
  public var desired: DesiredState { state.desired }
  /// Goes up with every change of what is wanted.
  public var revision: UInt64 { state.revision }

  /// Replaces the running state by what `edit` makes of it; no other change comes between.
  ///
  /// - Parameter isTolerant: as for `apply`.
  /// - Returns: whether anything changed.
  /// - Throws: what `edit` throws, or as `apply`; the running state is as before.
  @discardableResult
  public func change(isTolerant: Bool = false, _ edit: @Sendable (DesiredState) throws -> DesiredState) throws -> Bool {
    let new = try edit(state.desired)
    guard new != state.desired else { return false }
    try apply(new, isTolerant: isTolerant)
    return true
  }

  /// Makes `new` the running state.
  ///
  /// - Parameter isTolerant: for a return to what has run before: a port whose device cannot be opened goes without, as at the start.
  /// - Throws: `.refused` or `.environment`; the running state is as before.
  public func apply(_ new: DesiredState, isTolerant: Bool = false) throws(VTEPError) {
    defer { publishReports() }
    var change = try state.check(new)
    change.isTolerant = isTolerant
    let (old, port) = (state.running.underlay.udpPort, new.underlay.udpPort)
    let taps = try effects.openPuntTaps(for: new, isFirst: isTolerant || !state.hasStarted)
    if old == port {
      try state.apply(change)
    } else {
      try apply(change, udpPort: port, insteadOf: old)
    }
    effects.adopt(taps, state.ports, probeIntervalSeconds: new.protection.loopProbe.intervalSeconds)
  }

  /// A change with another UDP port. The present devices receive packets to it before the rest follows: that they do may fail.
  private func apply(_ change: ControlState.Change, udpPort: UInt16, insteadOf old: UInt16) throws(VTEPError) {
    let reservation = try effects.reserve(udpPort: udpPort)
    let devices = state.underlay.devices
    try effects.filter(devices, udpPort: udpPort, insteadOf: old)
    do throws(VTEPError) {
      try state.apply(change)
    } catch {
      // That worked a moment ago.
      try? effects.filter(devices, udpPort: old, insteadOf: old)
      throw error
    }
    effects.reservation = reservation
  }

  /// Applies a controller's changes. `controllerReport` lists what cannot be applied now; it is retried.
  public func follow(_ edit: ControllerEdit) {
    defer { publishReports() }
    if let layer = edit.layer { state.follow(layer) }
    state.enter(edit)
  }

  /// Forgets learned addresses, of everything or of what is named (all names must fit).
  ///
  /// - Throws: `.refused` when a name is unknown.
  public func flush(vni: VNI? = nil, port: String? = nil, vtep: IPAddress? = nil) throws(VTEPError) {
    try state.flush(vni: vni, port: port, vtep: vtep)
  }

  /// Makes a VNI ready for a guest that is about to land; see `ControlState.prepare`.
  public func prepare(vni: VNI, vteps: [IPAddress], seconds: UInt32) throws(VTEPError) -> Bool {
    defer { publishReports() }
    return try state.prepare(vni: vni, vteps: vteps, seconds: seconds)
  }

  /// Ends the time that a port is shut or taken down for.
  ///
  /// - Returns: whether it was.
  public func release(port name: String) -> Bool {
    defer { publishReports() }
    return state.release(port: name)
  }

  // -- for the controller --------------------------------------------------------------------------------------------------

  /// Everything that the controller has configured.
  public func controllerState() -> ControllerState {
    ControllerState(
      layer: state.desired.controller, destinations: state.controller.addresses, stations: state.controller.addressesOfStations)
  }

  /// The controller's bindings that are in effect.
  public func controlledBindings() -> [ControllerLayer.Binding: VNI] {
    var bindings: [ControllerLayer.Binding: VNI] = [:]
    for (name, port) in state.running.ports {
      for (vlan, vni) in port.bindings where port.controlledVLANs.contains(vlan) {
        bindings[ControllerLayer.Binding(port: name, vlan: vlan)] = vni
      }
    }
    return bindings
  }

  public func controllerReport() -> ControllerReport {
    let behind = Set(state.controller.uses.keys.map(\.address)).subtracting(state.running.underlay.addresses)
    var useless: [String: Set<VNI>] = [:]
    for address in behind {
      guard let reason = state.running.underlay.reasonAgainst(TunnelDestination(address)) else { continue }
      let vnis = state.controller.addresses.filter { $0.value.values.contains { $0.address == address } }.keys
      useless["\(address) is \(reason)"] = Set(vnis)
    }
    let flooded = state.running.vnis.values.flatMap { settings in
      (settings.logicalSwitch?.flood ?? []) + (settings.logicalSwitch?.groups.values.flatMap(\.self) ?? [])
    }
    let all = behind.union(flooded.map(\.address))
    let ipv4Count = all.count(where: \.isIPv4)
    return ControllerReport(
      conflicts: state.controller.conflicts, uselessDestinations: useless, addressesWithoutRoom: state.controller.waiting.count,
      destinationsWithoutRoom: state.controller.withoutIndex.count,
      addresses: state.controller.addresses.values.reduce(0) { $0 + $1.count },
      destinations: all.union(state.running.controller.bfd.keys).filter { state.underlay.vteps[$0] != nil }, ipv4Destinations: ipv4Count,
      ipv6Destinations: all.count - ipv4Count)
  }
}
