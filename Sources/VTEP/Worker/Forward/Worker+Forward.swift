// Worker+Forward: delivery to local ports and flooding. Steps E6 and D6. Flooded frames are reference-counted
// clones: no payload is copied. What came from a tunnel never goes back into one.

import CDPDK
import Encap
import MACTable

extension Worker {
  /// Sends a frame without pending offloads to a local port, tagged as the binding there requires. Consumes the frame.
  @inline(always)
  mutating func deliver(_ mbuf: Mbuf, to target: LocalTarget, ingress: PortIndex) {
    let port = snapshot.pointee.ports + Int(target.port)
    guard port.pointee.isUp else {
      drop(mbuf, port: ingress, .portDown)
      return
    }
    let byteCount = mbuf.byteCount
    guard byteCount <= Int(port.pointee.maxFrameByteCount) || fitsWithTag(mbuf, byteCount: byteCount, to: target) else {
      drop(mbuf, port: ingress, port.pointee.tooBigReason)
      return
    }
    if target.vlan == 0 {
      let features = port.pointee.features
      if !features.isDisjoint(with: .inspectsDelivered) {
        if features.contains(.guardsVLANs), entersVLAN(mbuf, port) {
          drop(mbuf, port: ingress, .carriedVLANBound)
          return
        }
        if !features.isDisjoint(with: .takesSegments), coalesce(mbuf, port: target.port, features: features) { return }
      }
      transmit(mbuf, byteCount: byteCount, port: target.port)
    } else {
      deliverTagged(mbuf, to: target, ingress: ingress, chains: port.pointee.sendsSegments)
    }
  }

  /// Whether a frame exceeds the port's limit only by the one tag that is allowed on top: the carried one, if none is added.
  @inline(never)
  func fitsWithTag(_ mbuf: Mbuf, byteCount: Int, to target: LocalTarget) -> Bool {
    guard target.vlan == 0, EthernetView(mbuf.bytes)?.isTagged == true else { return false }
    return byteCount <= Int(snapshot.pointee.ports[Int(target.port)].maxFrameByteCount) + EthernetView.tagByteCount
  }

  /// Whether the carried tag of a frame for the port's untagged binding would put it into a bound VLAN.
  @inline(never)
  func entersVLAN(_ mbuf: Mbuf, _ port: UnsafePointer<PortEntry>) -> Bool {
    guard let map = port.pointee.vlanDomains, let frame = EthernetView(mbuf.bytes), frame.isTagged,
      port.pointee.takesTag(frame.etherType)
    else { return false }
    return map[Int(frame.vlanID)] != .absent
  }

  /// Adds the binding's VLAN tag, with the frame's priority: the addresses move four bytes down, into the headroom, or into a
  /// separate buffer when other ports share the frame.
  @inline(never)
  mutating func deliverTagged(_ mbuf: Mbuf, to target: LocalTarget, ingress: PortIndex, chains: Bool) {
    let addresses = mbuf.start.loadUnaligned(as: UInt64.self)
    let sourceTail = mbuf.start.loadUnaligned(fromByteOffset: 8, as: UInt32.self)
    // It belongs to the first buffer, which may be a new one.
    let request = mbuf.hasRequest ? mbuf.request : nil
    let tag = target.vlan | mbuf.notedTag & Self.priorityMask
    guard mbuf.removeFront(12), let tagged = mbuf.prepending(16, pool: pool, chains: chains) else {
      drop(mbuf, port: ingress, mbuf.isExclusive ? .noHeadroom : .noBuffers)
      return
    }
    let start = tagged.start
    start.storeBytes(of: addresses, as: UInt64.self)
    start.storeBytes(of: sourceTail, toByteOffset: 8, as: UInt32.self)
    start.storeBytes(of: snapshot.pointee.ports[Int(target.port)].tpid.bigEndian, toByteOffset: 12, as: UInt16.self)
    start.storeBytes(of: tag.bigEndian, toByteOffset: 14, as: UInt16.self)
    if var request {
      request.linkByteCount += EthernetView.tagByteCount
      tagged.request = request
    }
    // For the binding's counters, once the frame is sent.
    tagged.notedTag = tag
    taggedBatches |= 1 &<< UInt64(target.port.rawValue)
    transmit(tagged, byteCount: tagged.byteCount, port: target.port)
  }

  /// Floods broadcast, multicast and unknown unicast from a local port to the domain's other bindings and its flood list.
  ///
  /// - Parameter isLimited: subject to the domain's storm control; our own frames are not.
  @inline(always)
  mutating func floodFromAccess(_ mbuf: Mbuf, domain: DomainIndex, ingress location: MACLocation, isLimited: Bool = true) {
    let entry = snapshot.pointee.domains + Int(domain)
    let targets = snapshot.pointee.floodTargets + Int(entry.pointee.firstFlood)
    flood(mbuf, domain: domain, ingress: location, targets: targets, remotes: Int(entry.pointee.floodCount), isLimited: isLimited)
  }

  /// The same with any list of VTEPs.
  @inline(never)
  mutating func flood(
    _ mbuf: Mbuf, domain: DomainIndex, ingress location: MACLocation, targets: UnsafePointer<VTEPIndex>, remotes: Int,
    isLimited: Bool = true
  ) {
    let portIndex = location.port
    let entry = snapshot.pointee.domains + Int(domain)
    let source = FloodSource(
      place: LocalTarget(port: portIndex, vlan: location.vlan),
      isIsolated: snapshot.pointee.ports[Int(portIndex)].features.contains(.isIsolated), required: Self.featuresRequired(mbuf))
    let locals = localReceivers(entry, of: source)
    guard locals + remotes > 0 else {
      drop(mbuf, port: portIndex, reasonForNobody(entry, source))
      return
    }
    if entry.pointee.storm != DomainEntry.unlimited, isLimited,
      let reason = vniStormReason(mbuf, domain: domain, storm: entry.pointee.storm)
    {
      drop(mbuf, port: portIndex, reason)
      return
    }
    counters.flooded[Int(domain)].add(1)
    if entry.pointee.reportsStations { reportStation(mbuf, domain: domain, at: location) }

    var left = locals + remotes
    for index in 0..<remotes {
      left -= 1
      guard let copy = next(mbuf, isLast: left == 0, ingress: portIndex) else { continue }
      sendToVTEP(copy, vtep: targets[index], domain: domain, ingress: portIndex)
    }
    floodLocally(mbuf, entry, of: source, left: left, ingress: portIndex)
  }

  private func reasonForNobody(_ entry: UnsafePointer<DomainEntry>, _ source: FloodSource) -> DropReason {
    if !source.required.isEmpty { return .floodNoReceiver }
    if source.isIsolated && localReceivers(entry, of: FloodSource(place: source.place)) > 0 { return .portIsolated }
    if entry.pointee.localCount > 1 { return .portDown }
    return entry.pointee.isFloodDisabled ? .floodDisabled : .floodNoReceiver
  }

  /// The same for frames from a tunnel: to local bindings only (split horizon).
  @inline(never)
  mutating func floodFromUnderlay(_ mbuf: Mbuf, domain: DomainIndex, portIndex: PortIndex, isLimited: Bool = true) {
    let entry = snapshot.pointee.domains + Int(domain)
    let source = FloodSource(required: Self.featuresRequired(mbuf))
    let locals = localReceivers(entry, of: source)
    guard locals > 0 else {
      drop(mbuf, port: portIndex, .floodNoReceiver)
      return
    }
    if entry.pointee.storm != DomainEntry.unlimited, isLimited,
      let reason = vniStormReason(mbuf, domain: domain, storm: entry.pointee.storm)
    {
      drop(mbuf, port: portIndex, reason)
      return
    }
    floodLocally(mbuf, entry, of: source, left: locals, ingress: portIndex)
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

  private func localReceivers(_ entry: UnsafePointer<DomainEntry>, of source: FloodSource) -> Int {
    var count = 0
    let locals = snapshot.pointee.localTargets + Int(entry.pointee.firstLocal)
    for index in 0..<Int(entry.pointee.localCount) where reaches(locals[index], from: source) { count += 1 }
    return count
  }

  /// Whether a flooded frame goes to a binding: never to the one it came from.
  @inline(always)
  private func reaches(_ target: LocalTarget, from source: FloodSource) -> Bool {
    let port = snapshot.pointee.ports + Int(target.port)
    let features = port.pointee.features
    return target != source.place && port.pointee.isUp && !(source.isIsolated && features.contains(.isIsolated))
      && features.isSuperset(of: source.required)
  }

  private mutating func floodLocally(
    _ mbuf: Mbuf, _ entry: UnsafePointer<DomainEntry>, of source: FloodSource, left: Int, ingress: PortIndex
  ) {
    var left = left
    let locals = snapshot.pointee.localTargets + Int(entry.pointee.firstLocal)
    for index in 0..<Int(entry.pointee.localCount) where reaches(locals[index], from: source) {
      left -= 1
      guard let copy = next(mbuf, isLast: left == 0, ingress: ingress) else { continue }
      if copy.hasRequest {
        deliverUnfinished(copy, to: locals[index], ingress: ingress)
      } else {
        deliver(copy, to: locals[index], ingress: ingress)
      }
    }
  }

  /// The frame itself for its last receiver, a clone for the others. Nil, and counted, when no buffer is available.
  private func next(_ mbuf: Mbuf, isLast: Bool, ingress: PortIndex) -> Mbuf? {
    if isLast { return mbuf }
    if let clone = mbuf.clone(from: pool) { return clone }
    counters.drop(port: ingress, .noBuffers).pointee.add(1)
    return nil
  }
}
