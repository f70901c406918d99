// ControlState+Adjacencies: routes and neighbours become adjacencies (prebuilt outer headers) of the VTEPs. Neighbours are resolved
// before a frame needs them and kept resolved.

import Encap
import MACTable
import Netlink

extension ControlState {
  /// Adjacencies of one VTEP at most; the weights of a route are scaled down to fit.
  private static let maxAdjacencies = 64

  /// Reads the kernel's neighbour table.
  mutating func readNeighbors() {
    do {
      for neighbor in try effects.neighbors() { update(neighbor) }
    } catch {
      effects.log.warning("neighbours: \(error)")
    }
  }

  /// True when the adjacencies may change.
  @discardableResult
  mutating func update(_ neighbor: Neighbor) -> Bool {
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
  mutating func giveUpDoubtfulNeighbors(_ doubtful: Set<NeighborKey>) {
    let dead = doubtful.intersection(underlay.doubtfulNeighbors)
    guard !dead.isEmpty else { return }
    for key in dead { underlay.neighbors[key] = nil }
    underlay.failedNeighbors.formUnion(dead)
    underlay.doubtfulNeighbors.subtract(dead)
    stale.adjacencies = true
  }

  /// The kernel removed a neighbour: requests it again; the known address stays in use meanwhile.
  mutating func removeNeighbor(_ key: NeighborKey) {
    underlay.doubtfulNeighbors.remove(key)
    if underlay.wanted.contains(key) {
      underlay.neighborErrors.formUnion(request([key]))
    } else {
      underlay.neighbors[key] = nil
      underlay.failedNeighbors.remove(key)
    }
  }

  /// Logs each kind of error once, with the number of next hops: thousands may fail, again and again.
  ///
  /// - Returns: errno of all that failed.
  private func request(_ keys: some Sequence<NeighborKey>) -> Set<Int32> {
    var failures: [Int32: (first: String, count: Int)] = [:]
    for key in keys {
      do {
        try effects.request(key)
      } catch {
        failures[error.code, default: ("neighbour \(key.address): \(error)", 0)].count += 1
      }
    }
    for (code, failure) in failures where !underlay.neighborErrors.contains(code) {
      effects.log.warning("\(failure.first)\(failure.count > 1 ? ", and \(failure.count - 1) other next hops" : "")")
    }
    return Set(failures.keys)
  }

  /// Requests every next hop that is needed now, and releases all others.
  mutating func updateNeighborRequests() {
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
      effects.release(key)
      underlay.failedNeighbors.remove(key)
    }
    underlay.wanted = wanted
    underlay.neighborErrors.formUnion(request(added))
    if !added.isEmpty { readNeighbors() }
  }

  /// Repeats requests for next hops without an address.
  mutating func retryNeighbors() {
    underlay.neighborErrors = request(underlay.wanted.filter { underlay.neighbors[$0] == nil })
  }

  mutating func releaseNeighbors() {
    for key in underlay.wanted {
      effects.release(key)
    }
    underlay.wanted = []
  }

  // -- adjacencies --------------------------------------------------------------------------------------------------

  mutating func rebuildAdjacencies() {
    findForbiddenVTEPs()
    updateNeighborRequests()
    let settings = running.underlay
    for device in underlay.devices {
      model.ports[Int(device.portIndex)].isUp = device.isUp
      model.ports[Int(device.portIndex)].mac = device.link?.mac ?? .zero
      model.ports[Int(device.portIndex)].headByteCount = device.headByteCount
      model.ports[Int(device.portIndex)].joinsDatagrams = device.joinsDatagrams(settings)
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
      let mtu = underlay.mtu(of: hop.device, to: record)
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
}
