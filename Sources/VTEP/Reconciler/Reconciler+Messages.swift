// Reconciler+Messages: what other threads have posted: changes of the kernel's, of devices, VTEPs seen for the first time, alarms.
// All of it that has come in is handled at once, and published once.

import Netlink

extension Reconciler {
  /// Takes everything that has happened since the last call and makes it one new snapshot.
  func handleMessages() {
    var unknown: [Learner.UnknownVTEP] = []
    var moves: [Learner.MoveReport] = []
    for message in mailbox.takeAll() {
      switch message {
      case .unknownVTEP(let sighting):
        unknown.append(sighting)
      case .macMove(let report):
        moves.append(report)
      case .device(let portID):
        updateDevice(portID: portID)
      case .alarm(let alarm):
        heed(alarm)
      case .puntTapLost(let name):
        losePuntTap(named: name)
      case .kernel(.link(let link)):
        updateUnderlayLink(link)
        updatePortLink(link)
      case .kernel(.linkRemoved(let index, let name)):
        removeUnderlayLink(index: index)
        removePortLink(index: index, name: name)
      case .kernel(.neighbor(let neighbor)):
        if note(neighbor) { stale.adjacencies = true }
      case .kernel(.neighborRemoved(let interfaceIndex, let address)):
        noteRemoval(NeighborKey(interfaceIndex: interfaceIndex, address: address))
      case .kernel(.addressesChanged):
        stale.addresses = true
        stale.routes = true
      case .kernel(.routesChanged):
        stale.routes = true
      case .kernel(.resync):
        resynchronize()
        stale.addresses = true
        stale.routes = true
      }
    }
    settle()
    if !unknown.isEmpty { learn(unknown) }
    if !moves.isEmpty { tell(moves) }
  }

  /// The kernel's messages were lost: reads everything.
  private func resynchronize() {
    log.notice("netlink: changes were lost, reading everything again")
    readNeighbors()
    let links: [Link]
    do {
      links = try underlay.netlink.links()
    } catch {
      log.warning("links: \(error)")
      return
    }
    for device in underlay.devices {
      if let link = device.link, !links.contains(where: { $0.index == link.index }) {
        removeUnderlayLink(index: link.index)
      }
    }
    for record in ports.values {
      if let link = record.link, !links.contains(where: { $0.index == link.index }) {
        removePortLink(index: link.index, name: link.name)
      }
    }
    for link in links {
      updateUnderlayLink(link)
      updatePortLink(link)
    }
  }
}
