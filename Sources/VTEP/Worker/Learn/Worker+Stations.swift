// Worker+Stations: tells the learner of sightings, and remembers them until it has decided: a source address that is new at its place,
// and, where a controller wants to know, the IP address that a local station says it has. Steps E3, E6 and D4, off the fast path: only
// frames of new sources and flooded frames come here.

import CDPDK
import Encap
import MACTable

extension Worker {
  /// Handles a source address that the table does not have at this place.
  ///
  /// - Parameter mbuf: the frame, after an outer header.
  @inline(never)
  mutating func reportSighting(_ mbuf: Mbuf, _ staged: UnsafeMutablePointer<StagedFrame>) {
    var event = LearnEvent(key: staged.pointee.sourceKey, location: staged.pointee.seenAt, vtep: IPAddress(high: 0, low: 0))
    let domain = event.key.domain
    let entry = snapshot.pointee.domains + Int(domain)
    // Its first frame may be the only one that reveals its IP address, such as an ARP reply.
    if entry.pointee.reportsStations || entry.pointee.suppressesNeighbors, let message = NeighborMessage(mbuf.bytes) {
      if entry.pointee.reportsStations, !staged.pointee.seenAt.isVTEP, let address = message.stationAddress { event.station = address }
      // Flooded ones are looked at in step E6.
      if entry.pointee.suppressesNeighbors, !MACAddress(loading: mbuf.bytes, at: 0).isMulticast, let claim = message.claim {
        tell(claim, domain: domain, from: staged.pointee.seenAt)
      }
    }
    sendToLearner(event)
  }

  /// Handles a flooded frame of a local station that may reveal its IP address.
  @inline(never)
  mutating func reportStation(_ mbuf: Mbuf, domain: DomainIndex, at location: MACLocation) {
    guard let address = NeighborMessage(mbuf.bytes)?.stationAddress else { return }
    let source = EthernetHeader(unchecked: mbuf.bytes, at: 0).source
    sendToLearner(
      LearnEvent(
        key: MACKey(domain: domain, mac: source), location: location, vtep: IPAddress(high: 0, low: 0), station: address))
  }

  /// The place that any worker has reported to the learner for a station not in the table; `noLocation`: none has. What this worker has
  /// reported itself counts first: it may be of this very frame.
  mutating func pendingPlace(of key: MACKey, hash: UInt64) -> MACLocation {
    guard !key.mac.isMulticast else { return StagedFrame.noLocation }
    for step in 0..<workers {
      let next = index &+ step
      switch learnRings[next < workers ? next : next &- workers].find(key, hash: hash) {
      case .unknown: continue
      case .pending(let place): return place
      case .decided:
        let found = table.lookup(key, hash: hash)
        if found.isHit { return found.location }
      }
    }
    return StagedFrame.noLocation
  }

  /// Whether any worker has seen a station behind a VTEP that is about to get an index.
  mutating func isAwaited(_ key: MACKey) -> Bool {
    guard !key.mac.isMulticast else { return false }
    let now = cdpdk_cycles()
    return (0..<workers).contains { learnRings[$0].isAwaited(key, now: now) }
  }
}
