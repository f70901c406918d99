// Worker+BFD: BFD frames in tunnels, steps D3 to D5 and E5. None is an everyday frame: in a VNI that nobody has here, `admit` finds them; in
// one that somebody has, their destination is no station's, so that they come to `flood`. They go to the BFD thread (BFDService) by a bounded
// ring, and its own leave through `sendBFD` before all data.
//
// No station may have an address that BFD frames go to, or data would be answered with a session's end: such a source is not learned
// (Worker+Learn), and what a port sends there is dropped.

import CDPDK
import Encap
import MACTable

extension Worker {
  /// A packet in a VNI that nobody has here: BFD has VNI 0, or one of its own.
  ///
  /// - Returns: false when it is no BFD frame; it is as before then.
  @inline(never)
  mutating func takeBFD(_ mbuf: Mbuf, _ arrival: Arrival, portIndex: PortIndex) -> Bool {
    guard MACAddress(loading: mbuf.bytes, at: arrival.innerOffset).isBFD, mbuf.removeFront(arrival.innerOffset) else { return false }
    if arrival.vtep != .absent {
      counters.vteps[Int(arrival.vtep)].addReceived(
        packets: 1, bytes: UInt64(truncatingIfNeeded: arrival.headerByteCount &+ arrival.innerByteCount &- 14))
    }
    takeBFD(
      mbuf, from: arrival.sender, vni: arrival.vni, portIndex: portIndex,
      DropContext(vtep: arrival.vtep, vni: arrival.vni.rawValue))
    return true
  }

  /// A frame in a VNI to an address that BFD frames go to.
  @inline(never)
  mutating func takeBFD(_ mbuf: Mbuf, domain: DomainIndex, from seenAt: MACLocation, portIndex: PortIndex) {
    guard seenAt.isVTEP else {
      drop(mbuf, port: portIndex, .bfdFromPort, DropContext(domain: domain))
      return
    }
    let vtep = seenAt == StagedFrame.noLocation ? sender(of: mbuf) : seenAt.vtep
    guard Int(vtep) < Limits.vteps else {
      drop(mbuf, port: portIndex, .bfdOff, DropContext(domain: domain))
      return
    }
    takeBFD(
      mbuf, from: snapshot.pointee.vteps[Int(vtep)].address, vni: snapshot.pointee.domains[Int(domain)].vni, portIndex: portIndex,
      DropContext(domain: domain, vtep: vtep))
  }

  /// A VXLAN packet that is looked at in overload (Worker+Overload), with the usual headers: BFD passes, or a VTEP with much to send would be
  /// lost for it.
  ///
  /// - Parameter position: in the burst.
  /// - Returns: false when it is something else; it is as before then.
  @inline(never)
  mutating func takeBFDFirst(_ mbuf: Mbuf, portIndex: PortIndex, at position: Int) -> Bool {
    let bytes = mbuf.bytes
    guard bytes.byteCount >= OuterHeader.ipv6ByteCount + EthernetView.headerByteCount else { return false }
    let isIPv6 = EthernetHeader(unchecked: bytes, at: 0).etherType == EtherType.ipv6
    let offset = isIPv6 ? OuterHeader.ipv6ByteCount : OuterHeader.ipv4ByteCount
    guard MACAddress(loading: bytes, at: offset).isBFD else { return false }
    frames[position] = mbuf.raw
    unsightedCount = 0
    guard decapsulate(mbuf, isTrusted: false, portIndex: portIndex, to: position), let raw = frames[position] else { return true }
    let staged = stage + position
    takeBFD(Mbuf(raw), domain: staged.pointee.destinationKey.domain, from: staged.pointee.seenAt, portIndex: portIndex)
    return true
  }

  private mutating func takeBFD(_ mbuf: Mbuf, from sender: IPAddress, vni: VNI, portIndex: PortIndex, _ context: DropContext) {
    guard Int(context.vtep) < Limits.vteps, snapshot.pointee.vteps[Int(context.vtep)].hasBFD else {
      drop(mbuf, port: portIndex, .bfdOff, context)
      return
    }
    guard let mbuf = spared(mbuf, port: portIndex) else { return }
    var item = SlowPathItem()
    item.kind = .bfd
    item.port = portIndex
    item.vni = vni
    item.vtep = sender
    item.mbuf = mbuf.raw
    guard bfdArrivals.send(item) else {
      drop(mbuf, port: portIndex, .bfdQueueFull, context)
      return
    }
    cdpdk_event_signal(shared.pointee.bfdEvent)
  }

  /// The VTEP that sent a frame in a VNI in which nothing is learned from VTEPs, so that nobody has kept it: the outer headers are still in
  /// front of the frame. Behind those of a train's first packet they are not; absent then.
  private mutating func sender(of mbuf: Mbuf) -> VTEPIndex {
    func isOuter(_ headers: UnsafeRawPointer, ip: Int) -> Bool {
      let udpPort = UInt16(bigEndian: headers.loadUnaligned(fromByteOffset: ip + 2, as: UInt16.self))
      return udpPort == snapshot.pointee.decapPolicy.udpPort && headers.load(fromByteOffset: ip + 8, as: UInt8.self) == 0x08
    }
    let headroom = Int(cdpdk_mbuf_headroom(mbuf.raw))
    guard mbuf.isExclusive, headroom >= 36 else { return .absent }
    let ipv4 = UnsafeRawPointer(mbuf.start - 36)
    if isOuter(ipv4, ip: 20), ipv4.load(as: UInt8.self) == 0x45, ipv4.load(fromByteOffset: 9, as: UInt8.self) == 17 {
      return snapshot.pointee.ipv4.peer(at: ipv4.loadUnaligned(fromByteOffset: 12, as: UInt32.self))
    }
    guard headroom >= 56 else { return .absent }
    let ipv6 = UnsafeRawPointer(mbuf.start - 56)
    guard isOuter(ipv6, ip: 40), ipv6.load(as: UInt8.self) >> 4 == 6, ipv6.load(fromByteOffset: 6, as: UInt8.self) == 17 else {
      return .absent
    }
    return snapshot.pointee.peer(
      atIPv6: IPAddress(
        high: UInt64(bigEndian: ipv6.loadUnaligned(fromByteOffset: 8, as: UInt64.self)),
        low: UInt64(bigEndian: ipv6.loadUnaligned(fromByteOffset: 16, as: UInt64.self))))
  }

  // -- on its way out ----------------------------------------------------------------------------------------------------

  /// Sends what the BFD thread has for VTEPs. What has to wait for a next hop is not sent: the next one will be.
  @inline(never)
  mutating func sendBFD() {
    guard let bfdDepartures else { return }
    var item = SlowPathItem()
    for _ in 0..<SlowPathRing.capacity {
      guard bfdDepartures.receive(&item), let raw = item.mbuf else { break }
      let mbuf = Mbuf(raw)
      let vtep = snapshot.pointee.vtep(at: item.vtep)
      guard Int(vtep) < Limits.vteps else {
        mbuf.free()
        continue
      }
      sendBFD(mbuf, vtep: vtep, vni: item.vni)
    }
    if controlCount != 0 { flushControlFrames() }
  }

  private mutating func sendBFD(_ mbuf: Mbuf, vtep: VTEPIndex, vni: VNI) {
    let hops = snapshot.pointee.nextHops[Int(vtep)]
    let flow = InnerFlow(frame: mbuf.bytes)
    guard hops.count > 0, hops.adjacency(of: flow.hash).pointee.isResolved else {
      mbuf.free()
      return
    }
    let adjacency = hops.adjacency(of: flow.hash)
    mbuf.withMutableBytes { snapshot.pointee.ports[Int(adjacency.pointee.port)].mac.store(into: &$0, at: 6) }
    let innerByteCount = mbuf.byteCount
    let headerByteCount = adjacency.pointee.header.byteCount
    let innerSum = adjacency.pointee.header.computesUDPChecksum ? mbuf.partialSum(from: 0) : 0
    guard cdpdk_mbuf_prepend(mbuf.raw, UInt16(truncatingIfNeeded: headerByteCount)) != nil else {
      mbuf.free()
      return
    }
    var header = MutableRawSpan(_unsafeStart: mbuf.start, byteCount: headerByteCount)
    adjacency.pointee.header.write(into: &header, innerByteCount: innerByteCount, innerSum: innerSum, vni: vni, flow: flow)
    counters.vteps[Int(vtep)].addSent(bytes: UInt64(truncatingIfNeeded: innerByteCount &+ headerByteCount &- 14))
    transmitControl(mbuf, port: adjacency.pointee.port)
  }
}
