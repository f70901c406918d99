// Worker+Deliver: delivery to local ports. Steps E6 and D6. A frame is finished first (Worker+Offload), then checked against the port and
// tagged.

import CDPDK
import Encap
import MACTable

extension Worker {
  /// Sends a frame to a local port, tagged as the binding there requires. Consumes the frame.
  @inline(always)
  mutating func deliver(_ mbuf: Mbuf, to target: LocalTarget, ingress: PortIndex) {
    let port = snapshot.pointee.ports + Int(target.port)
    guard port.pointee.isUp else {
      drop(mbuf, port: ingress, .portDown, dropContext(target))
      return
    }
    if mbuf.hasRequest {
      deliverPending(mbuf, to: target, port, ingress: ingress)
    } else {
      put(mbuf, wireByteCount: mbuf.byteCount, to: target, port, ingress: ingress, mayJoin: true)
    }
  }

  /// A frame with a pending offload request goes unchanged to a port that supports it, and finished to any other.
  @inline(never)
  private mutating func deliverPending(
    _ mbuf: Mbuf, to target: LocalTarget, _ port: UnsafePointer<PortEntry>, ingress: PortIndex
  ) {
    if Self.takes(port.pointee.features, mbuf) {
      put(mbuf, wireByteCount: mbuf.wireByteCount, to: target, port, ingress: ingress, mayJoin: false)
    } else {
      finish(mbuf, for: .local(target), ingress: ingress)
    }
  }

  private static func takes(_ features: PortFeatures, _ mbuf: Mbuf) -> Bool {
    guard features.contains(.takesUnfinished) else { return false }
    guard mbuf.wantsSegments else { return true }
    let request = mbuf.request
    // A virtio-net header has no room for the offsets of a tunnel.
    if request.isTunnelled { return false }
    if request.isUDP { return features.contains(.takesSegmentsUDP) }
    return features.contains(request.isIPv6 ? .takesSegmentsIPv6 : .takesSegmentsIPv4)
  }

  /// Adds a frame to the batch of a port that is up and takes the frame as it is.
  ///
  /// - Parameters:
  ///   - wireByteCount: size of the largest packet that the frame becomes, in bytes.
  ///   - mayJoin: may be joined to its predecessor, or its successors to it.
  @inline(always)
  mutating func put(
    _ mbuf: Mbuf, wireByteCount: Int, to target: LocalTarget, _ port: UnsafePointer<PortEntry>, ingress: PortIndex, mayJoin: Bool
  ) {
    guard wireByteCount <= Int(port.pointee.maxFrameByteCount) || fitsWithTag(mbuf, byteCount: wireByteCount, to: target) else {
      drop(mbuf, port: ingress, .tooBigForPort, dropContext(target))
      return
    }
    guard target.vlan == 0 else {
      putTagged(mbuf, to: target, ingress: ingress, chains: port.pointee.sendsSegments)
      return
    }
    let features = port.pointee.features
    if !features.isDisjoint(with: .inspectsDelivered) {
      if features.contains(.filtersEgress), !mayLeave(mbuf, by: target) { return }
      if features.contains(.guardsVLANs), entersVLAN(mbuf, port) {
        drop(mbuf, port: ingress, .carriedVLANBound, dropContext(target))
        return
      }
      if mayJoin, !features.isDisjoint(with: .takesSegments), coalesce(mbuf, port: target.port, features: features) { return }
    }
    transmit(mbuf, byteCount: mbuf.byteCount, port: target.port)
  }

  /// Whether a frame exceeds the port's limit only by the one tag that is allowed on top: the carried one, if none is added.
  @inline(never)
  private mutating func fitsWithTag(_ mbuf: Mbuf, byteCount: Int, to target: LocalTarget) -> Bool {
    guard target.vlan == 0, EthernetView(mbuf.bytes)?.isTagged == true else { return false }
    return byteCount <= Int(snapshot.pointee.ports[Int(target.port)].maxFrameByteCount) + EthernetView.tagByteCount
  }

  /// Whether the carried tag of a frame for the port's untagged binding would put it into a bound VLAN.
  @inline(never)
  private mutating func entersVLAN(_ mbuf: Mbuf, _ port: UnsafePointer<PortEntry>) -> Bool {
    guard let map = port.pointee.vlanDomains, let frame = EthernetView(mbuf.bytes), frame.isTagged,
      port.pointee.takesTag(frame.etherType)
    else { return false }
    return map[Int(frame.vlanID)] != .absent
  }

  /// Adds the binding's VLAN tag, with the frame's priority.
  @inline(never)
  private mutating func putTagged(_ mbuf: Mbuf, to target: LocalTarget, ingress: PortIndex, chains: Bool) {
    if snapshot.pointee.ports[Int(target.port)].features.contains(.filtersEgress), !mayLeave(mbuf, by: target) { return }
    // It belongs to the first buffer, which may be a new one.
    let request = mbuf.hasRequest ? mbuf.request : nil
    let tag = target.vlan | mbuf.notedTag & Self.priorityMask
    let tpid = UInt32(snapshot.pointee.ports[Int(target.port)].tpid)
    guard let tagged = mbuf.insertingTag(tpid &<< 16 | UInt32(tag), pool: pool, chains: chains) else {
      drop(mbuf, port: ingress, mbuf.isExclusive ? .noHeadroom : .noBuffers, dropContext(target))
      return
    }
    if var request {
      request.linkByteCount += EthernetView.tagByteCount
      tagged.request = request
    }
    // For the binding's counters, once the frame is sent.
    tagged.notedTag = tag
    expectTag(on: target.port)
    transmit(tagged, byteCount: tagged.byteCount, port: target.port)
  }
}
