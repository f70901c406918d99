// Worker+UnderlayBurst: bursts from the wire. Steps D2 and D3 in place for everyday packets, and while the MAC table is small the rest of the walk as
// well (as in Worker+AtOnce). All others go the way of Worker+Underlay.

import CDPDK
import Encap
import MACTable

extension Worker {
  mutating func receiveFromUnderlay(_ count: Int, portIndex: PortIndex) {
    if snapshot.pointee.ports[Int(portIndex)].features.contains(.verifiesUDP) {
      receiveVerified(count, portIndex: portIndex)
      return
    }
    if beginsWithIPv6 {
      receiveIPv6FromUnderlay(count, portIndex: portIndex)
    } else {
      receive(PlainOuterIPv4.self, count, portIndex: portIndex, asksNIC: false)
    }
  }

  /// Whether the first packet of the burst is one over IPv6, and we have an address there.
  private var beginsWithIPv6: Bool {
    @inline(__always) get {
      let first = Mbuf(frames[0].unsafelyUnwrapped).bytes
      return first.byteCount >= EthernetView.headerByteCount && EthernetHeader(unchecked: first, at: 0).etherType == EtherType.ipv6
        && !snapshot.pointee.ownIPv6.isUnspecified
    }
  }

  @inline(never)
  private mutating func receiveIPv6FromUnderlay(_ count: Int, portIndex: PortIndex) {
    receive(PlainOuterIPv6.self, count, portIndex: portIndex, asksNIC: false)
  }

  /// From a NIC that verifies UDP checksums.
  @inline(never)
  private mutating func receiveVerified(_ count: Int, portIndex: PortIndex) {
    if beginsWithIPv6 {
      receive(PlainOuterIPv6.self, count, portIndex: portIndex, asksNIC: true)
    } else {
      receive(PlainOuterIPv4.self, count, portIndex: portIndex, asksNIC: true)
    }
  }

  /// A burst of packets, most of them of one kind.
  ///
  /// - Parameter asksNIC: what the NIC has found right is not verified again. It was tested with packets of this kind.
  @inline(always)
  private mutating func receive<Outer: PlainOuter>(_: Outer.Type, _ count: Int, portIndex: PortIndex, asksNIC: Bool) {
    beginBurst()
    receivedBytes = 0
    var done = 0
    // A small table is at hand: its buckets need not be fetched in a pass of their own.
    if table.isSmall && !table.hasGhosts {
      endLocalRuns()
      done = receive(Outer.self, from: 0, to: count, portIndex: portIndex, asksNIC: asksNIC, isAtOnce: true)
      if done == count {
        counters.ports[Int(portIndex)].addReceived(packets: UInt64(count), bytes: receivedBytes)
        return
      }
      frames.update(repeating: nil, count: done)
    }
    _ = receive(Outer.self, from: done, to: count, portIndex: portIndex, asksNIC: asksNIC, isAtOnce: false)
    counters.ports[Int(portIndex)].addReceived(packets: UInt64(count), bytes: receivedBytes)
    if table.hasGhosts {
      forwardNotedFromOverlay(count, portIndex: portIndex)
    } else {
      forwardFromOverlay(count, portIndex: portIndex)
    }
  }

  /// Everyday packets in place: from a known VTEP, with a frame from a station to a station. What a run of packets of one VNI has in
  /// common is asked once.
  ///
  /// - Parameter isAtOnce: frames are forwarded at once, until a packet is none of these; else they are staged, and so are those of all
  ///   others. Constant at each call.
  /// - Returns: where it has ended.
  @inline(always)
  private mutating func receive<Outer: PlainOuter>(
    _: Outer.Type, from first: Int, to end: Int, portIndex: PortIndex, asksNIC: Bool, isAtOnce: Bool
  ) -> Int {
    let snapshot = self.snapshot
    let port = snapshot.pointee.ports + Int(portIndex)
    // A NIC of ours may bring packets that another host's MAC address is on.
    let pattern = Outer.pattern(snapshot, mac: port.pointee.partner != .absent ? port.pointee.mac : nil)
    let peers = Outer.peers(snapshot)
    let table = self.table
    let sightings = isAtOnce ? self.sightings : self.sightings.deferred()
    let countersOfVTEPs = counters.vteps
    var staged = stage + first
    nextFrame = frames + first
    var run = VNIRun(from: nextFrame)
    let end = frames + end
    while nextFrame != end {
      let mbuf = Mbuf(nextFrame.pointee.unsafelyUnwrapped)
      let placed = staged
      // At once, which leaves a register free.
      nextFrame += 1
      staged += 1
      everyday: do {
        guard mbuf.isContiguous else { break everyday }
        let bytes = mbuf.bytes
        let isTrusted = asksNIC && cdpdk_mbuf_checksum_verdict(mbuf.raw) == cdpdk_checksum_is_right()
        guard _fastPath(pattern.matches(bytes, isTrusted: isTrusted)) else { break everyday }
        // Now, since a call costs whatever is known by then.
        let segment = Outer.wireSegment(bytes)
        if segment != run.wireSegment { change(&run, to: segment, headerByteCount: Outer.byteCount) }
        guard let outer = Outer(matching: bytes, isTrusted: isTrusted) else { break everyday }
        let peer = outer.peer(peers)
        let vtep = UInt32(peer.rawValue)
        guard _fastPath(vtep < run.vtepLimit) || mayBring(peer, run.domain) else { break everyday }
        let inner = WireEthernetHeader(inner: bytes, at: Outer.byteCount)
        // A source of zero is not among the sightings, but may be among those that wait for them.
        guard isAtOnce ? inner.isEverydayIfFromStation : inner.isEveryday else { break everyday }
        mbuf.keep(outer.innerByteCount, from: Outer.byteCount)
        if outer.trafficClass != 0, !inherit(outer.trafficClass, mbuf) {
          receivedBytes &+= UInt64(truncatingIfNeeded: outer.innerByteCount &+ Outer.byteCount)
          drop(mbuf, port: portIndex, .ecnForbidden, DropContext(domain: run.domain, vtep: peer))
          nextFrame[-1] = nil
          run.others &+= 1
          continue
        }
        run.bytes &+= UInt64(truncatingIfNeeded: outer.innerByteCount)
        countersOfVTEPs[Int(vtep)].addReceived(packets: 1, bytes: UInt64(truncatingIfNeeded: bytes.byteCount &- 14))
        let seenAt = MACLocation(raw: vtep &<< 1 | run.place)
        let source = MACKey(domainWord: run.domainWord, octets: inner.source)
        let destination = MACKey(domainWord: run.domainWord, octets: inner.destination)
        if !isAtOnce {
          placed.pointee.seenAt = seenAt
          stageEveryday(in: placed, source: source, destination: destination, seenAt: seenAt, sightings.at(seenAt), table)
          continue
        }
        if !sightings.at(seenAt).pair(salted: inner.source ^ run.saltedDomain).isPresent {
          guard source.raw != run.domainWord else {
            run.others &+= 1
            refuseZeroSource(mbuf, run.domain, peer, headerByteCount: Outer.byteCount, portIndex: portIndex)
            nextFrame[-1] = nil
            continue
          }
          if !learnAtOnce(mbuf, source: source, destination: destination, seenAt: seenAt, portIndex: portIndex, isFromOverlay: true) {
            continue
          }
        }
        let found = lookUp(destination, in: table.bucket(of: table.hash(destination)), table)
        forwardFromOverlay(
          mbuf, byteCount: outer.innerByteCount, to: found, destination, from: seenAt, staged: nil, portIndex: portIndex)
        continue
      }
      if isAtOnce {
        nextFrame -= 1
        break
      }
      run.others &+= 1
      receivedBytes &+= UInt64(truncatingIfNeeded: mbuf.byteCount)
      if !decapsulateUncommon(mbuf, portIndex: portIndex, to: nextFrame - frames - 1) { nextFrame[-1] = nil }
    }
    settle(run, to: nextFrame, headerByteCount: Outer.byteCount)
    return nextFrame - frames
  }

  /// Consecutive packets of one VNI.
  private struct VNIRun {
    /// The first one.
    var first: UnsafeMutablePointer<OpaquePointer?>
    /// Those since then that are not of the run.
    var others = 0
    /// Of the first packet; at first there is no domain.
    var wireSegment = UInt32.max
    /// What the VNI's slot has.
    var domain = DomainIndex.absent
    /// The same, for keys.
    var domainWord: UInt64 = 0
    /// The same, for sightings.
    var saltedDomain: UInt64 = 0
    var vtepLimit: UInt32 = 0
    var place: UInt32 = 0
    /// Of inner frames.
    var bytes: UInt64 = 0

    init(from first: UnsafeMutablePointer<OpaquePointer?>) { self.first = first }

    init(from first: UnsafeMutablePointer<OpaquePointer?>, of slot: UnsafePointer<VNISlot>, wireSegment: UInt32, _ sightings: Sightings) {
      self.first = first
      self.wireSegment = wireSegment
      domain = slot.pointee.domain
      domainWord = UInt64(domain.rawValue)
      saltedDomain = sightings.salted(domainWord)
      vtepLimit = UInt32(slot.pointee.vtepLimit)
      place = slot.pointee.place
    }
  }

  @inline(never)
  private mutating func change(_ run: inout VNIRun, to wireSegment: UInt32, headerByteCount: Int) {
    let current = nextFrame - 1
    settle(run, to: current, headerByteCount: headerByteCount)
    run = VNIRun(from: current, of: snapshot.pointee.slot(ofWireVNI: wireSegment &<< 8), wireSegment: wireSegment, sightings)
  }

  /// - Parameters:
  ///   - end: where the run has ended.
  ///   - headerByteCount: octets in front of each inner frame.
  @inline(always)
  private mutating func settle(_ run: VNIRun, to end: UnsafeMutablePointer<OpaquePointer?>, headerByteCount: Int) {
    guard run.bytes != 0 else { return }
    let frames = UInt64(truncatingIfNeeded: end - run.first - run.others)
    receivedBytes &+= run.bytes &+ frames &* UInt64(truncatingIfNeeded: headerByteCount)
    counters.domains[Int(run.domain)].addReceived(packets: frames, bytes: run.bytes)
  }

  /// A packet that the run has counted as one of its own, but for their number. No packet pays for such ones: that a source is zero is found
  /// out when it is not among the sightings.
  @inline(never)
  private mutating func refuseZeroSource(
    _ mbuf: Mbuf, _ domain: DomainIndex, _ vtep: VTEPIndex, headerByteCount: Int, portIndex: PortIndex
  ) {
    let uncounted = 0 &- UInt64(truncatingIfNeeded: mbuf.byteCount)
    receivedBytes &+= UInt64(truncatingIfNeeded: headerByteCount)
    counters.domains[Int(domain)].addReceived(packets: 0, bytes: uncounted)
    counters.vteps[Int(vtep)].addReceived(packets: .max, bytes: uncounted &- UInt64(truncatingIfNeeded: headerByteCount &- 14))
    mbuf.restore(headerByteCount)
    let vni = snapshot.pointee.domains[Int(domain)].vni.rawValue
    drop(mbuf, port: portIndex, .innerSourceZero, DropContext(domain: domain, vtep: vtep, vni: vni))
  }

  /// Whether a VTEP, if it is one, may send to a domain that does not hear all.
  @inline(never)
  private mutating func mayBring(_ vtep: VTEPIndex, _ domain: DomainIndex) -> Bool {
    domain != .absent && vtep != .absent && isPeer(vtep, of: snapshot.pointee.domains + Int(domain))
  }
}
