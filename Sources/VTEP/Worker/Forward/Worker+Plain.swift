// Worker+Plain: short cuts through steps E4 to E6 and D5 to D6 for everyday frames. What holds for a whole burst, or for a run of its
// frames, is asked once: the domain and its VXLAN header, the shape of the buffers, the port that frames are delivered to, its batch
// (Worker+Runs). A frame that is not of the kind goes the general way (Worker+Dispatch), with the same result.

import CDPDK
import Encap
import MACTable

extension Worker {
  /// A burst from a port, all of whose frames are of the untagged binding and alone in buffers of one shape, without requests
  /// (`isBurstPlain`), while the table has no ghosts.
  ///
  /// - Parameter offset: of the frame in its buffer, in bytes.
  @inline(never)
  mutating func forwardPlainFromPort(_ count: Int, portIndex: PortIndex, domain: DomainIndex, offset: Int) {
    forwardFromPort(count, portIndex: portIndex, domainOfAll: domain, offset: offset, isTagged: false)
  }

  /// The same for a burst of frames that had tags: each has its own domain and place.
  @inline(never)
  mutating func forwardTaggedFromPort(_ count: Int, portIndex: PortIndex, offset: Int) {
    forwardFromPort(count, portIndex: portIndex, domainOfAll: .absent, offset: offset, isTagged: true)
  }

  /// - Parameter isTagged: constant at each call, so that each kind of burst has a loop without the other's work.
  @inline(always)
  private mutating func forwardFromPort(_ count: Int, portIndex: PortIndex, domainOfAll: DomainIndex, offset: Int, isTagged: Bool) {
    endLocalRuns()
    if sightings.isCrowded { findPlaces(count) }
    if unsightedCount > 0 { learnSources(portIndex: portIndex, isFromOverlay: false) }
    let table = self.table
    let burst = PortBurst(portIndex, domain: domainOfAll, offset: offset, snapshot, counters)
    var staged = stage
    var next = frames
    let end = next + count
    while next != end {
      let frame = next.pointee
      let position = staged
      next += 1
      staged += 1
      guard let raw = frame else { continue }
      let mbuf = Mbuf(raw)
      let key = position.pointee.destinationKey
      let found = lookUp(key, in: position.pointee.destinationBucket.unsafelyUnwrapped, table)
      let domain = isTagged ? key.domain : domainOfAll
      let byteCount = mbuf.byteCount
      switch forward(mbuf, start: mbuf.start, byteCount: byteCount, to: found.place, domain: domain, burst, isTagged: isTagged) {
      case .tunnelled:
        if isTagged {
          counters.domains[Int(domain)].addSent(bytes: UInt64(truncatingIfNeeded: byteCount))
        } else {
          tunnelledFrames &+= 1
          tunnelledBytes &+= UInt64(truncatingIfNeeded: byteCount)
        }
      case .sent: break
      case .uncommon:
        if !isTagged { position.pointee.seenAt = burst.place }
        forwardUncommon(mbuf, position, found.place, ingress: portIndex, isFromOverlay: false)
      }
    }
    settle(burst)
  }

  /// What the frames of a burst from a port have in common.
  struct PortBurst {
    let portIndex: PortIndex
    /// Absent: each frame has its own.
    let domain: DomainIndex
    /// Of a frame in its buffer, in bytes.
    let offset: Int
    let onlyHops: UnsafePointer<UnsafePointer<Adjacency>>
    let countersOfVTEPs: UnsafeMutablePointer<TrafficCounters>
    let vxlanHeaders: UnsafePointer<UInt64>
    /// The domain's.
    let vxlan: UInt64

    @inline(always)
    init(
      _ portIndex: PortIndex, domain: DomainIndex, offset: Int, _ snapshot: UnsafePointer<ForwardingSnapshot>, _ counters: WorkerCounters
    ) {
      self.portIndex = portIndex
      self.domain = domain
      self.offset = offset
      onlyHops = snapshot.pointee.onlyHops
      countersOfVTEPs = counters.vteps
      vxlanHeaders = snapshot.pointee.vxlanHeaders
      vxlan = domain != .absent ? vxlanHeaders[Int(domain)] : 0
    }

    /// The port's untagged binding.
    @inline(always)
    var place: MACLocation { .port(portIndex, vlan: 0) }
  }

  /// Counts what has gone into tunnels, in frames of one domain.
  @inline(always)
  mutating func settle(_ burst: PortBurst) {
    guard tunnelledFrames != 0 else { return }
    counters.domains[Int(burst.domain)].addSent(packets: tunnelledFrames, bytes: tunnelledBytes)
    tunnelledFrames = 0
    tunnelledBytes = 0
  }

  /// What has become of a frame.
  enum Outcome {
    /// It is in a tunnel, and its domain has yet to count it.
    case tunnelled
    /// It has been sent, and counted.
    case sent
    /// Nothing has been done: it takes the general way (`forwardUncommon`).
    case uncommon
  }

  /// Steps E5 and E6 for a frame that is alone in a buffer of the burst's shape.
  ///
  /// - Parameters:
  ///   - start: of the frame.
  ///   - place: of its destination; `noLocation`: unknown.
  ///   - isTagged: constant at each call: each frame has its own domain.
  @inline(always)
  mutating func forward(
    _ mbuf: Mbuf, start: UnsafeMutableRawPointer, byteCount: Int, to place: MACLocation, domain: DomainIndex, _ burst: PortBurst,
    isTagged: Bool
  ) -> Outcome {
    if place.isSingleVTEP {
      let vtep = place.singleVTEP
      let headerByteCount = OuterHeader.ipv4ByteCount
      if let hash = InnerFlow.unmarkedIPv4Hash(RawSpan(_unsafeStart: start, byteCount: byteCount)) {
        var adjacency = burst.onlyHops[vtep]
        if _fastPath(byteCount <= Int(adjacency.pointee.plainInnerByteCount)) || choose(&adjacency, to: place.vtep, hash, byteCount) {
          // In 32 bits: the compiler would add in parts.
          let ipByteCount = UInt32(truncatingIfNeeded: byteCount) &+ UInt32(headerByteCount &- 14)
          cdpdk_mbuf_place(
            mbuf.raw, cdpdk_mbuf_headroom(mbuf.raw) &- UInt16(truncatingIfNeeded: headerByteCount),
            UInt32(truncatingIfNeeded: byteCount &+ headerByteCount))
          adjacency.pointee.header.writePlain(
            at: start - headerByteCount, ipByteCount: UInt16(truncatingIfNeeded: ipByteCount), trafficClass: 0, hash: hash,
            vxlan: isTagged ? burst.vxlanHeaders[Int(domain)] : burst.vxlan)
          burst.countersOfVTEPs[vtep].addSent(bytes: UInt64(ipByteCount))
          if UInt32(adjacency.pointee.port.rawValue) != uplinkRun.key { startUplinkRun(adjacency.pointee.port) }
          append(mbuf, byteCount: byteCount &+ headerByteCount, to: uplinkRun)
          return .tunnelled
        }
        if byteCount <= Int(adjacency.pointee.fixedInnerByteCount) && burst.offset >= OuterHeader.ipv6ByteCount {
          encapsulateFixed(mbuf, byteCount: byteCount, adjacency, hash: hash, vtep: place.vtep, domain: domain)
          return .tunnelled
        }
      }
      return encapsulateMarked(mbuf, byteCount: byteCount, vtep: place.vtep, domain: domain) ? .tunnelled : .uncommon
    }
    return isInLocalRun(place, from: burst.portIndex) && append(mbuf, byteCount: byteCount, toRunOf: place) ? .sent : .uncommon
  }

  /// Chooses among the next hops of a VTEP, if it has several, by a frame's flow.
  ///
  /// - Returns: whether the next hop takes the frame behind a plain header.
  @inline(always)
  private mutating func choose(
    _ adjacency: inout UnsafePointer<Adjacency>, to vtep: VTEPIndex, _ hash: UInt32, _ byteCount: Int
  ) -> Bool {
    adjacency = snapshot.pointee.nextHops[Int(vtep)].adjacency(of: hash)
    return byteCount <= Int(adjacency.pointee.plainInnerByteCount)
  }

  /// Step E5 over IPv6, or for a header with a checksum, for an everyday IPv4 frame, alone in a buffer with room in front.
  @inline(never)
  private mutating func encapsulateFixed(
    _ mbuf: Mbuf, byteCount: Int, _ adjacency: UnsafePointer<Adjacency>, hash: UInt32, vtep: VTEPIndex, domain: DomainIndex
  ) {
    guard adjacency.pointee.header.isIPv6 else {
      encapsulateSummed(mbuf, byteCount: byteCount, adjacency, hash: hash, vtep: vtep, domain: domain)
      return
    }
    let start = mbuf.start
    let headerByteCount = OuterHeader.ipv6ByteCount
    adjacency.pointee.header.writeFixedIPv6(
      at: start - headerByteCount, innerByteCount: byteCount, trafficClass: start.load(fromByteOffset: 15, as: UInt8.self), hash: hash,
      vxlan: snapshot.pointee.vxlanHeaders[Int(domain)])
    send(mbuf, byteCount: byteCount, headerByteCount: headerByteCount, vtep: vtep, port: adjacency.pointee.port)
  }

  /// The same over IPv4, for a header with a checksum.
  @inline(never)
  private mutating func encapsulateSummed(
    _ mbuf: Mbuf, byteCount: Int, _ adjacency: UnsafePointer<Adjacency>, hash: UInt32, vtep: VTEPIndex, domain: DomainIndex
  ) {
    let start = mbuf.start
    let headerByteCount = OuterHeader.ipv4ByteCount
    let innerSum = InternetChecksum.partialSum(RawSpan(_unsafeStart: start, byteCount: byteCount))
    var header = MutableRawSpan(_unsafeStart: start - headerByteCount, byteCount: headerByteCount)
    adjacency.pointee.header.write(
      into: &header, innerByteCount: byteCount, innerSum: innerSum, vni: snapshot.pointee.domains[Int(domain)].vni,
      // An inherited TTL is none of a fixed header's.
      flow: InnerFlow(hash: hash, trafficClass: start.load(fromByteOffset: 15, as: UInt8.self), hopLimit: 0))
    send(mbuf, byteCount: byteCount, headerByteCount: headerByteCount, vtep: vtep, port: adjacency.pointee.port)
  }

  /// A frame with TCP or UDP over IPv4 and a traffic class.
  ///
  /// - Returns: false: it is none, or its next hop needs another header, or there is none.
  @inline(never)
  private mutating func encapsulateMarked(_ mbuf: Mbuf, byteCount: Int, vtep: VTEPIndex, domain: DomainIndex) -> Bool {
    let start = mbuf.start
    let headerByteCount = OuterHeader.ipv4ByteCount
    guard let hash = InnerFlow.everydayIPv4Hash(RawSpan(_unsafeStart: start, byteCount: byteCount)) else { return false }
    let adjacency = snapshot.pointee.nextHops[Int(vtep)].adjacency(of: hash)
    guard byteCount <= Int(adjacency.pointee.plainInnerByteCount) else {
      guard byteCount <= Int(adjacency.pointee.fixedInnerByteCount),
        cdpdk_mbuf_headroom(mbuf.raw) >= UInt16(OuterHeader.ipv6ByteCount)
      else { return false }
      encapsulateFixed(mbuf, byteCount: byteCount, adjacency, hash: hash, vtep: vtep, domain: domain)
      return true
    }
    adjacency.pointee.header.writePlain(
      at: start - headerByteCount, ipByteCount: UInt16(truncatingIfNeeded: byteCount &+ headerByteCount &- 14),
      trafficClass: start.load(fromByteOffset: 15, as: UInt8.self), hash: hash, vxlan: snapshot.pointee.vxlanHeaders[Int(domain)])
    send(mbuf, byteCount: byteCount, headerByteCount: headerByteCount, vtep: vtep, port: adjacency.pointee.port)
    return true
  }

  /// Counts a frame whose outer header has been written in front of it, and adds it to the uplink's batch.
  @inline(always)
  private mutating func send(_ mbuf: Mbuf, byteCount: Int, headerByteCount: Int, vtep: VTEPIndex, port: PortIndex) {
    cdpdk_mbuf_place(
      mbuf.raw, cdpdk_mbuf_headroom(mbuf.raw) &- UInt16(truncatingIfNeeded: headerByteCount),
      UInt32(truncatingIfNeeded: byteCount &+ headerByteCount))
    counters.vteps[Int(vtep)].addSent(bytes: UInt64(truncatingIfNeeded: byteCount &+ headerByteCount &- 14))
    if UInt32(port.rawValue) != uplinkRun.key { startUplinkRun(port) }
    append(mbuf, byteCount: byteCount &+ headerByteCount, to: uplinkRun)
  }

  /// A burst from tunnels, of frames without requests, while the table has no ghosts.
  @inline(never)
  mutating func forwardFromOverlay(_ count: Int, portIndex: PortIndex) {
    endLocalRuns()
    if sightings.isCrowded { findPlaces(count) }
    if unsightedCount > 0 { learnSources(portIndex: portIndex, isFromOverlay: true) }
    let table = self.table
    var staged = stage
    var next = frames
    let end = next + count
    while next != end {
      let frame = next.pointee
      let position = staged
      next += 1
      staged += 1
      guard let raw = frame else { continue }
      let mbuf = Mbuf(raw)
      let key = position.pointee.destinationKey
      let found = lookUp(key, in: position.pointee.destinationBucket.unsafelyUnwrapped, table)
      forwardFromOverlay(
        mbuf, byteCount: mbuf.byteCount, to: found, key, from: position.pointee.seenAt, staged: position, portIndex: portIndex)
    }
  }

  /// Step D6 for a frame without requests.
  ///
  /// - Parameters:
  ///   - found: its destination, whose key follows.
  ///   - staged: room for what the general way needs of the frame; nil: the first place of the stage.
  @inline(always)
  mutating func forwardFromOverlay(
    _ mbuf: Mbuf, byteCount: Int, to found: MACLookup, _ key: MACKey, from seenAt: MACLocation,
    staged: UnsafeMutablePointer<StagedFrame>?, portIndex: PortIndex
  ) {
    if found.isHit && isInLocalRun(found.location, from: nil) {
      if append(mbuf, byteCount: byteCount, toRunOf: found.location) { return }
    } else if found.isHit && !found.location.isVTEP && mbuf.isExclusive
      && deliverTagged(mbuf, byteCount: byteCount, to: found.location, from: nil)
    {
      return
    }
    let staged = staged ?? stage
    staged.pointee.destinationKey = key
    staged.pointee.seenAt = seenAt
    forwardUncommon(mbuf, staged, found.place, ingress: portIndex, isFromOverlay: true)
  }

  /// Looks a destination up, while the table has no ghosts.
  @inline(always)
  mutating func lookUp(_ key: MACKey, in bucket: MACBucket, _ table: MACTableReader) -> MACLookup {
    let likely = table.lookup(key, firstIn: bucket)
    return _fastPath(likely.isHit) ? likely : lookUpElsewhere(key, in: bucket)
  }

  /// With the worker as `self`: a call with the table would copy it for each burst.
  @inline(never)
  private mutating func lookUpElsewhere(_ key: MACKey, in bucket: MACBucket) -> MACLookup { table.lookupElsewhere(key, in: bucket) }

  /// The general way of one frame.
  ///
  /// - Parameter place: of its destination; `noLocation`: unknown.
  @inline(never)
  mutating func forwardUncommon(
    _ mbuf: Mbuf, _ staged: UnsafePointer<StagedFrame>, _ place: MACLocation, ingress: PortIndex, isFromOverlay: Bool
  ) {
    // None of a port's places is `noLocation`.
    if !isFromOverlay && !place.isVTEP && place != staged.pointee.seenAt
      && deliverTagged(mbuf, byteCount: mbuf.byteCount, to: place, from: ingress)
    {
      return
    }
    let port = snapshot.pointee.ports + Int(ingress)
    let verdict =
      place != StagedFrame.noLocation
      ? verdict(place, staged, from: port, isFromOverlay: isFromOverlay)
      : verdictOnUnknown(staged, from: port, isFromOverlay: isFromOverlay)
    act(on: verdict, mbuf, staged, ingress: ingress)
  }
}
