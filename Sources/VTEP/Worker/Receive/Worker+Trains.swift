// Worker+Trains: bursts from the wire in which the kernel says more about a packet than its octets do (the virtio-net header of packet
// sockets, `Mbuf+Virtio`). Four things occur:
//
// * The UDP checksum has been verified, or the packet comes from this host and the checksum is unfinished: it is trusted.
// * A train: UDP datagrams of one flow and size that their sender or the kernel's GRO has joined (`DatagramTrain`). It is taken apart,
//   without copying.
// * A large TCP or UDP segment in VXLAN that is still to be cut, from a kernel's VXLAN device on the other side of a veth, or joined by a
//   VXLAN device's GRO. The kernel's header speaks of the inner segment, and nothing in it of a tunnel.
// * An unfinished checksum of the inner packet, from the same senders.
//
// The last two become offload requests (`OffloadRequest`), as if a guest had made them.

import CDPDK
import Encap
import MACTable

extension Worker {
  /// Steps D2 and D3 for a burst. A train may hold more frames than a burst: what has been staged is forwarded first then.
  @inline(never)
  mutating func receiveNoted(_ count: Int, portIndex: PortIndex) {
    arrivals.update(from: frames, count: count)
    beginBurst()
    var received = BatchSize()
    var staged = 0
    for index in 0..<count {
      takeNoted(Mbuf(arrivals[index].unsafelyUnwrapped), portIndex: portIndex, staged: &staged, received: &received)
    }
    counters.ports[Int(portIndex)].addReceived(packets: UInt64(truncatingIfNeeded: received.frames), bytes: received.bytes)
    if staged > 0 { forwardNotedFromOverlay(staged, portIndex: portIndex) }
  }

  mutating func takeNoted(_ mbuf: Mbuf, portIndex: PortIndex, staged: inout Int, received: inout BatchSize) {
    let isLarge = cdpdk_mbuf_is_large_segment(mbuf.raw) != 0
    guard isLarge || cdpdk_mbuf_checksum_is_unfinished(mbuf.raw) != 0 else {
      takePacket(mbuf, isTrusted: cdpdk_mbuf_is_outer_trusted(mbuf.raw) != 0, portIndex: portIndex, staged: &staged, received: &received)
      return
    }
    // Too short to be anything else: the filter has cut it, and counts on `decapsulate`.
    guard CutFrame.reason(byteCount: mbuf.byteCount) == nil else {
      takePacket(mbuf, isTrusted: true, portIndex: portIndex, staged: &staged, received: &received)
      return
    }
    let outer = OuterPacket(trusting: mbuf.bytes, byteCount: mbuf.byteCount, policy: snapshot.pointee.decapPolicy)
    let isDatagram = outer.innerOffset != 0
    let noted = Int(cdpdk_mbuf_noted_checksum(mbuf.raw) &>> 16)
    if noted == 0 || noted == outer.innerOffset &- 16 || !isDatagram {
      if isLarge && isDatagram {
        takeTrain(mbuf, outer, portIndex: portIndex, staged: &staged, received: &received)
      } else {
        takePacket(mbuf, isTrusted: true, portIndex: portIndex, staged: &staged, received: &received)
      }
      return
    }
    received.frames &+= 1
    received.bytes &+= UInt64(truncatingIfNeeded: mbuf.byteCount)
    guard outer.outcome == .accepted else {
      refuse(mbuf, outer, portIndex: portIndex)
      return
    }
    guard let arrival = arrival(of: mbuf, outer, packets: 1, portIndex: portIndex) else { return }
    takeInnerRequest(mbuf, arrival, checksumStart: noted, portIndex: portIndex, staged: &staged)
  }

  /// An ordinary packet.
  private mutating func takePacket(
    _ mbuf: Mbuf, isTrusted: Bool, portIndex: PortIndex, staged: inout Int, received: inout BatchSize
  ) {
    received.frames &+= 1
    received.bytes &+= UInt64(truncatingIfNeeded: mbuf.byteCount)
    makeRoom(&staged, portIndex: portIndex)
    frames[staged] = mbuf.raw
    if decapsulate(mbuf, isTrusted: isTrusted, portIndex: portIndex, to: staged) { staged &+= 1 }
  }

  /// A packet whose inner frame is a segment to be cut, or has an unfinished checksum.
  private mutating func takeInnerRequest(
    _ mbuf: Mbuf, _ arrival: Arrival, checksumStart: Int, portIndex: PortIndex, staged: inout Int
  ) {
    let padding = mbuf.byteCount &- arrival.innerOffset &- arrival.innerByteCount
    guard Int(cdpdk_mbuf_segment_length(mbuf.raw)) >= arrival.innerOffset &+ EthernetView.headerByteCount,
      checksumStart >= arrival.innerOffset &+ EthernetView.headerByteCount, mbuf.removeFront(arrival.innerOffset),
      padding == 0 || padding <= Int(UInt16.max) && cdpdk_mbuf_trim(mbuf.raw, UInt16(truncatingIfNeeded: padding)) == 0
    else {
      drop(mbuf, port: portIndex, .offloadHeaders)
      return
    }
    let offset = UInt16(truncatingIfNeeded: cdpdk_mbuf_noted_checksum(mbuf.raw))
    cdpdk_mbuf_note_checksum(mbuf.raw, UInt16(truncatingIfNeeded: checksumStart &- arrival.innerOffset), offset)
    if let reason = acceptRequest(mbuf) {
      drop(mbuf, port: portIndex, reason, DropContext(domain: snapshot.pointee.domain(of: arrival.vni), vtep: arrival.vtep))
      return
    }
    var arrival = arrival
    arrival.innerOffset = 0
    makeRoom(&staged, portIndex: portIndex)
    frames[staged] = mbuf.raw
    if admitStripped(mbuf, arrival, portIndex: portIndex, to: staged) { staged &+= 1 }
  }

  /// Takes a train apart. Each datagram has a VXLAN header of its own, and is judged by itself.
  private mutating func takeTrain(
    _ mbuf: Mbuf, _ outer: OuterPacket, portIndex: PortIndex, staged: inout Int, received: inout BatchSize
  ) {
    let size = Int(cdpdk_mbuf_segment_size(mbuf.raw))
    let headerByteCount = outer.innerOffset &- OuterHeader.vxlanByteCount
    let payloadByteCount = outer.innerByteCount &+ OuterHeader.vxlanByteCount
    let count = size > 0 ? (payloadByteCount &+ size &- 1) / size : 1
    received.frames &+= count
    received.bytes &+= UInt64(truncatingIfNeeded: payloadByteCount &+ count &* headerByteCount)
    guard var arrival = arrival(of: mbuf, outer, packets: count, portIndex: portIndex) else { return }
    arrival.innerOffset = OuterHeader.vxlanByteCount
    var reader = MbufReader(mbuf, from: headerByteCount)
    var left = size > 0 ? payloadByteCount : 0
    while left > 0 {
      let byteCount = min(left, size)
      left &-= byteCount
      guard let datagram = reader.take(byteCount, slicePool: slicePool, pool: pool, largePool: largePool) else {
        countDrop(mbuf, port: portIndex, .noBuffers)
        continue
      }
      if let reason = OuterPacket.vxlanFault(datagram.bytes) {
        // The train says who sent it.
        countDrop(mbuf, port: portIndex, reason, DropContext(vtep: arrival.vtep))
        datagram.free()
        continue
      }
      arrival.vni = OuterPacket.vni(datagram.bytes)
      arrival.innerByteCount = byteCount &- OuterHeader.vxlanByteCount
      makeRoom(&staged, portIndex: portIndex)
      frames[staged] = datagram.raw
      if admitDatagram(datagram, arrival, portIndex: portIndex, to: staged) { staged &+= 1 }
    }
    mbuf.free()
  }

  @inline(never)
  private mutating func admitDatagram(_ mbuf: Mbuf, _ arrival: Arrival, portIndex: PortIndex, to position: Int) -> Bool {
    admit(mbuf, arrival, isStripped: false, portIndex: portIndex, to: position)
  }

  @inline(never)
  private mutating func admitStripped(_ mbuf: Mbuf, _ arrival: Arrival, portIndex: PortIndex, to position: Int) -> Bool {
    admit(mbuf, arrival, isStripped: true, portIndex: portIndex, to: position)
  }

  /// Forwards what is staged when it fills a burst.
  @inline(always)
  private mutating func makeRoom(_ staged: inout Int, portIndex: PortIndex) {
    guard staged == Limits.burst else { return }
    forwardNotedFromOverlay(staged, portIndex: portIndex)
    beginBurst()
    staged = 0
  }
}
