// Worker+Encapsulate: sends a frame into a tunnel. Step E5: next hop by flow, MTU check, outer header. Frames wait here, bounded
// and in order, while the next hop's address is being resolved.

import CDPDK
import Encap
import MACTable

extension Worker {
  /// Encapsulates a frame towards a VTEP or group. Consumes the frame.
  @inline(always)
  mutating func sendToVTEP(_ mbuf: Mbuf, vtep: VTEPIndex, domain: DomainIndex, ingress: PortIndex) {
    let hops = snapshot.pointee.nextHops[Int(vtep)]
    guard hops.count > 0 else {
      drop(mbuf, port: ingress, snapshot.pointee.vteps[Int(vtep)].obstacle, DropContext(domain: domain, vtep: vtep))
      return
    }
    let flow = InnerFlow(frame: mbuf.bytes)
    let adjacency = hops.adjacency(of: flow.hash)
    if mbuf.isPlain && mbuf.byteCount <= Int(adjacency.pointee.plainInnerByteCount) {
      encapsulatePlain(mbuf, adjacency, flow, vtep: vtep, domain: domain, ingress: ingress)
    } else {
      sendGeneral(mbuf, Tunnel(vtep: vtep, domain: domain, adjacency: adjacency, flow: flow), ingress: ingress)
    }
  }

  /// Step E5 for the everyday frame and header: with a constant header length it costs much less.
  @inline(always)
  private mutating func encapsulatePlain(
    _ mbuf: Mbuf, _ adjacency: UnsafePointer<Adjacency>, _ flow: InnerFlow, vtep: VTEPIndex, domain: DomainIndex, ingress: PortIndex
  ) {
    guard cdpdk_mbuf_headroom(mbuf.raw) >= UInt16(OuterHeader.ipv4ByteCount) else {
      drop(mbuf, port: ingress, .noHeadroom, DropContext(domain: domain, vtep: vtep))
      return
    }
    let innerByteCount = mbuf.byteCount
    cdpdk_mbuf_grow_front(mbuf.raw, UInt16(OuterHeader.ipv4ByteCount))
    adjacency.pointee.header.writePlain(
      at: mbuf.start, ipByteCount: UInt16(truncatingIfNeeded: innerByteCount &+ 36), trafficClass: flow.trafficClass, hash: flow.hash,
      vxlan: OuterHeader.vxlanHeader(snapshot.pointee.domains[Int(domain)].vni))
    send(
      mbuf, innerByteCount: innerByteCount, headerByteCount: OuterHeader.ipv4ByteCount, vtep: vtep, domain: domain,
      port: adjacency.pointee.port)
  }

  /// A tunnel that has been chosen for a frame, and the path that its flow takes. It is the same for all segments of the frame.
  struct Tunnel {
    var vtep: VTEPIndex
    var domain: DomainIndex
    var adjacency: UnsafePointer<Adjacency>
    var flow: InnerFlow
  }

  /// Everything out of the ordinary: next hops without an address, frames that do not fit, pending offload requests, and the general
  /// headers. A frame is finished first, then encapsulated.
  @inline(never)
  private mutating func sendGeneral(_ mbuf: Mbuf, _ tunnel: Tunnel, ingress: PortIndex) {
    let isPending = mbuf.hasRequest
    guard (isPending ? mbuf.wireByteCount : mbuf.byteCount) <= Int(tunnel.adjacency.pointee.maxInnerByteCount) else {
      refuseTooBig(mbuf, tunnel, ingress: ingress)
      return
    }
    guard tunnel.adjacency.pointee.isResolved else {
      // Held unsegmented: its segments would fill the queue.
      hold(mbuf, vtep: tunnel.vtep, domain: tunnel.domain, ingress: ingress)
      return
    }
    if isPending {
      if !leaveToNIC(mbuf, tunnel, ingress: ingress) { finish(mbuf, for: .tunnel(tunnel), ingress: ingress) }
    } else {
      encapsulate(mbuf, tunnel, ingress: ingress)
    }
  }

  /// Step E5 for any finished frame: also over IPv6, with an inherited TTL, a computed checksum, or a tunnel with its own VNI, and for
  /// frames that are shared or came with a priority.
  @inline(never)
  mutating func encapsulate(_ mbuf: Mbuf, _ tunnel: Tunnel, ingress: PortIndex) {
    let adjacency = tunnel.adjacency
    let innerByteCount = mbuf.byteCount
    if mbuf.isPlain && adjacency.pointee.header.isPlain && innerByteCount <= OuterHeader.largestPlainPacket &- 36 {
      encapsulatePlain(mbuf, adjacency, tunnel.flow, vtep: tunnel.vtep, domain: tunnel.domain, ingress: ingress)
      return
    }
    let headerByteCount = adjacency.pointee.header.byteCount
    let innerSum = adjacency.pointee.header.computesUDPChecksum ? mbuf.partialSum(from: 0) : 0
    let chains = snapshot.pointee.ports[Int(adjacency.pointee.port)].sendsSegments
    let dscp = mbuf.hasNotedTag ? priorityDSCP(mbuf.notedTag, adjacency, tunnel.flow) : 0
    guard let packet = mbuf.prepending(headerByteCount, pool: pool, chains: chains) else {
      // Only a shared frame needs a separate buffer for the header.
      drop(mbuf, port: ingress, mbuf.isExclusive ? .noHeadroom : .noBuffers, DropContext(domain: tunnel.domain, vtep: tunnel.vtep))
      return
    }
    writeHeader(of: tunnel, to: packet, innerByteCount: innerByteCount, innerSum: innerSum, dscp: dscp)
    send(
      packet, innerByteCount: innerByteCount, headerByteCount: headerByteCount, vtep: tunnel.vtep, domain: tunnel.domain,
      port: adjacency.pointee.port)
  }

  /// - Parameters:
  ///   - packet: with room for the header in front.
  ///   - dscp: 0: the header's own.
  @inline(always)
  private mutating func writeHeader(of tunnel: Tunnel, to packet: Mbuf, innerByteCount: Int, innerSum: UInt32, dscp: UInt8) {
    let adjacency = tunnel.adjacency
    var header = MutableRawSpan(_unsafeStart: packet.start, byteCount: adjacency.pointee.header.byteCount)
    let vni = snapshot.pointee.vteps[Int(tunnel.vtep)].tunnelKey ?? snapshot.pointee.domains[Int(tunnel.domain)].vni
    adjacency.pointee.header.write(into: &header, innerByteCount: innerByteCount, innerSum: innerSum, vni: vni, flow: tunnel.flow)
    if dscp != 0 { adjacency.pointee.header.setDSCP(dscp, in: &header) }
  }

  // -- for a NIC to finish ------------------------------------------------------------------------------------------------

  /// Encapsulates a frame as it is, and leaves its request to the NIC, if that carries out such requests. The last segment of a large one
  /// is cut here: the others are alike, so that the outer lengths and checksums of one are those of all, whatever the NIC makes of them.
  /// Nothing is left while a capture runs, which shows what goes over the wire.
  ///
  /// - Returns: false: the request is still to be carried out.
  private mutating func leaveToNIC(_ mbuf: Mbuf, _ tunnel: Tunnel, ingress: PortIndex) -> Bool {
    let port = snapshot.pointee.ports + Int(tunnel.adjacency.pointee.port)
    guard port.pointee.features.carryOut(mbuf, isInner: true), port.pointee.kind == .ethdev, captures == nil, mbuf.isExclusive,
      mbuf.isContiguous || port.pointee.sendsSegments
    else { return false }
    let request = mbuf.request
    guard request.segmentByteCount != 0 else { return encapsulateUnfinished(mbuf, request, tunnel, port) }
    let count = (mbuf.byteCount &- request.headerByteCount &- 1) / request.segmentByteCount
    var segmenter = Segmenter(mbuf, from: count, pool: pool)
    guard count > 1, let last = segmenter.next() else { return false }
    mbuf.keepSegments(count, of: request)
    if !encapsulateUnfinished(mbuf, request, tunnel, port) { finish(mbuf, for: .tunnel(tunnel), ingress: ingress) }
    encapsulate(last, tunnel, ingress: ingress)
    return true
  }

  /// - Returns: false: there is no room, or the NIC refuses: the frame is as it was, but for checksums that whoever carries out the request
  ///   writes anyway.
  private mutating func encapsulateUnfinished(
    _ mbuf: Mbuf, _ request: OffloadRequest, _ tunnel: Tunnel, _ port: UnsafePointer<PortEntry>
  ) -> Bool {
    let header = tunnel.adjacency.pointee.header
    let innerByteCount = mbuf.wireByteCount
    let dscp = mbuf.hasNotedTag ? priorityDSCP(mbuf.notedTag, tunnel.adjacency, tunnel.flow) : 0
    let sum = request.finishedSum(mbuf.bytes, byteCount: innerByteCount)
    guard mbuf.prepending(header.byteCount, pool: pool, chains: false) != nil else { return false }
    let payloadByteCount = mbuf.byteCount &- header.byteCount &- request.headerByteCount
    writeHeader(of: tunnel, to: mbuf, innerByteCount: innerByteCount, innerSum: sum, dscp: dscp)
    let namesTunnels = port.pointee.features.contains(.namesTunnels)
    guard mbuf.leave(request, behind: header, namesTunnels: namesTunnels, to: port.pointee.device) else { return false }
    // What goes over the wire.
    let packets = request.segmentByteCount == 0 ? 1 : payloadByteCount / request.segmentByteCount
    counters.domains[Int(tunnel.domain)].addSent(
      packets: UInt64(truncatingIfNeeded: packets), bytes: UInt64(truncatingIfNeeded: packets &* innerByteCount))
    counters.vteps[Int(tunnel.vtep)].addSent(
      packets: UInt64(truncatingIfNeeded: packets),
      bytes: UInt64(truncatingIfNeeded: packets &* (innerByteCount &+ header.byteCount &- 14)))
    transmit(mbuf, byteCount: mbuf.byteCount, port: tunnel.adjacency.pointee.port)
    return true
  }

  /// The outer DSCP that carries a tag's priority; 0: keep the header's own. An inherited DSCP that maps to the same priority at the
  /// far end is kept.
  private mutating func priorityDSCP(_ tag: UInt16, _ adjacency: UnsafePointer<Adjacency>, _ flow: InnerFlow) -> UInt8 {
    let pcp = UInt8(truncatingIfNeeded: tag &>> 13)
    if adjacency.pointee.header.inheritsDSCP, flow.isIP, snapshot.pointee.pcpOfDSCP[Int(flow.trafficClass &>> 2)] == pcp { return 0 }
    return snapshot.pointee.dscpOfPCP[Int(pcp)]
  }

  /// Counts a complete packet and adds it to its device's batch.
  @inline(always)
  private mutating func send(
    _ packet: Mbuf, innerByteCount: Int, headerByteCount: Int, vtep: VTEPIndex, domain: DomainIndex, port: PortIndex
  ) {
    counters.domains[Int(domain)].addSent(bytes: UInt64(truncatingIfNeeded: innerByteCount))
    counters.vteps[Int(vtep)].addSent(bytes: UInt64(truncatingIfNeeded: innerByteCount &+ headerByteCount &- 14))
    transmit(packet, byteCount: innerByteCount &+ headerByteCount, port: port)
  }

  @inline(never)
  mutating func hold(_ mbuf: Mbuf, vtep: VTEPIndex, domain: DomainIndex, ingress: PortIndex) {
    guard held.hasRoom(for: mbuf, vtep: vtep, ingress: ingress) else {
      drop(mbuf, port: ingress, .holdQueueFull, DropContext(domain: domain, vtep: vtep))
      return
    }
    guard let mbuf = spared(mbuf, port: ingress) else { return }
    let expiry = cdpdk_cycles() &+ cdpdk_cycles_per_second() / 1000 &* UInt64(Limits.holdMilliseconds)
    let target = snapshot.pointee.vteps + Int(vtep)
    held.append(
      HeldFrame(
        mbuf: mbuf, vtep: vtep, address: target.pointee.address, tunnelKey: target.pointee.tunnelKey, domain: domain,
        serial: snapshot.pointee.domains[Int(domain)].serial, ingress: ingress, expiry: expiry))
  }

  /// Holds a frame to a station that was seen behind a VTEP without an index. There are few of these frames: more are flooded.
  @inline(never)
  mutating func hold(_ mbuf: Mbuf, for key: MACKey, seenAt: MACLocation) {
    guard held.hasRoom(for: mbuf, vtep: .absent, ingress: seenAt.port) else {
      flood(mbuf, .domain, domain: key.domain, from: seenAt, ingress: seenAt.port, isLimited: true)
      return
    }
    guard let mbuf = spared(mbuf, port: seenAt.port) else { return }
    held.append(
      HeldFrame(
        mbuf: mbuf, vtep: .absent, address: IPAddress(high: 0, low: 0), domain: key.domain,
        serial: snapshot.pointee.domains[Int(key.domain)].serial, ingress: seenAt.port,
        expiry: cdpdk_cycles() &+ PendingSightings.awaitCycles, station: HeldFrame.Station(key: key, seenAt: seenAt)))
  }

  /// Looks a held frame's station up again.
  private mutating func resend(_ frame: HeldFrame, to station: HeldFrame.Station, now: UInt64) {
    let domain = snapshot.pointee.domains + Int(frame.domain)
    guard domain.pointee.isInUse, domain.pointee.serial == frame.serial else {
      drop(frame.mbuf, port: frame.ingress, .heldTargetGone)
      return
    }
    let found = table.lookup(station.key, hash: table.hash(station.key))
    if !found.isHit && now < frame.expiry {
      held.append(frame)
      return
    }
    var staged = StagedFrame()
    staged.destinationKey = station.key
    staged.seenAt = station.seenAt
    let port = snapshot.pointee.ports + Int(frame.ingress)
    let verdict = found.isHit ? self.verdict(found.location, &staged, from: port, isFromOverlay: false) : .flood(.domain)
    act(on: verdict, frame.mbuf, &staged, ingress: frame.ingress)
  }

  /// Sends the held frames that can be sent now, in order of arrival, and drops those that have waited too long. Called with every
  /// new snapshot, before any new frame, and from time to time while frames wait.
  @inline(never)
  mutating func releaseHeldFrames() {
    let now = cdpdk_cycles()
    // Frames whose next hop is still unresolved return to the (then empty) queue through `sendToVTEP`, in order.
    let waiting = held.takeAll()
    for frame in waiting {
      if let station = frame.station {
        resend(frame, to: station, now: now)
      } else if !isCurrent(frame) {
        drop(frame.mbuf, port: frame.ingress, .heldTargetGone)
      } else if now > frame.expiry {
        drop(frame.mbuf, port: frame.ingress, .neighborUnresolved, DropContext(domain: frame.domain, vtep: frame.vtep))
      } else {
        resend(frame)
      }
    }
  }

  /// Snapshots may have changed since the frame was held: its indexes are valid only if they still mean the same.
  private mutating func isCurrent(_ frame: HeldFrame) -> Bool {
    guard Int(frame.vtep) < Limits.vteps else { return false }
    let target = snapshot.pointee.vteps + Int(frame.vtep)
    let domain = snapshot.pointee.domains + Int(frame.domain)
    return domain.pointee.isInUse && domain.pointee.serial == frame.serial
      && target.pointee.tunnelKey == frame.tunnelKey && target.pointee.address == frame.address
  }

  private mutating func resend(_ frame: HeldFrame) {
    let before = held.count
    sendToVTEP(frame.mbuf, vtep: frame.vtep, domain: frame.domain, ingress: frame.ingress)
    if held.count > before { held.keepExpiry(frame.expiry) }
  }
}
