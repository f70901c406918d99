// Worker+Underlay: packets from the wire. Steps D2 to D5: parse and verify the outer headers, map the VNI to a domain, apply ECN,
// learn the source's VTEP, and look up the destination, which must be behind a local port.

import CDPDK
import Encap
import MACTable

extension Worker {
  mutating func receiveFromUnderlay(_ count: Int, portIndex: PortIndex) {
    beginBurst()
    var live = 0
    var byteCount: UInt64 = 0
    for index in 0..<count {
      let mbuf = Mbuf(frames[index].unsafelyUnwrapped)
      byteCount &+= UInt64(truncatingIfNeeded: mbuf.byteCount)
      guard decapsulate(mbuf, portIndex: portIndex, to: live) else { continue }
      frames[live] = mbuf.raw
      live &+= 1
    }
    counters.ports[Int(portIndex)].addReceived(packets: UInt64(count), bytes: byteCount)

    learnFromVTEPs(portIndex: portIndex)
    forwardFromUnderlay(live, portIndex: portIndex)
  }

  /// Steps D2 and D3 for one packet: leaves the inner frame in the buffer.
  ///
  /// - Returns: false when the packet was dropped or is not ours.
  @inline(always)
  private mutating func decapsulate(_ mbuf: Mbuf, portIndex: PortIndex, to position: Int) -> Bool {
    // A fast path for the common packet: with constant offsets and a known VTEP it costs much less.
    guard mbuf.isContiguous, let outer = PlainOuterIPv4(mbuf.bytes, udpPort: snapshot.pointee.decapPolicy.udpPort),
      UInt64(outer.destination) == snapshot.pointee.ownIPv4
    else { return decapsulateGeneral(mbuf, portIndex: portIndex, to: position) }
    let vtep = snapshot.pointee.vtep(atIPv4: outer.source)
    guard vtep < .own else { return decapsulateGeneral(mbuf, portIndex: portIndex, to: position) }
    return admit(
      mbuf, vtep: vtep, address: IPAddress(ipv4: outer.source), vni: outer.vni, innerOffset: PlainOuterIPv4.byteCount,
      innerByteCount: outer.innerByteCount, trafficClass: outer.trafficClass, portIndex: portIndex, to: position)
  }

  /// The general path: IPv6, group destinations, unknown VTEPs, malformed packets, and packets for others.
  @inline(never)
  private mutating func decapsulateGeneral(_ mbuf: Mbuf, portIndex: PortIndex, to position: Int) -> Bool {
    guard mbuf.isContiguous || cdpdk_mbuf_linearize(mbuf.raw) == 0 else {
      drop(mbuf, port: portIndex, .frameTooLong)
      return false
    }
    if let reason = CutFrame.reason(byteCount: mbuf.byteCount) {
      drop(mbuf, port: portIndex, reason)
      return false
    }
    let outer = OuterPacket(parsing: mbuf.bytes, policy: snapshot.pointee.decapPolicy)
    guard outer.outcome == .accepted else {
      if outer.outcome == .notVXLAN {
        counters.ignored(port: portIndex, IgnoredCause(mbuf.bytes)).pointee.add(1)
        mbuf.free()
      } else {
        drop(mbuf, port: portIndex, outer.reason)
      }
      return false
    }
    guard isOurs(outer.destination) else {
      drop(mbuf, port: portIndex, .notOurDestination)
      return false
    }
    let vtep = snapshot.pointee.vtep(at: outer.source)
    let isFlooded = outer.destination.isMulticast && snapshot.pointee.uplinkCount > 1
    guard vtep != .own else {
      let isHeard = isFlooded && isFromOtherUplink(EthernetHeader(unchecked: mbuf.bytes, at: 0).source, portIndex: portIndex)
      drop(mbuf, port: portIndex, isHeard ? .uplinkDuplicate : .outerSourceOwn)
      return false
    }
    if isFlooded, !shared.pointee.uplinks.takes(from: outer.source, to: outer.destination, at: portIndex, ports: snapshot.pointee.ports) {
      drop(mbuf, port: portIndex, .uplinkDuplicate)
      return false
    }
    return admit(
      mbuf, vtep: vtep, address: outer.source, vni: outer.vni, innerOffset: outer.innerOffset,
      innerByteCount: outer.innerByteCount, trafficClass: outer.trafficClass, portIndex: portIndex, to: position)
  }

  /// Step D3, for a packet with valid outer headers that is addressed to us.
  ///
  /// - Parameter vtep: absent when `address` has no index yet.
  @inline(always)
  private mutating func admit(
    _ mbuf: Mbuf, vtep: VTEPIndex, address: IPAddress, vni: VNI, innerOffset: Int, innerByteCount: Int,
    trafficClass: UInt8, portIndex: PortIndex, to position: Int
  ) -> Bool {
    let domain = snapshot.pointee.domain(of: vni)
    guard domain != .absent else {
      drop(mbuf, port: portIndex, .unknownVNI)
      return false
    }
    let entry = snapshot.pointee.domains + Int(domain)
    if entry.pointee.acceptsOnlyPeers && !isPeer(vtep, of: entry) {
      drop(mbuf, port: portIndex, .peerNotAllowed)
      return false
    }

    // The parser has checked that the inner frame lies within the packet and has at least 14 octets.
    let inner = EthernetHeader(unchecked: mbuf.bytes, at: innerOffset)
    if inner.destination.mayBeControl
      && takeInnerControl(mbuf, at: innerOffset, domain: entry, sender: address, portIndex: portIndex)
    {
      return false
    }
    if let reason = refusal(inner) {
      drop(mbuf, port: portIndex, reason)
      return false
    }
    // Removes Ethernet padding behind the frame.
    mbuf.keep(innerByteCount, from: innerOffset)
    if trafficClass != 0, !inherit(trafficClass, mbuf) {
      drop(mbuf, port: portIndex, .ecnForbidden)
      return false
    }
    if inner.isTagged, let reason = takeInnerTag(mbuf, domain: entry) {
      drop(mbuf, port: portIndex, reason)
      return false
    }

    counters.domains[Int(domain)].addReceived(packets: 1, bytes: UInt64(truncatingIfNeeded: innerByteCount))
    let staged = stage + position
    staged.pointee.sourceKey = MACKey(domain: domain, mac: inner.source)
    staged.pointee.destinationKey = MACKey(domain: domain, mac: inner.destination)
    if vtep != .absent {
      counters.vteps[Int(vtep)].addReceived(
        packets: 1, bytes: UInt64(truncatingIfNeeded: innerOffset &+ innerByteCount &- 14))
      staged.pointee.seenAt = entry.pointee.learnsFromVTEPs ? .vtep(vtep) : StagedFrame.noLocation
    } else {
      staged.pointee.seenAt = StagedFrame.noLocation
      if entry.pointee.learnsFromVTEPs { reportUnknownVTEP(staged.pointee.sourceKey, address) }
    }
    startLookups(position)
    return true
  }

  /// Copies congestion from the outer traffic class to the inner frame (RFC 6040), and notes the DSCP as the priority of a tag that
  /// may be added.
  ///
  /// - Returns: false for the combination that RFC 6040 forbids.
  @inline(never)
  private func inherit(_ trafficClass: UInt8, _ mbuf: Mbuf) -> Bool {
    let pcp = snapshot.pointee.pcpOfDSCP[Int(trafficClass &>> 2)]
    if pcp != 0 { mbuf.notedTag = UInt16(pcp) &<< 13 }
    return mbuf.withMutableBytes { ECN.decapsulate(outerTrafficClass: trafficClass, into: &$0) }
  }

  /// The control side assigns the VTEP an index and then learns the address. A static address is not contested.
  @inline(never)
  private mutating func reportUnknownVTEP(_ key: MACKey, _ address: IPAddress) {
    let known = table.lookup(key, hash: table.hash(key))
    guard !known.isHit || !known.isPinned else { return }
    report(LearnEvent(key: key, location: nil, vtep: address))
  }

  @inline(always)
  private func refusal(_ inner: EthernetHeader) -> DropReason? {
    if inner.source.isMulticast { return .innerSourceMulticast }
    if inner.source.isZero { return .innerSourceZero }
    return nil
  }

  /// A tag inside VXLAN stays if the VNI carries tags; otherwise the frame is dropped (RFC 7348 §6.1). A priority tag (VLAN 0) is
  /// removed, as on a port, and its priority overrides that of the outer DSCP.
  @inline(never)
  private func takeInnerTag(_ mbuf: Mbuf, domain: UnsafePointer<DomainEntry>) -> DropReason? {
    guard let outer = EthernetView(mbuf.bytes) else { return .innerRunt }
    guard outer.isPriorityTagged else { return domain.pointee.carriesInnerVLAN ? nil : .innerVLAN }
    let priority = outer.vlanTCI & Self.priorityMask
    guard removeTag(mbuf), let inner = EthernetView(mbuf.bytes) else { return .innerRunt }
    if inner.isTagged && !domain.pointee.carriesInnerVLAN { return .innerVLAN }
    if priority != 0 { mbuf.notedTag = priority }
    return nil
  }

  /// Whether another of our own uplinks sent the frame: two uplinks in one segment hear each other.
  private func isFromOtherUplink(_ source: MACAddress, portIndex: PortIndex) -> Bool {
    for index in 0..<Limits.ports where index != Int(portIndex) {
      let port = snapshot.pointee.ports + index
      if port.pointee.isUnderlay, port.pointee.mac == source { return true }
    }
    return false
  }

  /// Addressed to one of our VTEP addresses, or to a group that one of our VNIs uses.
  private func isOurs(_ destination: IPAddress) -> Bool {
    let index = snapshot.pointee.vtep(at: destination)
    return index == .own || (index != .absent && destination.isMulticast)
  }

  private func isPeer(_ vtep: VTEPIndex, of domain: UnsafePointer<DomainEntry>) -> Bool {
    guard vtep != .absent else { return false }
    let peers = snapshot.pointee.peers + Int(domain.pointee.firstPeer)
    var low = 0
    var high = Int(domain.pointee.peerCount)
    while low < high {
      let middle = (low + high) / 2
      if peers[middle] < vtep { low = middle + 1 } else { high = middle }
    }
    return low < Int(domain.pointee.peerCount) && peers[low] == vtep
  }

  /// Step D4. Drops frames whose source is a static address on a local port: our own frames that came back, which only the table
  /// can tell. Also drops those whose source is frozen elsewhere. They leave gaps in `frames`.
  private mutating func learnFromVTEPs(portIndex: PortIndex) {
    for index in 0..<unsightedCount {
      let position = Int(unsighted[index])
      let staged = stage + position
      let key = staged.pointee.sourceKey
      let known = table.lookup(key, hash: table.hash(key))
      if known.isHit && known.type != .learned && !known.location.isVTEP {
        drop(Mbuf(frames[position].unsafelyUnwrapped), port: portIndex, .innerSourceOwn)
        frames[position] = nil
      } else if known.isFrozen(elsewhereThan: staged.pointee.seenAt) {
        drop(Mbuf(frames[position].unsafelyUnwrapped), port: portIndex, .innerSourceFrozen)
        frames[position] = nil
      } else {
        learn(staged, known)
      }
    }
  }

  /// Step D5.
  @inline(always)
  private mutating func forwardFromUnderlay(_ live: Int, portIndex: PortIndex) {
    let table = self.table
    for index in 0..<live {
      guard let raw = frames[index] else { continue }
      let mbuf = Mbuf(raw)
      let key = stage[index].destinationKey
      let found = table.lookup(key, hash: stage[index].destinationHash)
      if !found.isHit {
        forwardUnknown(mbuf, position: index, portIndex: portIndex)
      } else if found.location.isVTEP {
        receiveForVTEP(mbuf, found.location.vtep, domain: key.domain, portIndex: portIndex)
      } else {
        deliver(mbuf, to: LocalTarget(port: found.location.port, vlan: found.location.vlan), ingress: portIndex)
      }
    }
  }

  /// Handles a destination that is not in the table, like its counterpart in Worker+Access.
  @inline(never)
  private mutating func forwardUnknown(_ mbuf: Mbuf, position: Int, portIndex: PortIndex) {
    let staged = stage + position
    let key = staged.pointee.destinationKey
    let place = pendingPlace(of: key, hash: staged.pointee.destinationHash)
    if place == StagedFrame.noLocation {
      floodFromUnderlay(mbuf, domain: key.domain, portIndex: portIndex)
    } else if place.isVTEP {
      receiveForVTEP(mbuf, place.vtep, domain: key.domain, portIndex: portIndex)
    } else {
      deliver(mbuf, to: LocalTarget(port: place.port, vlan: place.vlan), ingress: portIndex)
    }
  }
}
