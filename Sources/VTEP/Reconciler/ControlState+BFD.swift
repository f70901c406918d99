// ControlState+BFD: with which VTEPs BFD runs, and what follows from its news. A VTEP that is lost gets nothing flooded any more, and a service
// node that is not Up is left for another; frames to addresses that are known behind a lost VTEP still go there, since there is no other way to
// them (docs/decisions/0045-bfd.md).

import Encap
import MACTable

extension ControlState {
  /// BFD with every VTEP that the file or a controller wants it with. The controller knows better.
  ///
  /// - Parameter isForced: also when nothing has changed.
  mutating func updateBFD(isForced: Bool = false) {
    let targets = wantedBFD()
    guard !targets.isEmpty || !bfdTargets.isEmpty || isForced else { return }
    let uplinks = targets.isEmpty ? [] : Set(underlay.devices.compactMap { $0.bfdUplink(udpPort: running.underlay.udpPort) })
    guard targets != bfdTargets || uplinks != bfdUplinks || isForced else { return }
    bfdUplinks = uplinks
    for (address, old) in bfdTargets where targets[address]?.vtep != old.vtep {
      if Int(old.vtep) < model.vteps.count, model.vteps[Int(old.vtep)].entry.address == address {
        model.vteps[Int(old.vtep)].entry.hasBFD = false
      }
      if let health = underlay.bfd.removeValue(forKey: address), health.hasFailed { markFloods(to: [address]) }
    }
    for target in targets.values { model.vteps[Int(target.vtep)].entry.hasBFD = true }
    bfdTargets = targets
    effects.followBFD(targets, on: uplinks)
  }

  /// The sessions that there ought to be.
  func wantedBFD() -> [IPAddress: BFDTarget] {
    let file = running.underlay.bfd
    let asked = running.controller.bfd
    guard file != nil || !asked.isEmpty else { return [:] }
    var targets: [IPAddress: BFDTarget] = [:]
    for record in underlay.vteps.values where !record.isGroup {
      guard let settings = asked[record.address] ?? file?.settings(for: record.address),
        let source = running.underlay.ownAddress(like: record.address)
      else { continue }
      targets[record.address] = BFDTarget(settings: settings, vtep: record.index, source: source)
    }
    return targets
  }

  /// The controller wants BFD with these VTEPs, whether frames go there or not.
  mutating func adoptTunnels(_ tunnels: [IPAddress: BFDSettings]) {
    for address in tunnels.keys where running.underlay.reasonAgainst(TunnelDestination(address)) == nil {
      _ = vtep(address, isConfigured: true)
    }
    stale.adjacencies = true
    unconfigureVTEPs()
  }

  /// News of sessions.
  mutating func heed(_ changes: [BFDService.Change]) {
    var moved: Set<IPAddress> = []
    for change in changes where bfdTargets[change.address] != nil {
      if underlay.bfd.updateValue(change.health, forKey: change.address) != change.health { moved.insert(change.address) }
      guard change.old != change.new else { continue }
      let subject = Event.Subject(address: change.address)
      if change.new == .up {
        effects.events.report(.vtepBFDUp, subject, "VTEP \(change.address): BFD is up")
      } else if change.old == .up {
        effects.events.report(.vtepBFDDown, subject, "VTEP \(change.address): BFD is down: \(change.diagnostic.text)")
      }
    }
    if !moved.isEmpty { markFloods(to: moved) }
  }

  /// The VNIs that flood to some VTEPs have to choose again.
  private mutating func markFloods(to addresses: Set<IPAddress>) {
    countVisits(running.vnis.count)
    for (vni, settings) in running.vnis {
      let isConcerned =
        settings.flood.destinations.contains(where: addresses.contains)
        || settings.logicalSwitch?.groups.values.contains { $0.contains { addresses.contains($0.address) } } == true
      if isConcerned { stale.vnis.insert(vni) }
    }
  }
}

extension UnderlayDevice {
  /// Nil: workers hear BFD.
  fileprivate func bfdUplink(udpPort: UInt16) -> BFDUplink? {
    guard let link else { return nil }
    switch device {
    case .packetSocket, .xdp: break
    default: return nil
    }
    return BFDUplink(interfaceIndex: link.index, port: portIndex, udpPort: udpPort)
  }
}

extension UnderlayState {
  /// BFD has lost the VTEP.
  func hasFailed(_ address: IPAddress) -> Bool { !bfd.isEmpty && bfd[address]?.hasFailed == true }

  /// The higher, the sooner a service node is taken: BFD says that it forwards, knows nothing of it, or has lost it.
  func rank(ofServiceNode address: IPAddress, hasSession: Bool) -> Int {
    guard hasSession else { return 1 }
    return bfd[address]?.isForwarding == true ? 2 : hasFailed(address) ? 0 : 1
  }
}
