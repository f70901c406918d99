// Reconciler+Messages: handles what other threads have posted: changes of the kernel and of devices, new VTEPs, alarms. All pending messages
// are handled together and published once.

import Netlink

extension Reconciler {
  /// Handles all pending messages; they make one new snapshot.
  func handleMessages() {
    var unknown: [Learner.UnknownVTEP] = []
    var moves: [Learner.MoveReport] = []
    var hasOtherAddresses = false
    var touched: Set<String> = []
    var linkReport: Double?
    effects.opensTogether = true
    defer { effects.opensTogether = false }
    for message in mailbox.takeAll() {
      switch message {
      case .unknownVTEP(let sighting):
        unknown.append(sighting)
      case .macMove(let report):
        moves.append(report)
      case .pathMTU(let reports):
        for report in reports { state.heed(report) }
      case .guest(let name):
        state.refresh(name)
      case .nicLink(let portID, let seconds):
        if state.followLinks({ $0.device.portID == portID }) { linkReport = min(linkReport ?? seconds, seconds) }
      case .nicRemoved(let name):
        state.removeNIC(name)
      case .alarm(let alarm):
        state.heed(alarm)
      case .bfd(let changes):
        state.heed(changes)
      case .puntTapLost(let name):
        effects.losePuntTap(named: name, state.ports)
        state.stale.slowPath = true
      case .kernel(let change):
        touched.formUnion(heed(change))
        switch change {
        case .addressesChanged, .resync: hasOtherAddresses = true
        default: break
        }
      }
    }
    if hasOtherAddresses {
      updateHostSides()
    } else if !touched.isEmpty {
      updateHostSides { touched.contains($0) }
    }
    for name in touched { state.refresh(name) }
    state.settle()
    if let linkReport {
      let microseconds = Int((MonotonicClock.preciseSeconds() - linkReport) * 1e6)
      log.info("packets take other links \(microseconds) µs after the driver's report")
    }
    if !unknown.isEmpty { state.enter(unknown) }
    publishReports()
    if !moves.isEmpty { tell(moves) }
  }

  /// - Returns: ports whose interface has changed: the host's use of it may have, too.
  private func heed(_ change: NetlinkChange) -> Set<String> {
    switch change {
    case .link(let link):
      return follow(link)
    case .foreignTap(let namespaceID, let link):
      state.updateAwayLink(AwayLink(namespaceID: namespaceID, link: link))
    case .foreignTapRemoved(let namespaceID, let index):
      if let port = state.removeAwayLink(AwayLink.Key(namespaceID: namespaceID, index: index)) { return [port] }
    case .linkRemoved(let index, let name):
      state.removeUnderlayLink(index: index)
      state.removePortLink(index: index, name: name)
    case .neighbor(let neighbor):
      if state.update(neighbor) { state.stale.adjacencies = true }
    case .neighborRemoved(let interfaceIndex, let address):
      state.removeNeighbor(NeighborKey(interfaceIndex: interfaceIndex, address: address))
    case .addressesChanged, .routesChanged:
      state.stale.routes = true
    case .resync:
      state.stale.routes = true
      return resynchronize()
    }
    return []
  }

  private func follow(_ link: Link) -> Set<String> {
    state.updateUnderlayLink(link)
    return state.updatePortLink(link).map { [$0] } ?? []
  }

  /// Kernel notifications were lost: rereads everything.
  private func resynchronize() -> Set<String> {
    log.notice("netlink: notifications were lost; rereading everything")
    return reread()
  }

  /// - Returns: as `heed`.
  @discardableResult
  func reread() -> Set<String> {
    state.readNeighbors()
    let links: [Link]
    do {
      links = try effects.netlink.links()
    } catch {
      log.warning("links: \(error)")
      return []
    }
    for device in state.underlay.devices {
      if let link = device.link, !links.contains(where: { $0.index == link.index }) {
        state.removeUnderlayLink(index: link.index)
      }
    }
    for record in state.ports.values {
      if let link = record.link, !links.contains(where: { $0.index == link.index }) {
        state.removePortLink(index: link.index, name: link.name)
      }
    }
    state.locateAwayTaps(all: true)
    return links.reduce(into: []) { $0.formUnion(follow($1)) }
  }
}
