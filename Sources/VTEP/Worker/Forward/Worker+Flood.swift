// Worker+Flood: frames for several receivers: flooded ones, and those to a multicast address that a controller has placed (selective
// replication). Steps E6 and D6. Copies are reference-counted clones: no payload is copied.

import CDPDK
import Encap
import MACTable

extension Worker {
  /// Sends a frame to the domain's other local bindings and to the VTEPs of `scope`. Consumes the frame.
  ///
  /// - Parameters:
  ///   - seenAt: where it came in; a local binding gets nothing back.
  ///   - isLimited: subject to the domain's storm control; our own frames are not.
  @inline(never)
  mutating func flood(
    _ mbuf: Mbuf, _ scope: FloodScope, domain: DomainIndex, from seenAt: MACLocation, ingress: PortIndex, isLimited: Bool
  ) {
    if MACAddress(loading: mbuf.bytes, at: 0).isBFD {
      takeBFD(mbuf, domain: domain, from: seenAt, portIndex: ingress)
      return
    }
    let entry = snapshot.pointee.domains + Int(domain)
    if entry.pointee.suppressesNeighbors, takeNeighborRequest(mbuf, domain: domain, from: seenAt, ingress: ingress) { return }
    var source = FloodSource(required: Self.featuresRequired(mbuf))
    if !seenAt.isVTEP {
      source.place = LocalTarget(port: ingress, vlan: seenAt.vlan)
      source.isIsolated = snapshot.pointee.ports[Int(ingress)].features.contains(.isIsolated)
    }
    let context = DropContext(domain: domain, vtep: seenAt.isVTEP && seenAt != StagedFrame.noLocation ? seenAt.vtep : .absent)
    let (firstRemote, remotes) = range(scope, entry)
    let locals = localReceivers(entry, of: source)
    guard locals + remotes > 0 else {
      drop(mbuf, port: ingress, reasonForNobody(entry, source), context)
      return
    }
    if entry.pointee.storm != DomainEntry.unlimited, isLimited,
      let reason = vniStormReason(mbuf, domain: domain, storm: entry.pointee.storm)
    {
      drop(mbuf, port: ingress, reason, context)
      return
    }
    if source.place != nil {
      counters.flooded[Int(domain)].add(1)
      if entry.pointee.reportsStations { reportStation(mbuf, domain: domain, at: seenAt) }
    }

    var left = locals + remotes
    let targets = snapshot.pointee.floodTargets + firstRemote
    for index in 0..<remotes {
      left -= 1
      guard let copy = next(mbuf, isLast: left == 0, ingress: ingress, context) else { continue }
      sendToVTEP(copy, vtep: targets[index], domain: domain, ingress: ingress)
    }
    floodLocally(mbuf, entry, of: source, left: left, ingress: ingress, context)
  }

  /// Range of `floodTargets`.
  private mutating func range(_ scope: FloodScope, _ entry: UnsafePointer<DomainEntry>) -> (first: Int, count: Int) {
    switch scope {
    case .domain: return (Int(entry.pointee.firstFlood), Int(entry.pointee.floodCount))
    case .list(let list):
      let vtep = snapshot.pointee.vteps + Int(list)
      return (Int(vtep.pointee.firstMember), Int(vtep.pointee.memberCount))
    case .localOnly: return (0, 0)
    }
  }

  private mutating func reasonForNobody(_ entry: UnsafePointer<DomainEntry>, _ source: FloodSource) -> DropReason {
    if source.place == nil || !source.required.isEmpty { return .floodNoReceiver }
    if source.isIsolated && localReceivers(entry, of: FloodSource(place: source.place)) > 0 { return .portIsolated }
    if entry.pointee.localCount > 1 { return .portDown }
    return entry.pointee.isFloodDisabled ? .floodDisabled : .floodNoReceiver
  }

  /// Where a flooded frame comes from; by default the overlay.
  private struct FloodSource {
    var place: LocalTarget?
    var isIsolated = false
    /// What a port must support to receive the frame.
    var required: PortFeatures = []
  }

  /// Link-local control frames go only to ports that tunnel them.
  private static func featuresRequired(_ mbuf: Mbuf) -> PortFeatures {
    MACAddress(loading: mbuf.bytes, at: 0).isLinkLocalControl ? .tunnelsControl : []
  }

  private mutating func localReceivers(_ entry: UnsafePointer<DomainEntry>, of source: FloodSource) -> Int {
    var count = 0
    let locals = snapshot.pointee.localTargets + Int(entry.pointee.firstLocal)
    for index in 0..<Int(entry.pointee.localCount) where reaches(locals[index], from: source) { count += 1 }
    return count
  }

  /// Whether a flooded frame goes to a binding: never to the one it came from.
  @inline(always)
  private mutating func reaches(_ target: LocalTarget, from source: FloodSource) -> Bool {
    let port = snapshot.pointee.ports + Int(target.port)
    let features = port.pointee.features
    return target != source.place && port.pointee.isUp && !(source.isIsolated && features.contains(.isIsolated))
      && features.isSuperset(of: source.required)
  }

  private mutating func floodLocally(
    _ mbuf: Mbuf, _ entry: UnsafePointer<DomainEntry>, of source: FloodSource, left: Int, ingress: PortIndex, _ context: DropContext
  ) {
    var left = left
    let locals = snapshot.pointee.localTargets + Int(entry.pointee.firstLocal)
    for index in 0..<Int(entry.pointee.localCount) where reaches(locals[index], from: source) {
      left -= 1
      guard let copy = next(mbuf, isLast: left == 0, ingress: ingress, context) else { continue }
      deliver(copy, to: locals[index], ingress: ingress)
    }
  }

  /// The frame itself for its last receiver, a clone for the others. Nil, and counted, when no buffer is available.
  private mutating func next(_ mbuf: Mbuf, isLast: Bool, ingress: PortIndex, _ context: DropContext) -> Mbuf? {
    if isLast { return mbuf }
    if let clone = mbuf.clone(from: pool) { return clone }
    countDrop(mbuf, port: ingress, .noBuffers, context)
    return nil
  }
}
