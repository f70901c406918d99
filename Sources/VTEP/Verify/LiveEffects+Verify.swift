// LiveEffects+Verify: compares the kernel with the reconciler's records: interfaces, sockets, XDP programs, groups, routes, neighbours.

import Encap
import MulticastLearn
import Netlink

extension LiveEffects {
  /// What the kernel has and ought not to have, or has not. Reads only.
  func discrepancies(_ state: ControlState) -> [Discrepancy] {
    var found = portDiscrepancies(state) + puntTapDiscrepancies(state.ports)
    for device in state.underlay.devices { found += discrepancies(device) }
    found += addressDiscrepancies(state.running.underlay) + routeDiscrepancies(state)
    found += neighborDiscrepancies(state.underlay) + groupDiscrepancies(state.underlay)
    if !reservation.isHeld {
      found.append(
        Discrepancy(.kernel, "UDP port \(reservation.port)", intended: "reserved by vtepd's sockets", actual: "they have lost it"))
    }
    return found
  }

  // -- interfaces --------------------------------------------------------------------------------------------------------

  /// How an interface differs from what is known of it; nil: it does not.
  private func difference(_ known: Link) -> (intended: String, actual: String)? {
    func text(_ link: Link) -> String {
      "\(link.name), MTU \(link.mtu), \(link.mac), \(link.isRunning ? "running" : link.isUp ? "up without carrier" : "down")"
    }
    guard let now = link(index: known.index) else { return (text(known), "there is no such interface") }
    return text(now) == text(known) ? nil : (text(known), text(now))
  }

  private func portDiscrepancies(_ state: ControlState) -> [Discrepancy] {
    var found: [Discrepancy] = []
    for record in state.ports.values.sorted(by: { $0.settings.name < $1.settings.name }) where record.device != nil {
      let subject = "port \(record.settings.name)"
      if let link = record.link, let (intended, actual) = difference(link) {
        found.append(Discrepancy(.kernel, subject, intended: intended, actual: actual))
      }
      if let reason = fault(of: record) {
        found.append(Discrepancy(.kernel, subject, intended: "attached to \(record.settings.attachment.place)", actual: reason))
      }
      if let link = record.link, lacksGuard(record) {
        found.append(
          Discrepancy(
            .kernel, subject, intended: "the host's IP stack is kept off \(link.name)", actual: "the filter is gone, or IPv6 is on"))
      }
      if let path = missingSocket(record) {
        found.append(Discrepancy(.kernel, subject, intended: "its socket is \(path)", actual: "there is no such socket"))
      }
    }
    return found
  }

  /// Why the device of a port is good for nothing any more; nil: it is not.
  func fault(of record: PortRecord) -> String? {
    switch record.device {
    case .tap(let tap)? where TapDevice.state(of: tap.descriptors[0]) == .gone: "the tap is gone"
    case .packetSocket(let sockets)? where sockets.isDead: "its packet sockets have lost the interface"
    default: nil
    }
  }

  /// Whether a port that keeps the host's IP stack off its interface does so no more.
  func lacksGuard(_ record: PortRecord) -> Bool {
    guard record.hostSide.guardian != nil, let link = record.link, self.link(index: link.index) != nil else { return false }
    return (try? HostStackGuard.isWhole(on: link, netlink)) == false
  }

  /// Peers that are connected keep a socket that was removed.
  private func missingSocket(_ record: PortRecord) -> String? {
    guard record.settings.attachment.role == .server, !record.isUp, let socket = record.settings.attachment.socket else { return nil }
    let path = portHost().path(socket)
    return UnixSocketPath.isMissing(path) ? path : nil
  }

  private func puntTapDiscrepancies(_ ports: PortTable) -> [Discrepancy] {
    ports.values.sorted { $0.settings.name < $1.settings.name }.compactMap { record in
      guard let name = record.settings.puntTapName else { return nil }
      let reason = puntTaps[name] == nil ? puntFaults[record.settings.name] ?? "there is none" : nil
      return reason.map {
        Discrepancy(.kernel, "port \(record.settings.name)", intended: "control frames are on the tap \(name)", actual: $0)
      }
    }
  }

  // -- underlay ----------------------------------------------------------------------------------------------------------

  private func discrepancies(_ device: UnderlayDevice) -> [Discrepancy] {
    let subject = device.uplink.subject
    guard let link = device.link, device.device != nil else {
      return [Discrepancy(.kernel, subject, intended: "attached", actual: device.fault ?? "there is no such interface")]
    }
    var found: [Discrepancy] = []
    if let (intended, actual) = difference(link) {
      found.append(Discrepancy(.kernel, subject, intended: intended, actual: actual))
    }
    if let reason = fault(of: device) {
      found.append(Discrepancy(.kernel, subject, intended: "open as \(device.driverName)", actual: reason))
    }
    return found
  }

  /// Why an uplink has to be opened again; nil: it has not.
  func fault(of device: UnderlayDevice) -> String? {
    guard let link = device.link, let frames = device.device else { return nil }
    let sockets = frames.packetSockets ?? frames.xdp?.packetSockets
    if sockets?.isDead == true { return "its packet sockets have lost the interface" }
    if let xdp = frames.xdp, !xdp.isAttached(interfaceIndex: link.index) { return "the XDP program is not on the interface" }
    return nil
  }

  private func addressDiscrepancies(_ settings: UnderlaySettings) -> [Discrepancy] {
    guard let owned = try? netlink.owned(settings.addresses) else { return [] }
    return settings.addresses.filter { !owned.contains($0) }.map {
      Discrepancy(.kernel, "underlay.addresses \($0)", intended: "the host has it", actual: "it does not")
    }
  }

  private func routeDiscrepancies(_ state: ControlState) -> [Discrepancy] {
    let settings = state.running.underlay
    return state.underlay.vteps.values.filter { !$0.isGroup }.sorted { $0.address < $1.address }.compactMap { record in
      guard
        let now = try? netlink.route(to: record.address, from: settings.ownAddress(like: record.address), udpPort: settings.udpPort)
          ?? Route(type: .unreachable)
      else { return nil }
      let known = record.route ?? Route(type: .unreachable)
      guard now != known else { return nil }
      return Discrepancy(.kernel, "VTEP \(record.address)", intended: "follows the route \(text(now))", actual: text(known))
    }
  }

  private func text(_ route: Route) -> String {
    guard !route.nextHops.isEmpty else { return "\(route.type)" }
    let hops = route.nextHops.map { hop in
      (hop.gateway.map { "via \($0) " } ?? "") + "dev \(link(index: hop.interfaceIndex)?.name ?? "#\(hop.interfaceIndex)")"
    }
    return hops.joined(separator: ", ") + (route.mtu.map { " mtu \($0)" } ?? "")
  }

  private func neighborDiscrepancies(_ underlay: UnderlayState) -> [Discrepancy] {
    guard !underlay.wanted.isEmpty, let all = try? netlink.neighbors() else { return [] }
    let present = Dictionary(all.map { (NeighborKey(interfaceIndex: $0.interfaceIndex, address: $0.address), $0) }) { first, _ in first }
    return underlay.wanted.sorted { $0.address < $1.address }.compactMap { key in
      let subject = "next hop \(key.address)"
      guard let entry = present[key] else {
        return Discrepancy(.kernel, subject, intended: "the kernel resolves it", actual: "it has no entry for it")
      }
      if entry.isResolved, let mac = entry.mac, let known = underlay.neighbors[key], mac != known {
        return Discrepancy(.kernel, subject, intended: "frames go to \(mac)", actual: "they go to \(known)")
      }
      // Such entries stay as they are.
      let isLasting = entry.state == .permanent || entry.state == .noarp || entry.isExternallyLearned
      guard !entry.isManaged, !isLasting, KernelFeatures.keepsNeighbors else { return nil }
      return Discrepancy(.kernel, subject, intended: "the kernel keeps it resolved", actual: "somebody has replaced the entry")
    }
  }

  private func groupDiscrepancies(_ underlay: UnderlayState) -> [Discrepancy] {
    func name(_ index: Int32) -> String { underlay.device(interfaceIndex: index)?.name ?? "#\(index)" }
    let failed = memberships.memberships.filter { !$0.isJoined }.map { membership in
      Discrepancy(
        .kernel, "group \(membership.group)", intended: "joined on \(name(membership.interfaceIndex))",
        actual: membership.error.map { "\($0)" } ?? "it is not")
    }
    return failed
      + memberships.missing().map { group, interfaceIndex in
        Discrepancy(.kernel, "group \(group)", intended: "joined on \(name(interfaceIndex))", actual: "the kernel has dropped it")
      }
  }
}
