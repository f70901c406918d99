// Worker+Neighbors: ARP and ND in VNIs with neighbour suppression: notes which addresses stations claim, and answers requests for known
// addresses in their owner's place (docs/decisions/0046). Step E6: only frames that would be flooded come here.

import Encap
import MACTable

extension Worker {
  /// Looks at a frame that would be flooded.
  ///
  /// - Returns: true: it was answered, and is consumed.
  @inline(never)
  mutating func takeNeighborRequest(_ mbuf: Mbuf, domain: DomainIndex, from seenAt: MACLocation, ingress: PortIndex) -> Bool {
    guard let message = NeighborMessage(mbuf.bytes) else { return false }
    // What concerns a router has been told by `takeForRouter`.
    if let claim = message.claim, claim != message.told || !concernsRouter(claim.address, domain) {
      tell(claim, domain: domain, from: seenAt)
    }
    let verdict = verdictOnNeighbor(message, domain: domain, from: seenAt, ingress: ingress)
    if case .pass = verdict { counters.neighborPasses[Int(domain)].add(1) }
    guard case .answer(let owner) = verdict, let answer = buffer(message.answerByteCount)
    else { return false }
    answer.withMutableBytes { message.writeAnswer(into: &$0, inPlaceOf: owner.mac, isRouter: owner.role == .router) }
    counters.neighborAnswers[Int(domain)].add(1)
    mbuf.free()
    deliver(answer, to: LocalTarget(port: ingress, vlan: seenAt.vlan), ingress: ingress)
    return true
  }

  /// Whether a question that would be flooded is answered here. Those from the overlay are left to the VTEP that they come from.
  mutating func verdictOnNeighbor(
    _ message: NeighborMessage, domain: DomainIndex, from seenAt: MACLocation, ingress: PortIndex
  ) -> NeighborVerdict {
    let entry = snapshot.pointee.domains + Int(domain)
    guard let neighbors, !seenAt.isVTEP, entry.pointee.suppressesNeighbors, message.isForAnybody else { return .notAsked }
    guard let known = neighbors.find(domain, message.target) else { return .pass(.unknown) }
    // Without a flood set nobody behind a VTEP would hear the question. There a claim does not take an address from the station that the
    // operator or the controller gives it to, nor from the one that has claimed it last.
    let hasFloodSet = entry.pointee.floodCount > 0
    if known.isAmbiguous || known.isContested && hasFloodSet { return .pass(.contested) }
    if known.mac == message.source { return .pass(.ownAddress) }
    if message.target.isLinkLocal, !message.target.isIPv4, known.role == .unknown { return .pass(.roleUnknown) }
    let key = MACKey(domain: domain, mac: known.mac)
    let found = table.lookup(key, hash: table.hash(key))
    guard found.isHit else { return .pass(.silent) }
    let place = found.location
    if place.isVTEP { return .answer(known) }
    // The owner is at a port here, and so hears the question, as does any other local station that claims the address.
    if known.isContested { return .pass(.contested) }
    if place == seenAt { return .pass(.samePlace) }
    let (port, owners) = (snapshot.pointee.ports + Int(ingress), snapshot.pointee.ports + Int(place.port))
    guard owners.pointee.isUp else { return .pass(.portDown) }
    if port.pointee.features.contains(.isIsolated), owners.pointee.features.contains(.isIsolated) { return .pass(.isolated) }
    return .answer(known)
  }

  /// Tells the learner of an address that a station claims, unless the table has all of it already.
  mutating func tell(_ claim: NeighborClaim, domain: DomainIndex, from seenAt: MACLocation) {
    // A dry worker leaves the table as it is. What our router asks from is no station.
    guard recorder == nil, let neighbors, claim.mac != snapshot.pointee.routing.requestMAC else { return }
    let source: NeighborSources = seenAt.isVTEP ? .overlay : .local
    if let known = neighbors.find(domain, claim.address), !known.isContested, known.mac == claim.mac, known.sources.contains(source),
      claim.role == .unknown || claim.role == known.role
    {
      neighbors.touch(known, nowSeconds: nowSeconds)
      return
    }
    sendToLearner(LearnEvent(claim, domain: domain, by: source))
  }
}
