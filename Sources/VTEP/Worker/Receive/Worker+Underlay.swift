// Worker+Underlay: any packet from the wire. Steps D2 and D3: parse and verify the outer headers, map the VNI to a domain, apply ECN, and
// check the inner frame; what follows is the same for both walks (Worker+Dispatch). Bursts of everyday packets: Worker+UnderlayBurst.

import CDPDK
import Encap
import MACTable

extension Worker {
  @inline(never)
  mutating func decapsulateUncommon(_ mbuf: Mbuf, portIndex: PortIndex, to position: Int) -> Bool {
    let port = snapshot.pointee.ports + Int(portIndex)
    guard port.pointee.partner != .absent else { return decapsulate(mbuf, isTrusted: false, portIndex: portIndex, to: position) }
    guard let packet = takePacketToUs(mbuf, port, portIndex: portIndex) else { return false }
    frames[position] = packet.raw
    return decapsulate(packet, isTrusted: false, portIndex: portIndex, to: position)
  }

  /// Steps D2 and D3 for one packet: leaves the inner frame in the buffer.
  ///
  /// - Parameter isTrusted: its UDP checksum need not be verified.
  /// - Returns: false when the packet was dropped or is not ours.
  @inline(always)
  mutating func decapsulate(_ mbuf: Mbuf, isTrusted: Bool, portIndex: PortIndex, to position: Int) -> Bool {
    // A fast path for the common packet: with constant offsets and a known VTEP it costs much less.
    guard mbuf.isContiguous,
      let outer = PlainOuterIPv4(mbuf.bytes, PlainOuterIPv4.pattern(snapshot, mac: nil), isTrusted: isTrusted)
    else { return decapsulateSlowly(mbuf, isTrusted: isTrusted, portIndex: portIndex, to: position) }
    let vtep = snapshot.pointee.ipv4.peer(at: outer.wireSource)
    guard vtep != .absent else { return decapsulateSlowly(mbuf, isTrusted: isTrusted, portIndex: portIndex, to: position) }
    let arrival = Arrival(
      vtep: vtep, sender: IPAddress(ipv4: UInt32(bigEndian: outer.wireSource)), vni: outer.vni, innerOffset: PlainOuterIPv4.byteCount,
      headerByteCount: PlainOuterIPv4.byteCount, innerByteCount: outer.innerByteCount, trafficClass: outer.trafficClass)
    return admit(mbuf, arrival, isStripped: false, portIndex: portIndex, to: position)
  }

  @inline(always)
  private mutating func decapsulateSlowly(_ mbuf: Mbuf, isTrusted: Bool, portIndex: PortIndex, to position: Int) -> Bool {
    isTrusted
      ? decapsulateTrusted(mbuf, portIndex: portIndex, to: position) : decapsulateGeneral(mbuf, portIndex: portIndex, to: position)
  }

  /// The general path: IPv6, group destinations, unknown VTEPs, malformed packets, packets of several buffers, and packets for others.
  @inline(never)
  private mutating func decapsulateGeneral(_ mbuf: Mbuf, portIndex: PortIndex, to position: Int) -> Bool {
    decapsulateAny(mbuf, isTrusted: false, portIndex: portIndex, to: position)
  }

  @inline(never)
  private mutating func decapsulateTrusted(_ mbuf: Mbuf, portIndex: PortIndex, to position: Int) -> Bool {
    decapsulateAny(mbuf, isTrusted: true, portIndex: portIndex, to: position)
  }

  @inline(always)
  private mutating func decapsulateAny(_ packet: Mbuf, isTrusted: Bool, portIndex: PortIndex, to position: Int) -> Bool {
    guard let mbuf = gatherPacket(packet) else {
      drop(packet, port: portIndex, .noBuffers)
      return false
    }
    frames[position] = mbuf.raw
    if let reason = CutFrame.reason(byteCount: mbuf.byteCount) {
      drop(mbuf, port: portIndex, reason)
      return false
    }
    let policy = snapshot.pointee.decapPolicy
    let outer =
      isTrusted
      ? OuterPacket(trusting: mbuf.bytes, byteCount: mbuf.byteCount, policy: policy) : OuterPacket(parsing: mbuf.bytes, policy: policy)
    guard outer.outcome == .accepted else {
      refuse(mbuf, outer, portIndex: portIndex)
      return false
    }
    guard let arrival = arrival(of: mbuf, outer, packets: 1, portIndex: portIndex) else { return false }
    return admit(mbuf, arrival, isStripped: false, portIndex: portIndex, to: position)
  }

  /// Makes one buffer of a packet's. It has several when it is longer than the interface's MTU, which the kernel has reassembled it
  /// to, or longer than buffers were made for when the daemon was started.
  mutating func gatherPacket(_ mbuf: Mbuf) -> Mbuf? {
    if mbuf.isContiguous || cdpdk_mbuf_linearize(mbuf.raw) == 0 { return mbuf }
    guard let copy = cdpdk_mbuf_copy(mbuf.raw, largePool) else { return nil }
    mbuf.free()
    return Mbuf(copy)
  }

  /// Drops a packet that the parser has not accepted, or leaves it to the kernel.
  mutating func refuse(_ mbuf: Mbuf, _ outer: OuterPacket, portIndex: PortIndex) {
    if snapshot.pointee.ports[Int(portIndex)].partner != .absent, !isOurFault(outer) {
      handToKernel(mbuf, portIndex: portIndex)
      return
    }
    guard outer.outcome == .notVXLAN else {
      drop(mbuf, port: portIndex, outer.reason, DropContext(vtep: snapshot.pointee.vtep(at: outer.source)))
      return
    }
    counters.ignored(port: portIndex, IgnoredCause(mbuf.bytes)).pointee.add(1)
    mbuf.free()
  }

  /// Checks that a packet with a sound outer header is for us, and was not sent by us.
  ///
  /// - Parameter packets: how many it stands for.
  /// - Returns: nil when it was dropped.
  mutating func arrival(of mbuf: Mbuf, _ outer: OuterPacket, packets: Int, portIndex: PortIndex) -> Arrival? {
    let vtep = snapshot.pointee.vtep(at: outer.source)
    guard let reason = refusal(of: mbuf, outer, from: vtep, portIndex: portIndex) else {
      return Arrival(
        vtep: vtep, sender: outer.source, vni: outer.vni, innerOffset: outer.innerOffset, headerByteCount: outer.innerOffset,
        innerByteCount: outer.innerByteCount, trafficClass: outer.trafficClass)
    }
    if reason == .notOurDestination, snapshot.pointee.ports[Int(portIndex)].partner != .absent {
      handToKernel(mbuf, portIndex: portIndex)
      return nil
    }
    countDrop(mbuf, port: portIndex, reason, DropContext(vtep: vtep), packets: packets)
    mbuf.free()
    return nil
  }

  private mutating func refusal(of mbuf: Mbuf, _ outer: OuterPacket, from vtep: VTEPIndex, portIndex: PortIndex) -> DropReason? {
    guard isOurs(outer.destination) else { return .notOurDestination }
    let isFlooded = outer.destination.isMulticast && snapshot.pointee.uplinkCount > 1
    guard vtep != .own else {
      let isHeard = isFlooded && isFromOtherUplink(EthernetHeader(unchecked: mbuf.bytes, at: 0).source, portIndex: portIndex)
      return isHeard ? .uplinkDuplicate : .outerSourceOwn
    }
    if isFlooded, !shared.pointee.uplinks.takes(from: outer.source, to: outer.destination, at: portIndex, ports: snapshot.pointee.ports) {
      return .uplinkDuplicate
    }
    return nil
  }

  /// What the outer headers of an accepted packet say.
  struct Arrival {
    /// Absent when the sender has no index yet.
    var vtep: VTEPIndex
    var sender: IPAddress
    var vni: VNI
    /// Of the inner frame, in the buffer.
    var innerOffset: Int
    /// Octets in front of the inner frame on the wire.
    var headerByteCount: Int
    var innerByteCount: Int
    var trafficClass: UInt8
  }

  /// Step D3, for a packet with valid outer headers that is addressed to us.
  ///
  /// - Parameter isStripped: the buffer holds the inner frame alone, which may continue in other buffers.
  @inline(always)
  mutating func admit(_ mbuf: Mbuf, _ arrival: Arrival, isStripped: Bool, portIndex: PortIndex, to position: Int) -> Bool {
    let domain = snapshot.pointee.domain(of: arrival.vni)
    guard domain != .absent else {
      if !takeBFD(mbuf, arrival, portIndex: portIndex) { dropInner(mbuf, arrival, port: portIndex, .unknownVNI) }
      return false
    }
    let entry = snapshot.pointee.domains + Int(domain)
    if entry.pointee.acceptsOnlyPeers && !isPeer(arrival.vtep, of: entry) {
      dropInner(mbuf, arrival, port: portIndex, .peerNotAllowed)
      return false
    }

    // The parser has checked that the inner frame lies within the packet and has at least 14 octets.
    let inner = EthernetHeader(unchecked: mbuf.bytes, at: arrival.innerOffset)
    if inner.destination.mayBeControl
      && takeInnerControl(mbuf, at: arrival.innerOffset, domain: entry, sender: arrival.sender, portIndex: portIndex)
    {
      return false
    }
    guard !inner.source.isMulticast else {
      dropInner(mbuf, arrival, port: portIndex, .innerSourceMulticast)
      return false
    }
    guard !inner.source.isZero else {
      dropInner(mbuf, arrival, port: portIndex, .innerSourceZero)
      return false
    }
    // Removes Ethernet padding behind the frame.
    if !isStripped { mbuf.keep(arrival.innerByteCount, from: arrival.innerOffset) }
    if arrival.trafficClass != 0, !inherit(arrival.trafficClass, mbuf) {
      drop(mbuf, port: portIndex, .ecnForbidden, DropContext(domain: domain, vtep: arrival.vtep))
      return false
    }
    if inner.isTagged, let reason = takeInnerTag(mbuf, domain: entry) {
      drop(mbuf, port: portIndex, reason, DropContext(domain: domain, vtep: arrival.vtep))
      return false
    }

    counters.domains[Int(domain)].addReceived(packets: 1, bytes: UInt64(truncatingIfNeeded: arrival.innerByteCount))
    let source = MACKey(domain: domain, mac: inner.source)
    var seenAt = StagedFrame.noLocation
    if arrival.vtep != .absent {
      counters.vteps[Int(arrival.vtep)].addReceived(
        packets: 1, bytes: UInt64(truncatingIfNeeded: arrival.headerByteCount &+ arrival.innerByteCount &- 14))
      if entry.pointee.learnsFromVTEPs { seenAt = .vtep(arrival.vtep) }
    } else if entry.pointee.learnsFromVTEPs {
      reportUnknownVTEP(source, arrival.sender)
    }
    stageFrame(at: position, source: source, destination: MACKey(domain: domain, mac: inner.destination), seenAt: seenAt)
    return true
  }

  /// Drops a packet whose outer headers, if they are still there, are in order.
  @inline(never)
  private mutating func dropInner(_ mbuf: Mbuf, _ arrival: Arrival, port: PortIndex, _ reason: DropReason) {
    var context = DropContext(domain: snapshot.pointee.domain(of: arrival.vni), vtep: arrival.vtep, vni: arrival.vni.rawValue)
    // A datagram of a train has no more in front than its VXLAN header, and a stripped frame nothing.
    if arrival.innerOffset <= OuterHeader.vxlanByteCount {
      _ = mbuf.removeFront(arrival.innerOffset)
      if context.domain != .absent { context.vni = DropContext.noVNI }
    }
    drop(mbuf, port: port, reason, context)
  }

  /// Copies congestion from the outer traffic class to the inner frame (RFC 6040), and notes the DSCP as the priority of a tag that
  /// may be added.
  ///
  /// - Returns: false for the combination that RFC 6040 forbids.
  @inline(never)
  mutating func inherit(_ trafficClass: UInt8, _ mbuf: Mbuf) -> Bool {
    let pcp = snapshot.pointee.pcpOfDSCP[Int(trafficClass &>> 2)]
    if pcp != 0 { mbuf.notedTag = UInt16(pcp) &<< 13 }
    return mbuf.withMutableBytes { ECN.decapsulate(outerTrafficClass: trafficClass, into: &$0) }
  }

  /// The control side assigns the VTEP an index and then learns the address. A static address is not contested.
  @inline(never)
  private mutating func reportUnknownVTEP(_ key: MACKey, _ address: IPAddress) {
    let known = table.lookup(key, hash: table.hash(key))
    guard !known.isHit || !known.isPinned, !key.mac.isBFD else { return }
    sendToLearner(LearnEvent(key: key, location: nil, vtep: address))
  }

  /// A tag inside VXLAN stays if the VNI carries tags; otherwise the frame is dropped (RFC 7348 §6.1). A priority tag (VLAN 0) is
  /// removed, as on a port, and its priority overrides that of the outer DSCP.
  @inline(never)
  private mutating func takeInnerTag(_ mbuf: Mbuf, domain: UnsafePointer<DomainEntry>) -> DropReason? {
    guard let outer = EthernetView(mbuf.bytes) else { return .innerRunt }
    guard outer.isPriorityTagged else { return domain.pointee.carriesInnerVLAN ? nil : .innerVLAN }
    let priority = outer.vlanTCI & Self.priorityMask
    guard removeTag(mbuf), let inner = EthernetView(mbuf.bytes) else { return .innerRunt }
    if mbuf.hasRequest { mbuf.request.linkByteCount -= EthernetView.tagByteCount }
    if inner.isTagged && !domain.pointee.carriesInnerVLAN { return .innerVLAN }
    if priority != 0 { mbuf.notedTag = priority }
    return nil
  }

  /// Whether another of our own uplinks sent the frame: two uplinks in one segment hear each other.
  private mutating func isFromOtherUplink(_ source: MACAddress, portIndex: PortIndex) -> Bool {
    for position in 0..<snapshot.pointee.uplinkCount {
      let uplink = snapshot.pointee.uplinks[position]
      if uplink != portIndex, snapshot.pointee.ports[Int(uplink)].mac == source { return true }
    }
    return false
  }

  /// Addressed to one of our VTEP addresses, or to a group that one of our VNIs uses.
  mutating func isOurs(_ destination: IPAddress) -> Bool {
    let index = snapshot.pointee.vtep(at: destination)
    return index == .own || (index != .absent && destination.isMulticast)
  }

  mutating func isPeer(_ vtep: VTEPIndex, of domain: UnsafePointer<DomainEntry>) -> Bool {
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
}
