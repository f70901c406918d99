// ControlState+Restore: enters what an earlier run has left, after the configuration and the controller's state are in force and before workers
// begin: so nothing that was known is flooded. The configuration counts: what it no longer allows is left out.

import CDPDK
import Encap
import MACTable

/// What became of the addresses of a saved state.
public struct Restoration: Equatable, Sendable {
  public var restored = 0
  /// Not seen for the VNI's age.
  public var expired = 0
  /// The VNI, the port or its binding, or the VTEP is no longer there, or nothing is learned there any more.
  public var gone = 0
  /// The configuration or the controller says where the address is.
  public var known = 0
  /// The table or the VNI is full.
  public var noRoom = 0

  /// For the log.
  public var text: String {
    let left: [(Int, String)] = [
      (expired, "past their age"), (gone, "of VNIs, ports and VTEPs that are gone"), (known, "configured elsewhere"),
      (noRoom, "without room"),
    ]
    let others = left.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
    return "\(restored) learned addresses restored" + (others.isEmpty ? "" : "; left out: \(others)")
  }
}

extension ControlState {
  /// Table entries written at once: other writers must get their turn.
  private static let batch = 4096
  /// Ticks that the guest of a port has to come back; after that, the port counts as down, and nothing is known behind it any more.
  private static let returnTicks = 10 * PortFault.ticksPerSecond

  /// Shuts ports again that a guard had shut. Before their devices are opened.
  mutating func restoreFaults(_ saved: SavedState) {
    for port in saved.ports {
      guard let shut = port.shut else { continue }
      let left = Int32(truncatingIfNeeded: shut.endSeconds &- effects.nowSeconds)
      guard left > 0 else { continue }
      let cause = shut.isLoop ? PortFault.Cause.loopProbe : .bpduGuard
      restoredFaults[port.attachment] = PortFault(cause, reason: shut.reason, at: ticks, holdSeconds: UInt32(left))
    }
  }

  /// Enters learned addresses, and continues counters. Settles.
  mutating func restore(_ saved: SavedState) -> Restoration {
    restoredFaults = [:]
    let names = Dictionary(ports.values.map { ($0.settings.savedAttachment, $0.settings.name) }) { $1 }
    let places = locate(saved, names)
    // VTEPs have their indexes now.
    continueCounts(saved, names)
    settle()
    var result = Restoration()

    let now = effects.nowSeconds
    for start in stride(from: 0, to: saved.addresses.count, by: Self.batch) {
      let batch = saved.addresses[start..<min(start + Self.batch, saved.addresses.count)]
      let outcomes = effects.write { table in
        let reader = table.reader
        // Entries go all over the table: their cache lines come while the next addresses are looked at.
        let found = batch.map { address in
          let found = places.find(address.mac, address.vni, address.place)
          if let found {
            let bucket = reader.bucket(of: reader.hash(found.key))
            cdpdk_prefetch(bucket.address)
            cdpdk_prefetch(reader.touchAddress(of: bucket))
          }
          return found
        }
        return zip(batch, found).map { address, found -> MACTable.RestoreOutcome? in
          guard let (key, spot) = found else { return nil }
          if spot.limit > 0, reader.learnedCount(port: spot.location.port) >= spot.limit { return .noRoom }
          return table.restore(
            key, at: spot.location, moves: address.moves, lastSeenSeconds: address.lastSeenSeconds, since: address.since,
            nowSeconds: now)
        }
      }
      for outcome in outcomes { result.count(outcome) }
    }
    restoreMoves(saved, places)
    if result.restored > 0 { returnTick = ticks + Self.returnTicks }
    return result
  }

  /// After a while: forgets what was restored behind ports whose guest has not come back.
  mutating func endReturns() {
    guard let end = returnTick, ticks >= end else { return }
    returnTick = nil
    for record in ports.values where !record.isUp { ports.touch(record.settings.name, isSilent: true, stale: &stale) }
  }

  // -- places ------------------------------------------------------------------------------------------------------------

  /// What the positions of a saved state stand for now.
  struct RestoredPlaces: Sendable {
    struct Domain {
      var index: DomainIndex
      var learnsFromVTEPs: Bool
      /// VTEPs that may send to it; nil: all.
      var peers: Set<VTEPIndex>?
    }

    struct Spot {
      var location: MACLocation
      /// What is bound to the port there; nil: a VTEP.
      var domain: DomainIndex?
      /// Learned addresses allowed behind the port; 0: as many as there are.
      var limit: UInt32 = 0
    }

    /// By position; nil: gone.
    var domains: [Domain?] = []
    var spots: [Spot?] = []

    /// Nil: nothing is learned there any more.
    func find(_ mac: MACAddress, _ vni: UInt32, _ place: UInt32) -> (key: MACKey, spot: Spot)? {
      guard let domain = domains[Int(vni)], let spot = spots[Int(place)], !mac.isMulticast else { return nil }
      if spot.location.isVTEP {
        guard domain.learnsFromVTEPs, domain.peers?.contains(spot.location.vtep) != false else { return nil }
      } else if spot.domain != domain.index {
        return nil
      }
      return (MACKey(domain: domain.index, mac: mac), spot)
    }
  }

  /// Finds ports, and enters VTEPs behind which something is known.
  private mutating func locate(_ saved: SavedState, _ names: [String: String]) -> RestoredPlaces {
    var places = RestoredPlaces()
    var isUsed = Array(repeating: false, count: saved.places.count)
    let live = saved.vnis.map { counts in domains[counts.vni] != nil && running.vnis[counts.vni]?.learning == true }
    for address in saved.addresses where live[Int(address.vni)] { isUsed[Int(address.place)] = true }
    for (position, place) in saved.places.enumerated() {
      switch place {
      case .port(let port, let vlan):
        places.spots.append(names[saved.ports[port].attachment].flatMap { spot(atPort: $0, vlan: vlan) })
      case .vtep(let address):
        let isUseful =
          isUsed[position] && running.underlay.reasonAgainstDestination(address) == nil
          && address.reasonAgainstVTEP == nil
        places.spots.append(
          isUseful ? vtep(address, isConfigured: false).map { RestoredPlaces.Spot(location: .vtep($0.index)) } : nil)
      }
    }
    for counts in saved.vnis {
      guard let record = domains[counts.vni], let settings = running.vnis[counts.vni] else {
        places.domains.append(nil)
        continue
      }
      let peers = settings.acceptFrom == .peers ? Set(peerAddresses(settings).compactMap { underlay.vteps[$0]?.index }) : nil
      places.domains.append(RestoredPlaces.Domain(index: record.index, learnsFromVTEPs: settings.learning, peers: peers))
    }
    return places
  }

  /// Nil: nothing is learned at the port.
  private func spot(atPort name: String, vlan: UInt16) -> RestoredPlaces.Spot? {
    guard let record = ports[name], record.settings.wantsDevice, !record.isShut, !record.settings.policy.antiSpoofing,
      let domain = record.bound[vlan]
    else { return nil }
    return RestoredPlaces.Spot(
      location: .port(record.index, vlan: vlan), domain: domain, limit: record.settings.policy.macLimit)
  }

  private func restoreMoves(_ saved: SavedState, _ places: RestoredPlaces) {
    effects.write { table in
      for frozen in saved.frozen {
        guard let (key, first) = places.find(frozen.mac, frozen.vni, frozen.first),
          let (_, second) = places.find(frozen.mac, frozen.vni, frozen.second)
        else { continue }
        _ = table.restoreFrozen(
          MACMove(key: key, first: first.location, second: second.location, moves: frozen.moves, frozenSinceSeconds: frozen.sinceSeconds))
      }
      for record in saved.moving {
        guard let (key, place) = places.find(record.mac, record.vni, record.place) else { continue }
        let moves = record.moves.compactMap { move in
          places.find(record.mac, record.vni, move.from).map { MACMoveRecord.Move(seconds: move.seconds, from: $0.spot.location) }
        }
        table.restoreMoves(MACMoveRecord(key: key, moves: moves, place: place.location))
      }
    }
  }

  // -- counters ----------------------------------------------------------------------------------------------------------

  private mutating func continueCounts(_ saved: SavedState, _ names: [String: String]) {
    for port in saved.ports {
      guard let record = names[port.attachment].flatMap({ ports[$0] }) else { continue }
      baselines.add(port: record.index, port.traffic, drops: Self.values(drops: port.drops))
      for (vlan, traffic) in port.bindings where record.bound[vlan] != nil {
        baselines.add(port: record.index, vlan: vlan, traffic)
      }
    }
    for counts in saved.vnis {
      guard let record = domains[counts.vni] else { continue }
      baselines.add(
        domain: record.index, counts.traffic, flooded: counts.flooded,
        storms: Self.values(counts.stormDrops, FloodClass.allCases.map(\.vniReason.name)), drops: Self.values(drops: counts.drops),
        neighbors: counts.neighbors)
    }
    for counts in saved.vteps {
      // Those behind which nothing is known and that nobody names are forgotten.
      guard let record = underlay.vteps[counts.address] else { continue }
      baselines.add(vtep: record.index, counts.traffic, drops: Self.values(drops: counts.drops))
    }
    effects.continueBFD(Dictionary(saved.vteps.compactMap { counts in counts.bfd.map { (counts.address, $0) } }) { $1 })
    for counts in saved.routers { routers.earlier[RouterTable.Key(router: counts.router, vni: counts.vni)] = counts.traffic }
    continueRouterCounts()
    for counts in saved.acls {
      guard let record = acls[counts.name] else { continue }
      for entry in record.entries {
        if let count = counts.entries[entry.identity] { baselines.add(aclEntry: entry.slot, count) }
      }
    }
    let uplinks = Dictionary(saved.uplinks.map { ($0.name, $0) }) { $1 }
    for (index, name) in underlay.devices.flatMap(\.places) {
      guard let counts = uplinks[name] else { continue }
      baselines.add(port: index, counts.traffic, drops: Self.values(drops: counts.drops))
      baselines.add(
        uplink: index,
        CounterBaselines.EarlierUplink(
          ignored: Self.values(counts.ignored, IgnoredCause.allCases.map(\.name)),
          passed: Self.values(counts.passed, HostFrameClass.allCases.map(\.name)),
          limited: Self.values(counts.limited, HostFrameClass.allCases.map(\.name)), missed: counts.missed))
    }
    baselines.add(dropTotals: Self.values(drops: saved.dropTotals))
    let refusals = saved.vnis.compactMap { counts in domains[counts.vni].map { ($0.index, counts.learnRefusals) } }
    effects.write { table in
      table.continueCounts(inserts: saved.inserts, moves: saved.moves, evictions: saved.evictions)
      for (domain, count) in refusals { table.continueRefusals(domain: domain, count) }
    }
  }

  /// By reason.
  private static func values(drops: SavedState.Counts) -> [UInt64] { values(drops, DropReason.allCases.map(\.name)) }

  /// In the order of `names`.
  private static func values(_ counts: SavedState.Counts, _ names: [String]) -> [UInt64] { names.map { counts[$0] ?? 0 } }
}

extension Restoration {
  fileprivate mutating func count(_ outcome: MACTable.RestoreOutcome?) {
    switch outcome {
    case .restored: restored += 1
    case .expired: expired += 1
    case .known: known += 1
    case .noRoom: noRoom += 1
    case nil: gone += 1
    }
  }
}
