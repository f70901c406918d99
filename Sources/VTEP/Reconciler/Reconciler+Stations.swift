// Reconciler+Stations: the stations behind local ports in the controller's logical switches, which vtepd publishes to it.

import Encap
import MACTable

/// A station behind a local port.
public struct LocalStation: Hashable, Sendable {
  public var vni: VNI
  public var mac: MACAddress
  /// The address that it claimed in ARP or ND.
  public var address: IPAddress?

  public init(vni: VNI, mac: MACAddress, address: IPAddress?) {
    self.vni = vni
    self.mac = mac
    self.address = address
  }
}

extension Reconciler {
  /// A version of what `localStations` returns: equal versions stand for equal contents.
  public struct StationsVersion: Equatable, Sendable {
    var table: UInt64
    var stations: UInt64
  }

  /// The stations in the controller's logical switches, learned and configured ones. Costs nothing while nothing changes.
  ///
  /// - Parameter version: the one that is known.
  /// - Returns: nil when that is the current one.
  public func localStations(unlike version: StationsVersion?) -> (version: StationsVersion, stations: [LocalStation])? {
    endContests()
    // Read first: a change in between is then found the next time.
    let current = StationsVersion(
      table: learner.reader.changeCount, stations: learner.stations.withLock { $0.changeCount })
    guard current != version else { return nil }
    var vnis: [DomainIndex: VNI] = [:]
    for (vni, record) in state.domains.records where state.running.vnis[vni]?.logicalSwitch != nil { vnis[record.index] = vni }
    var keys: Set<MACKey> = []
    if !vnis.isEmpty {
      let indexes = state.ports.values.map(\.index)
      for index in indexes {
        // One port at a time: the learner must get its turn.
        for entry in learner.write({ $0.entries(port: index) }) where vnis[entry.key.domain] != nil { keys.insert(entry.key) }
      }
    }
    // The controller has these at other places; reporting them lets it reconsider.
    for key in learner.stations.withLock({ $0.contested.keys }) where vnis[key.domain] != nil { keys.insert(key) }
    let found = keys
    let stations = learner.stations.withLock { known -> [LocalStation] in
      // Some claim before the table has them.
      if known.count > 2 * found.count + 1024 { known.keep(found) }
      return found.compactMap { key in
        vnis[key.domain].map { LocalStation(vni: $0, mac: key.mac, address: known[key]) }
      }
    }
    return (current, stations)
  }

  /// Ends contests of stations whose port is down or not bound there any more, or that the table does not have elsewhere any more.
  private func endContests() {
    guard learner.stations.withLock({ !$0.contested.isEmpty }) else { return }
    let reader = learner.reader
    let places = Set(
      state.ports.values.filter(\.isUp).flatMap { record in
        record.bound.map { Unbound(domain: $0.value, place: .port(record.index, vlan: $0.key)) }
      })
    learner.stations.withLock { stations in
      stations.endContests(nowSeconds: MonotonicClock.seconds()) { key, place in
        let found = reader.lookup(key, hash: reader.hash(key))
        return !places.contains(Unbound(domain: key.domain, place: place)) || !found.isHit || found.type != .controller
      }
    }
  }
}
