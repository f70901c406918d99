// Reconciler+Underlay: follows the kernel: links, routes and neighbours become adjacencies (prebuilt outer headers) of
// the VTEPs. Neighbours are resolved before a frame needs them and kept resolved.

import CDPDK
import Encap
import MACTable
import Netlink

extension Reconciler {
  /// Adjacencies of one VTEP at most; the weights of a route are scaled down to fit.
  private static let maxAdjacencies = 64

  // -- devices ----------------------------------------------------------------------------------------------------

  /// Opens devices that are not open yet. Those that `settings` does not name stay until `detachUnderlay`.
  func attachUnderlay(_ settings: UnderlaySettings) throws(VTEPError) {
    var added: [UnderlayDevice] = []
    do throws(VTEPError) {
      for name in settings.devices where !underlay.devices.contains(where: { $0.name == name }) {
        guard let portIndex = portIndexes.take() else {
          throw VTEPError(.refused, "underlay.device \(name)", "no free port index")
        }
        let link = try VTEPError.wrap("underlay.device \(name)") { () throws(NetlinkError) in
          try underlay.netlink.link(named: name)
        }
        var device = UnderlayDevice(name: name, portIndex: portIndex)
        guard let link else {
          throw VTEPError(
            .environment, "underlay.device \(name)", "no such interface", remedy: "create it or name another")
        }
        device.link = link
        device.device = try openUnderlay(link, settings)
        added.append(device)
      }
    } catch {
      for device in added {
        try? device.device?.remove(subject: "underlay.device \(device.name)")
        portIndexes.giveBack(device.portIndex)
      }
      throw error
    }
    for device in added {
      underlay.devices.append(device)
      enterUnderlayPort(device)
    }
    if !added.isEmpty { readNeighbors() }
  }

  private func openUnderlay(_ link: Link, _ settings: UnderlaySettings) throws(VTEPError) -> EthernetDevice {
    try Self.checkCarriesFrames(link)
    return try EthernetDevice.openPacketSocket(
      link: link, queues: dataplane.workers, filterPort: settings.udpPort, promiscuous: false, runtime: runtime,
      subject: "underlay.device \(link.name)")
  }

  private func enterUnderlayPort(_ device: UnderlayDevice) {
    guard let ethernet = device.device else { return }
    var entry = PortEntry()
    entry.portID = ethernet.portID
    entry.transmitQueues = UInt16(ethernet.queueCount)
    entry.sendsSegments = ethernet.sendsSegments
    entry.isHardware = ethernet.isHardware
    entry.isUnderlay = true
    entry.isUp = device.isUp
    entry.mac = device.link?.mac ?? .zero
    model.ports[Int(device.portIndex)] = entry
    addQueues(of: ethernet, portIndex: device.portIndex)
  }

  /// Closes the devices that `names` leaves out.
  func detachUnderlay(keeping names: [String]) {
    let leaving = underlay.devices.filter { !names.contains($0.name) }
    guard !leaving.isEmpty else { return }
    underlay.devices.removeAll { !names.contains($0.name) }
    stale.adjacencies = true
    for device in leaving {
      close(device)
      stale.gonePorts.insert(device.portIndex)
    }
  }

  /// Has no worker use a device any more.
  private func close(_ device: UnderlayDevice) {
    model.ports[Int(device.portIndex)] = PortEntry()
    removeQueues(portIndex: device.portIndex, device: device.device)
    stale.closing.append(StaleState.Closing(device: device.device, subject: "underlay.device \(device.name)"))
  }

  // -- VTEPs ------------------------------------------------------------------------------------------------------

  /// The record of a VTEP or group, made if there is none. Nil when the table is full, or the address is our own.
  func vtep(_ address: IPAddress, isConfigured: Bool) -> VTEPRecord? {
    if var record = underlay.vteps[address] {
      if isConfigured && !record.isConfigured {
        record.isConfigured = true
        underlay.vteps[address] = record
      }
      return record
    }
    guard !desired.underlay.addresses.contains(address), let index = underlay.vtepIndexes.take() else { return nil }
    let record = VTEPRecord(
      index: index, address: address, isConfigured: isConfigured, sinceSeconds: MonotonicClock.seconds())
    underlay.vteps[address] = record
    while model.vteps.count <= Int(index) { model.vteps.append(ForwardingModel.VTEP()) }
    model.vteps[Int(index)].entry = VTEPEntry(address: address, isInUse: true, isGroup: record.isGroup)
    stale.adjacencies = true
    // The table may name an index only after every worker has it.
    stale.hasNewIndexes = true
    baselines.reset(vtep: index, counters: counters)
    if !stale.routes { findRoute(address) }
    return record
  }

  /// Forgets VTEPs. Their index is free once neither workers nor the table refer to it.
  func forgetVTEPs(_ addresses: [IPAddress]) {
    for record in addresses.compactMap({ underlay.vteps.removeValue(forKey: $0) }) { forgetVTEP(index: record.index) }
  }

  func forgetVTEP(index: VTEPIndex) {
    model.vteps[Int(index)] = ForwardingModel.VTEP()
    stale.goneVTEPs.insert(index)
  }

  /// Forgets VTEPs that only the data plane named and behind which nothing is known any more.
  func forgetIdleVTEPs() {
    let now = MonotonicClock.seconds()
    let candidates = underlay.vteps.values.filter { !$0.isConfigured && now &- $0.sinceSeconds > 60 }
    guard !candidates.isEmpty else { return }
    let idle = learner.write { table in candidates.filter { table.count(vtep: $0.index) == 0 }.map(\.address) }
    forgetVTEPs(idle)
  }

  // -- routes and neighbours ------------------------------------------------------------------------------------------

  private func findRoute(_ address: IPAddress) {
    guard var record = underlay.vteps[address], !record.isGroup else { return }
    do {
      record.route = try underlay.netlink.route(
        to: address, from: desired.underlay.ownAddress(like: address), udpPort: desired.underlay.udpPort)
    } catch {
      log.warning("route to \(address): \(error)")
    }
    underlay.vteps[address] = record
  }

  func findAllRoutes() {
    for address in underlay.vteps.keys { findRoute(address) }
  }

  /// Reads the kernel's neighbour table.
  func readNeighbors() {
    do {
      for neighbor in try underlay.netlink.neighbors() { note(neighbor) }
    } catch {
      log.warning("neighbours: \(error)")
    }
  }

  /// True when the adjacencies may change.
  @discardableResult
  func note(_ neighbor: Neighbor) -> Bool {
    guard underlay.device(interfaceIndex: neighbor.interfaceIndex) != nil else { return false }
    let key = NeighborKey(interfaceIndex: neighbor.interfaceIndex, address: neighbor.address)
    if neighbor.isResolved, let mac = neighbor.mac {
      underlay.doubtfulNeighbors.remove(key)
      let wasFailed = underlay.failedNeighbors.remove(key) != nil
      let old = underlay.neighbors.updateValue(mac, forKey: key)
      return wasFailed || old != mac
    }
    if neighbor.isFailed, !underlay.failedNeighbors.contains(key) { underlay.doubtfulNeighbors.insert(key) }
    return false
  }

  /// Neighbours that were reported failed and have not been removed or resolved since are dead: frames wait, or take
  /// another next hop.
  func giveUpDoubtfulNeighbors(_ doubtful: Set<NeighborKey>) {
    let dead = doubtful.intersection(underlay.doubtfulNeighbors)
    guard !dead.isEmpty else { return }
    for key in dead { underlay.neighbors[key] = nil }
    underlay.failedNeighbors.formUnion(dead)
    underlay.doubtfulNeighbors.subtract(dead)
    stale.adjacencies = true
  }

  /// The kernel forgot a neighbour: asks for it again; the address we know stays in use meanwhile.
  func noteRemoval(_ key: NeighborKey) {
    underlay.doubtfulNeighbors.remove(key)
    if underlay.wanted.contains(key) {
      request(key)
    } else {
      underlay.neighbors[key] = nil
      underlay.failedNeighbors.remove(key)
    }
  }

  private func request(_ key: NeighborKey) {
    do {
      try underlay.netlink.requestNeighbor(key.address, interfaceIndex: key.interfaceIndex, managed: true)
    } catch {
      log.warning("neighbour \(key.address): \(error)")
    }
  }

  /// Has the kernel resolve every next hop that is needed now, and none besides.
  func updateNeighborRequests() {
    var wanted: Set<NeighborKey> = []
    for record in underlay.vteps.values where !record.isGroup {
      guard let route = record.route, route.type == .unicast else { continue }
      for hop in route.nextHops {
        guard let device = underlay.device(interfaceIndex: hop.interfaceIndex), device.isUp else { continue }
        wanted.insert(NeighborKey(interfaceIndex: hop.interfaceIndex, address: hop.gateway ?? record.address))
      }
    }
    let added = wanted.subtracting(underlay.wanted)
    for key in underlay.wanted.subtracting(wanted) {
      try? underlay.netlink.releaseNeighbor(key.address, interfaceIndex: key.interfaceIndex)
      underlay.failedNeighbors.remove(key)
    }
    underlay.wanted = wanted
    for key in added { request(key) }
    if !added.isEmpty { readNeighbors() }
  }

  /// Asks again for next hops that have no address.
  func retryNeighbors() {
    for key in underlay.wanted where underlay.neighbors[key] == nil { request(key) }
  }

  func releaseNeighbors() {
    for key in underlay.wanted {
      try? underlay.netlink.releaseNeighbor(key.address, interfaceIndex: key.interfaceIndex)
    }
    underlay.wanted = []
  }

  // -- adjacencies --------------------------------------------------------------------------------------------------

  func rebuildAdjacencies() {
    applyPolicies()
    updateNeighborRequests()
    let settings = desired.underlay
    for device in underlay.devices {
      model.ports[Int(device.portIndex)].isUp = device.isUp
      model.ports[Int(device.portIndex)].mac = device.link?.mac ?? .zero
    }
    for record in underlay.vteps.values {
      model.vteps[Int(record.index)].adjacencies = adjacencies(record, settings)
      model.vteps[Int(record.index)].entry.obstacle = underlay.obstacle(record)?.dropReason ?? .noRoute
    }
    for (destination, index) in controller.tunnels {
      let record = underlay.vteps[destination.address]
      model.vteps[Int(index)].adjacencies = record.map { adjacencies($0, settings, hasOwnKey: true) } ?? []
      model.vteps[Int(index)].entry.obstacle = record.flatMap(underlay.obstacle)?.dropReason ?? .noRoute
    }
    chooseServiceNodes()
  }

  private func adjacencies(_ record: VTEPRecord, _ settings: UnderlaySettings, hasOwnKey: Bool = false) -> [Adjacency] {
    guard let source = settings.ownAddress(like: record.address) else { return [] }
    let hops = underlay.usableHops(record)
    var total = hops.reduce(0) { $0 + $1.weight }
    let divisor = hops.reduce(0) { Self.greatestCommonDivisor($0, $1.weight) }
    if divisor > 1 { total /= divisor }
    return hops.flatMap { hop -> [Adjacency] in
      guard let link = hop.device.link else { return [] }
      let mac = record.isGroup ? record.address.multicastMAC : underlay.neighbors[hop.neighbor]
      let mtu = min(link.mtu, record.route?.mtu ?? link.mtu)
      let header = settings.header(to: record.address, from: source, sourceMAC: link.mac, nextHop: mac ?? .zero, hasOwnKey: hasOwnKey)
      let adjacency = Adjacency(
        header: header, port: hop.device.portIndex, isResolved: mac != nil,
        maxInnerByteCount: UInt32(max(mtu + 14 - header.byteCount, 0)))
      let share = hop.weight / max(divisor, 1)
      let copies = total <= Self.maxAdjacencies ? share : max(share * Self.maxAdjacencies / total, 1)
      return Array(repeating: adjacency, count: copies)
    }
  }

  private static func greatestCommonDivisor(_ first: Int, _ second: Int) -> Int {
    second == 0 ? first : greatestCommonDivisor(second, first % second)
  }

  // -- changes --------------------------------------------------------------------------------------------------------

  /// A link appeared or changed.
  func updateUnderlayLink(_ link: Link) {
    // A device in use is followed by its index: it works on under another name.
    guard
      let position = underlay.devices.firstIndex(where: { $0.link?.index == link.index })
        ?? underlay.devices.firstIndex(where: { $0.name == link.name })
    else { return }
    let old = underlay.devices[position]
    guard old.link != link else { return }
    if let name = old.link?.name, old.link?.index == link.index, name != link.name {
      log.notice("underlay.device \(old.name): the interface is called \(link.name) now")
    }
    if old.device != nil, old.link?.index != link.index {
      removeUnderlayLink(index: old.link?.index ?? 0)
      settle()
    }
    underlay.devices[position].link = link
    if underlay.devices[position].device == nil {
      do throws(VTEPError) {
        underlay.devices[position].device = try openUnderlay(link, desired.underlay)
        enterUnderlayPort(underlay.devices[position])
        log.notice("underlay.device \(link.name): attached")
      } catch {
        log.error("\(error)")
      }
    }
    if old.link?.isRunning != link.isRunning {
      log.notice("underlay.device \(link.name): \(link.isRunning ? "up" : "down")")
    }
    updateMembershipInterfaces()
    stale.routes = true
  }

  /// Group memberships follow the interfaces that are there.
  func updateMembershipInterfaces() {
    memberships.setInterfaces(underlay.devices.compactMap { $0.link?.index })
    verifyMemberships()
  }

  /// Joins again what the kernel has dropped.
  func verifyMemberships() {
    let missing = memberships.verify()
    if !missing.isEmpty { log.notice("groups: \(missing.count) that the kernel had dropped are joined again") }
  }

  func removeUnderlayLink(index: Int32) {
    guard let position = underlay.devices.firstIndex(where: { $0.link?.index == index }) else { return }
    let device = underlay.devices[position]
    log.error("underlay.device \(device.name): the interface is gone; waiting for it to come back")
    underlay.devices[position].link = nil
    underlay.devices[position].device = nil
    close(device)
    stale.routes = true
    // Now, not when it is back: a membership that the socket keeps cannot be joined again.
    updateMembershipInterfaces()
  }

  /// What the kernel could not put into a receive ring.
  func countMissedPackets() {
    for index in underlay.devices.indices {
      for socket in underlay.devices[index].device?.descriptors ?? [] {
        underlay.devices[index].missed &+= UInt64(PacketSocket.takeDropCount(socket))
      }
    }
  }

  /// Gives VTEPs seen for the first time an index and a header, and then learns what was seen behind them. Settles.
  func learn(_ sightings: [Learner.UnknownVTEP]) {
    var located = sightings.compactMap { sighting in
      vtep(sighting.address, isConfigured: false).map { (key: sighting.key, index: $0.index) }
    }
    settle()
    guard !located.isEmpty else { return }
    // The domain may have been deleted since the frame came in.
    located.removeAll { !domainIsInUse($0.key.domain) }
    let now = MonotonicClock.seconds()
    let entries = located
    learner.write { table in
      for (key, index) in entries {
        learner.learn(key, at: .vtep(index), in: table, now: now)
      }
    }
    // Workers hold frames to these stations, and look at them again when there is a new snapshot.
    publish()
  }

  private func domainIsInUse(_ index: DomainIndex) -> Bool {
    Int(index) < model.domains.count && model.domains[Int(index)].entry.isInUse
  }
}
