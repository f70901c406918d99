// Reconciler+Messages: handles what other threads have posted: changes of the kernel and of devices, new VTEPs, alarms. All pending messages
// are handled together and published once.

import Netlink

extension Reconciler {
  /// Handles all pending messages; they make one new snapshot.
  func handleMessages() {
    var unknown: [Learner.UnknownVTEP] = []
    var moves: [Learner.MoveReport] = []
    var hasOtherAddresses = false
    for message in mailbox.takeAll() {
      switch message {
      case .unknownVTEP(let sighting):
        unknown.append(sighting)
      case .macMove(let report):
        moves.append(report)
      case .device(let portID):
        state.updateDevice(portID: portID)
      case .alarm(let alarm):
        state.heed(alarm)
      case .puntTapLost(let name):
        effects.losePuntTap(named: name, state.ports)
        state.stale.slowPath = true
      case .kernel(let change):
        heed(change)
        switch change {
        case .addressesChanged, .resync: hasOtherAddresses = true
        default: break
        }
      }
    }
    if hasOtherAddresses { updateHostSides() }
    state.settle()
    if !unknown.isEmpty { state.enter(unknown) }
    publishReports()
    if !moves.isEmpty { tell(moves) }
  }

  private func heed(_ change: NetlinkChange) {
    switch change {
    case .link(let link):
      follow(link)
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
      resynchronize()
      state.stale.routes = true
    }
  }

  private func follow(_ link: Link) {
    state.updateUnderlayLink(link)
    guard let port = state.updatePortLink(link) else { return }
    updateHostSides { $0 == port }
    state.refresh(port)
  }

  /// Kernel notifications were lost: rereads everything.
  private func resynchronize() {
    log.notice("netlink: notifications were lost; rereading everything")
    state.readNeighbors()
    let links: [Link]
    do {
      links = try effects.netlink.links()
    } catch {
      log.warning("links: \(error)")
      return
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
    for link in links { follow(link) }
  }
}
