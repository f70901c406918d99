// Worker+Drop: the end of frames that go no further: counted by reason and place, and the last ones of each reason kept for reports
// (DroppedFrames). Out of line: only what is dropped pays.

import CDPDK
import Encap
import MACTable

extension DropContext {
  /// Of a frame that has been staged.
  init(_ staged: UnsafePointer<StagedFrame>) {
    let seenAt = staged.pointee.seenAt
    self.init(
      domain: staged.pointee.destinationKey.domain,
      vtep: seenAt.isVTEP && seenAt != StagedFrame.noLocation ? seenAt.vtep : .absent)
  }
}

extension Worker {
  /// Counts the drop and frees the frame.
  @inline(never)
  mutating func drop(_ mbuf: Mbuf, port: PortIndex, _ reason: DropReason, _ context: DropContext = DropContext()) {
    countDrop(mbuf, port: port, reason, context)
    mbuf.free()
  }

  /// Counts the drop of a frame that the caller frees, or of a part of it.
  ///
  /// - Parameter packets: how many it stands for.
  @inline(never)
  mutating func countDrop(
    _ mbuf: Mbuf, port: PortIndex, _ reason: DropReason, _ context: DropContext = DropContext(), packets: Int = 1
  ) {
    let count = UInt64(truncatingIfNeeded: packets)
    counters.drop(port: port, reason).pointee.add(count)
    var context = context
    let entry = snapshot.pointee.ports + Int(port)
    if context.domain == .absent && !entry.pointee.isUnderlay { context.domain = snapshot.domain(ofFrame: mbuf, at: entry) }
    if context.domain != .absent { counters.drop(domain: context.domain, reason).pointee.add(count) }
    if Int(context.vtep) < Limits.vteps { counters.drop(vtep: context.vtep, reason).pointee.add(count) }
    if captures != nil { captureDrop(mbuf, port: port, reason, context) }
    if counters.droppedFrames.admits(reason, now: nowCycles) { keep(mbuf, port: port, reason, context) }
  }

  /// The same for several frames.
  @inline(never)
  mutating func countDrops(_ batch: UnsafeMutablePointer<OpaquePointer?>, _ range: Range<Int>, port: PortIndex, _ reason: DropReason) {
    for position in range { countDrop(Mbuf(batch[position].unsafelyUnwrapped), port: port, reason) }
  }

  /// Keeps a frame for reports, with what can be found out about it.
  @inline(never)
  private mutating func keep(_ mbuf: Mbuf, port: PortIndex, _ reason: DropReason, _ context: DropContext) {
    var vni = context.vni
    var vtep = IPAddress(high: 0, low: 0)
    if context.domain != .absent { vni = snapshot.pointee.domains[Int(context.domain)].vni.rawValue }
    if Int(context.vtep) < Limits.vteps { vtep = snapshot.pointee.vteps[Int(context.vtep)].address }
    if snapshot.pointee.ports[Int(port)].isUnderlay, context.isOfWhole {
      // On its way in or out.
      let outer = OuterPacket(trusting: mbuf.bytes, byteCount: mbuf.byteCount, policy: snapshot.pointee.decapPolicy)
      if outer.outcome == .accepted { vni = outer.vni.rawValue }
      if vtep.isUnspecified { vtep = snapshot.pointee.vtep(at: outer.source) == .own ? outer.destination : outer.source }
    }
    counters.droppedFrames.keep(mbuf, reason, port: port, vni: vni, vtep: vtep, now: nowCycles)
  }

  /// What is known about a frame that is on its way to a local binding.
  mutating func dropContext(_ target: LocalTarget) -> DropContext {
    let port = snapshot.pointee.ports + Int(target.port)
    let domain = target.vlan == 0 ? port.pointee.untaggedDomain : port.pointee.vlanDomains?[Int(target.vlan)]
    return DropContext(domain: domain ?? .absent)
  }
}

extension UnsafePointer<ForwardingSnapshot> {
  /// The domain of a frame as it is on a local port; absent: it belongs to no binding.
  func domain(ofFrame mbuf: Mbuf, at port: UnsafePointer<PortEntry>) -> DomainIndex {
    if let frame = EthernetView(mbuf.bytes), frame.isTagged {
      if let map = port.pointee.vlanDomains, port.pointee.takesTag(frame.etherType), map[Int(frame.vlanID)] != .absent {
        return map[Int(frame.vlanID)]
      }
      // A tag that names a VLAN belongs to the untagged binding only where that carries tags.
      if frame.vlanID != 0, port.pointee.untaggedDomain != .absent,
        !pointee.domains[Int(port.pointee.untaggedDomain)].carriesInnerVLAN
      {
        return .absent
      }
    }
    return port.pointee.untaggedDomain
  }
}
