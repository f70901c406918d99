// ControlState+VTEPs: remote VTEPs and groups: entered when somebody names them or frames come from them, forgotten when nobody does.

import Encap
import MACTable
import Netlink

extension ControlState {
  /// The record of a VTEP or group, made if there is none. Nil when the table is full, or the address is our own.
  mutating func vtep(_ address: IPAddress, isConfigured: Bool) -> VTEPRecord? {
    if underlay.vteps[address] == nil, running.underlay.addresses.contains(address) { return nil }
    guard
      let (record, isNew) = underlay.vteps.enter(
        address, isConfigured: isConfigured, nowSeconds: effects.nowSeconds, stale: &stale)
    else { return nil }
    guard isNew else { return record }
    let index = record.index
    while model.vteps.count <= Int(index) { model.vteps.append(ForwardingModel.VTEP()) }
    model.vteps[Int(index)].entry = VTEPEntry(address: address, isInUse: true, isGroup: record.isGroup)
    baselines.reset(vtep: index, counters: effects.counters)
    effects.events.name(index, address)
    if !stale.routes { findRoute(address) }
    return record
  }

  /// Forgets VTEPs. Their index is free once neither workers nor the table refer to it.
  mutating func forgetVTEPs(_ addresses: [IPAddress]) {
    for index in underlay.vteps.forget(addresses, stale: &stale) { forgetVTEP(index: index) }
  }

  mutating func forgetVTEP(index: VTEPIndex) {
    model.vteps[Int(index)] = ForwardingModel.VTEP()
    stale.goneVTEPs.insert(index)
  }

  /// Forgets VTEPs that only the data plane named and behind which nothing is known any more.
  mutating func forgetIdleVTEPs() {
    let candidates = underlay.vteps.unconfigured(nowSeconds: effects.nowSeconds)
    guard !candidates.isEmpty else { return }
    let idle = effects.write { table in candidates.filter { table.count(vtep: $0.index) == 0 }.map(\.address) }
    forgetVTEPs(idle)
  }

  // -- routes --------------------------------------------------------------------------------------------------------------

  private mutating func findRoute(_ address: IPAddress) {
    guard let record = underlay.vteps[address], !record.isGroup else { return }
    do {
      let source = running.underlay.ownAddress(like: address)
      let route = try effects.route(to: address, from: source, udpPort: running.underlay.udpPort)
      // Another path has another MTU.
      if route != record.route { underlay.pathMTUs[address] = nil }
      underlay.vteps.setRoute(route, to: address)
    } catch {
      effects.log.warning("route to \(address): \(error)")
    }
  }

  mutating func findAllRoutes() {
    for address in underlay.vteps.keys { findRoute(address) }
  }

  // -- stations behind VTEPs that are seen for the first time ----------------------------------------------------------------

  /// Gives VTEPs seen for the first time an index and a header, and then learns what was seen behind them. Settles.
  mutating func enter(_ sightings: [Learner.UnknownVTEP]) {
    var located = sightings.compactMap { sighting in
      vtep(sighting.address, isConfigured: false).map { (key: sighting.key, index: $0.index) }
    }
    settle()
    guard !located.isEmpty else { return }
    // The domain may have been deleted since the frame came in.
    located.removeAll { !domainIsInUse($0.key.domain) }
    effects.enter(located)
    // Workers hold frames to these stations, and look at them again when there is a new snapshot.
    effects.publish(model)
  }

  private func domainIsInUse(_ index: DomainIndex) -> Bool {
    Int(index) < model.domains.count && model.domains[Int(index)].entry.isInUse
  }
}
