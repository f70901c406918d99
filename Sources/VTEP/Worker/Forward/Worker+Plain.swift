// Worker+Plain: short cuts through steps E4 to E6 and D5 to D6 for everyday frames. What holds for a whole burst, or for a run of its
// frames, is asked once: the domain and its VXLAN header, the shape of the buffers, the port that frames are delivered to, its batch.
// A frame that is not of the kind goes the general way (Worker+Dispatch), with the same result.

import CDPDK
import Encap
import MACTable

/// The batch that consecutive frames of a burst go to. `Worker.flushBatches` ends all runs.
struct BatchRun {
  /// What the frames have in common: the local binding they go to (`MACLocation.raw`), or their uplink; `none`: this is no run.
  var key = BatchRun.none
  /// The port joins segments.
  var mayJoin = false
  /// Largest frame in bytes; less than 0: frames take the general way.
  var maxByteCount = -1
  var size: UnsafeMutablePointer<BatchSize>
  var frames: UnsafeMutablePointer<OpaquePointer?>

  /// Neither a location, of 29 bits, nor a port.
  static let none = UInt32.max
}

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
    localRun.key = BatchRun.none
    taggedRun.key = BatchRun.none
    if sightings.isCrowded { findPlaces(count) }
    if unsightedCount > 0 { learnSources(portIndex: portIndex, isFromOverlay: false) }
    let table = self.table
    let hopsOfVTEPs = snapshot.pointee.nextHops
    let countersOfVTEPs = counters.vteps
    let countersOfDomains = counters.domains
    let vxlanHeaders = snapshot.pointee.vxlanHeaders
    let vxlanOfAll = isTagged ? 0 : vxlanHeaders[Int(domainOfAll)]
    let headerByteCount = OuterHeader.ipv4ByteCount
    var sentFrames: UInt64 = 0
    var sentBytes: UInt64 = 0
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
      let byteCount = mbuf.byteCount
      let found = table.lookup(
        position.pointee.destinationKey, in: position.pointee.destinationBucket.unsafelyUnwrapped, mayBeGhost: false)
      let domain = isTagged ? position.pointee.destinationKey.domain : domainOfAll
      if found.isHit && found.location.isSingleVTEP {
        let vtep = found.location.vtep
        let start = mbuf.start
        if let hash = InnerFlow.everydayIPv4Hash(RawSpan(_unsafeStart: start, byteCount: byteCount)) {
          let adjacency = hopsOfVTEPs[Int(vtep)].adjacency(of: hash)
          if byteCount <= Int(adjacency.pointee.plainInnerByteCount) {
            let trafficClass = start.load(fromByteOffset: 15, as: UInt8.self)
            // In 16 bits: the compiler would add in parts.
            let ipByteCount = UInt16(truncatingIfNeeded: byteCount &+ headerByteCount &- 14)
            cdpdk_mbuf_place(
              raw, UInt16(truncatingIfNeeded: offset &- headerByteCount), UInt32(truncatingIfNeeded: byteCount &+ headerByteCount))
            adjacency.pointee.header.writePlain(
              at: start - headerByteCount, ipByteCount: ipByteCount, trafficClass: trafficClass, hash: hash,
              vxlan: isTagged ? vxlanHeaders[Int(domain)] : vxlanOfAll)
            countersOfVTEPs[Int(vtep)].addSent(bytes: UInt64(ipByteCount))
            if UInt32(adjacency.pointee.port.rawValue) != uplinkRun.key { startUplinkRun(adjacency.pointee.port) }
            if isTagged {
              countersOfDomains[Int(domain)].addSent(bytes: UInt64(truncatingIfNeeded: byteCount))
            } else {
              sentFrames &+= 1
              sentBytes &+= UInt64(truncatingIfNeeded: byteCount)
            }
            append(mbuf, byteCount: byteCount &+ headerByteCount, to: uplinkRun)
            continue
          }
          if byteCount <= Int(adjacency.pointee.fixedInnerByteCount) && offset >= OuterHeader.ipv6ByteCount {
            if isTagged {
              countersOfDomains[Int(domain)].addSent(bytes: UInt64(truncatingIfNeeded: byteCount))
            } else {
              sentFrames &+= 1
              sentBytes &+= UInt64(truncatingIfNeeded: byteCount)
            }
            if adjacency.pointee.header.isIPv6 {
              encapsulateIPv6(mbuf, byteCount: byteCount, adjacency, hash: hash, vtep: vtep, domain: domain)
            } else {
              encapsulateFixed(mbuf, byteCount: byteCount, adjacency, hash: hash, vtep: vtep, domain: domain)
            }
            continue
          }
        }
        sendUncommon(mbuf, vtep: vtep, domain: domain, ingress: portIndex)
        continue
      }
      if found.isHit && found.location.isUntaggedPort {
        if found.location.raw != localRun.key { startLocalRun(found.location, from: portIndex) }
        if byteCount <= localRun.maxByteCount {
          deliver(mbuf, byteCount: byteCount, to: found.location)
          continue
        }
      }
      if !isTagged { position.pointee.seenAt = .port(portIndex, vlan: 0) }
      forwardUncommon(mbuf, position, found.isHit ? found.location : StagedFrame.noLocation, ingress: portIndex, isFromOverlay: false)
    }
    if sentFrames != 0 { countersOfDomains[Int(domainOfAll)].addSent(packets: sentFrames, bytes: sentBytes) }
  }

  /// Step E5 over IPv6 for an everyday IPv4 frame, alone in a buffer with room in front. The domain has counted it.
  @inline(never)
  private mutating func encapsulateIPv6(
    _ mbuf: Mbuf, byteCount: Int, _ adjacency: UnsafePointer<Adjacency>, hash: UInt32, vtep: VTEPIndex, domain: DomainIndex
  ) {
    let start = mbuf.start
    let headerByteCount = OuterHeader.ipv6ByteCount
    let innerSum =
      adjacency.pointee.header.computesUDPChecksum
      ? InternetChecksum.partialSum(RawSpan(_unsafeStart: start, byteCount: byteCount)) : 0
    adjacency.pointee.header.writeFixedIPv6(
      at: start - headerByteCount, innerByteCount: byteCount, innerSum: innerSum, vxlan: snapshot.pointee.vxlanHeaders[Int(domain)],
      flow: fixedFlow(start, hash))
    send(mbuf, byteCount: byteCount, headerByteCount: headerByteCount, vtep: vtep, port: adjacency.pointee.port)
  }

  /// The same over IPv4, for a header with a checksum.
  @inline(never)
  private mutating func encapsulateFixed(
    _ mbuf: Mbuf, byteCount: Int, _ adjacency: UnsafePointer<Adjacency>, hash: UInt32, vtep: VTEPIndex, domain: DomainIndex
  ) {
    let start = mbuf.start
    let headerByteCount = OuterHeader.ipv4ByteCount
    let innerSum = InternetChecksum.partialSum(RawSpan(_unsafeStart: start, byteCount: byteCount))
    var header = MutableRawSpan(_unsafeStart: start - headerByteCount, byteCount: headerByteCount)
    adjacency.pointee.header.write(
      into: &header, innerByteCount: byteCount, innerSum: innerSum, vni: snapshot.pointee.domains[Int(domain)].vni,
      flow: fixedFlow(start, hash))
    send(mbuf, byteCount: byteCount, headerByteCount: headerByteCount, vtep: vtep, port: adjacency.pointee.port)
  }

  /// An inherited TTL is none of a fixed header's.
  @inline(always)
  private mutating func fixedFlow(_ start: UnsafeMutableRawPointer, _ hash: UInt32) -> InnerFlow {
    InnerFlow(hash: hash, trafficClass: start.load(fromByteOffset: 15, as: UInt8.self), hopLimit: 0)
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
    localRun.key = BatchRun.none
    taggedRun.key = BatchRun.none
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
      let found = table.lookup(
        position.pointee.destinationKey, in: position.pointee.destinationBucket.unsafelyUnwrapped, mayBeGhost: false)
      if found.isHit && found.location.isUntaggedPort {
        if found.location.raw != localRun.key { startLocalRun(found.location, from: nil) }
        let byteCount = mbuf.byteCount
        if byteCount <= localRun.maxByteCount {
          deliver(mbuf, byteCount: byteCount, to: found.location)
          continue
        }
      } else if found.isHit && !found.location.isVTEP && mbuf.isExclusive
        && deliverTagged(mbuf, byteCount: mbuf.byteCount, to: found.location, from: nil)
      {
        continue
      }
      forwardUncommon(mbuf, position, found.isHit ? found.location : StagedFrame.noLocation, ingress: portIndex, isFromOverlay: true)
    }
  }

  /// The general way of one frame.
  ///
  /// - Parameter place: of its destination; `noLocation`: unknown.
  @inline(never)
  private mutating func forwardUncommon(
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

  @inline(never)
  private mutating func sendUncommon(_ mbuf: Mbuf, vtep: VTEPIndex, domain: DomainIndex, ingress: PortIndex) {
    sendToVTEP(mbuf, vtep: vtep, domain: domain, ingress: ingress)
  }

  // -- runs -------------------------------------------------------------------------------------------------------------

  @inline(never)
  private mutating func startUplinkRun(_ port: PortIndex) {
    let batch = batch(of: port)
    uplinkRun = BatchRun(key: UInt32(port.rawValue), size: batchSizes + batch, frames: batches + batch &* Limits.transmitBatch)
  }

  /// The frames for the untagged binding of a port. They take the general way if it is not up, needs further checks, or must not have
  /// frames from the ingress port.
  ///
  /// - Parameter ingress: nil: from the overlay.
  @inline(never)
  private mutating func startLocalRun(_ place: MACLocation, from ingress: PortIndex?) {
    localRun.key = place.raw
    localRun.maxByteCount = -1
    let port = snapshot.pointee.ports + Int(place.port)
    let features = port.pointee.features
    guard port.pointee.isUp, features.isDisjoint(with: .inspectsEach) else { return }
    if let ingress {
      guard place.port != ingress else { return }
      if features.contains(.isIsolated), snapshot.pointee.ports[Int(ingress)].features.contains(.isIsolated) { return }
    }
    // May flush all batches and end the run.
    let batch = batch(of: place.port)
    localRun = BatchRun(
      key: place.raw, mayJoin: !features.isDisjoint(with: .takesSegments), maxByteCount: Int(port.pointee.maxFrameByteCount),
      size: batchSizes + batch, frames: batches + batch &* Limits.transmitBatch)
  }

  /// Adds a frame that fits to the batch of the local run.
  @inline(always)
  private mutating func deliver(_ mbuf: Mbuf, byteCount: Int, to place: MACLocation) {
    if localRun.mayJoin, coalesce(mbuf, port: place.port, features: snapshot.pointee.ports[Int(place.port)].features) { return }
    append(mbuf, byteCount: byteCount, to: localRun)
  }

  /// Delivers a frame, whose buffer is its own, to the tagged binding of a port.
  ///
  /// - Parameter ingress: nil: from the overlay.
  /// - Returns: false: it takes the general way.
  @inline(always)
  private mutating func deliverTagged(_ mbuf: Mbuf, byteCount: Int, to place: MACLocation, from ingress: PortIndex?) -> Bool {
    if UInt32(place.port.rawValue) != taggedRun.key { startTaggedRun(place.port, from: ingress) }
    guard place.vlan != 0, byteCount <= taggedRun.maxByteCount, cdpdk_mbuf_headroom(mbuf.raw) >= UInt16(EthernetView.tagByteCount)
    else { return false }
    // The frame's priority, if it came with one.
    let tag = place.vlan | mbuf.notedTag & Self.priorityMask
    mbuf.insertTagInPlace(tpidOfTaggedRun | UInt32(tag))
    // For the binding's counters, once the frame is sent.
    mbuf.notedTag = tag
    taggedBatches |= 1 &<< UInt64(truncatingIfNeeded: batchOfTaggedRun)
    append(mbuf, byteCount: byteCount &+ EthernetView.tagByteCount, to: taggedRun)
    return true
  }

  /// The frames for all tagged bindings of a port. They take the general way if it is not up, or must not have frames from the ingress port.
  @inline(never)
  private mutating func startTaggedRun(_ portIndex: PortIndex, from ingress: PortIndex?) {
    taggedRun.key = UInt32(portIndex.rawValue)
    taggedRun.maxByteCount = -1
    let port = snapshot.pointee.ports + Int(portIndex)
    guard port.pointee.isUp, !port.pointee.features.contains(.filtersEgress) else { return }
    if let ingress, port.pointee.features.contains(.isIsolated), snapshot.pointee.ports[Int(ingress)].features.contains(.isIsolated) {
      return
    }
    // May flush all batches and end the run.
    let batch = batch(of: portIndex)
    batchOfTaggedRun = batch
    tpidOfTaggedRun = UInt32(port.pointee.tpid) &<< 16
    taggedRun = BatchRun(
      key: UInt32(portIndex.rawValue), maxByteCount: Int(port.pointee.maxFrameByteCount), size: batchSizes + batch,
      frames: batches + batch &* Limits.transmitBatch)
  }

  @inline(always)
  private mutating func append(_ mbuf: Mbuf, byteCount: Int, to run: BatchRun) {
    let size = run.size
    let count = size.pointee.frames
    run.frames[count] = mbuf.raw
    size.pointee.frames = count &+ 1
    size.pointee.bytes &+= UInt64(truncatingIfNeeded: byteCount)
    if count &+ 1 == Limits.transmitBatch { flushBatch(size - batchSizes) }
  }
}
