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
    noteClaim(mbuf, domain: domain, at: seenAt)
    let verdict = verdictOnNeighbor(mbuf, domain: domain, from: seenAt, ingress: ingress)
    if case .pass = verdict { counters.neighborPasses[Int(domain)].add(1) }
    guard case .answer(let mac) = verdict, let request = NeighborRequest(parsing: mbuf.bytes), let answer = buffer(request.answerByteCount)
    else { return false }
    answer.withMutableBytes { request.writeAnswer(from: mac, into: &$0) }
    counters.neighborAnswers[Int(domain)].add(1)
    mbuf.free()
    deliver(answer, to: LocalTarget(port: ingress, vlan: seenAt.vlan), ingress: ingress)
    return true
  }

  /// Whether a frame that would be flooded is answered here. Requests from the overlay are left to the VTEP that they come from.
  mutating func verdictOnNeighbor(_ mbuf: Mbuf, domain: DomainIndex, from seenAt: MACLocation, ingress: PortIndex) -> NeighborVerdict {
    guard let neighbors, !seenAt.isVTEP, snapshot.pointee.domains[Int(domain)].answersNeighbors,
      let request = NeighborRequest(parsing: mbuf.bytes)
    else { return .notAsked }
    guard let known = neighbors.find(domain, request.target) else { return .pass(.unknown) }
    if known.isContested { return .pass(.contested) }
    if known.mac == request.senderMAC { return .pass(.ownAddress) }
    let key = MACKey(domain: domain, mac: known.mac)
    let found = table.lookup(key, hash: table.hash(key))
    guard found.isHit else { return .pass(.silent) }
    let place = found.location
    if place.isVTEP { return .answer(known.mac) }
    if place == seenAt { return .pass(.samePlace) }
    let (port, owners) = (snapshot.pointee.ports + Int(ingress), snapshot.pointee.ports + Int(place.port))
    guard owners.pointee.isUp else { return .pass(.portDown) }
    if port.pointee.features.contains(.isIsolated), owners.pointee.features.contains(.isIsolated) { return .pass(.isolated) }
    return .answer(known.mac)
  }

  /// Tells the learner which address the frame's source claims, unless that is known.
  private mutating func noteClaim(_ mbuf: Mbuf, domain: DomainIndex, at seenAt: MACLocation) {
    // A dry worker leaves the table as it is.
    guard recorder == nil, let neighbors, let address = StationAddress.claimed(by: mbuf.bytes) else { return }
    let mac = EthernetHeader(unchecked: mbuf.bytes, at: 0).source
    let source: NeighborSources = seenAt.isVTEP ? .overlay : .local
    if let known = neighbors.find(domain, address), !known.isContested, known.mac == mac, known.sources.contains(source) {
      neighbors.touch(known, nowSeconds: nowSeconds)
      return
    }
    sendToLearner(LearnEvent(key: MACKey(domain: domain, mac: mac), claiming: address, by: source))
  }
}
